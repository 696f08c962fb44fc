# SPDX-License-Identifier: BSD-2-Clause
"""`umbra config schema` and the parser give the same verdict on each file of tests/corpus/config. A file's name says
what the verdict is: good-, bad-, warned- what the parser takes with a warning and the schema does not, or
bad-only-parser- where JSON Schema cannot express the rule; the reason is below."""

import json
import os
import re
import subprocess
import unittest

import tree

CORPUS = os.path.join(tree.TOP, "tests", "corpus", "config")
UMBRA = os.path.join(os.environ.get("UMBRA_BUILD", os.path.join(tree.TOP, "build")), "umbra")
ABOUT_FILES = ("E_FILE", "E_CHECK")  # kernels that the files name are on no build machine

# Why the schema lets these pass.
ONLY_PARSER = {
    "memory-range": "a string has no numeric range",
    "memory-odd": "nor a divisor",
    "memory-order": "two keys cannot be compared",
    "vcpus-order": "two keys cannot be compared",
    "cap-vcpus": "two keys cannot be compared",
    "cpus-order": "numbers inside a string cannot be compared",
    "cpus-nothing": "nor computed with",
    "cpus-range": "nor limited",
    "duplicate": "an object is a set: of two equal keys only one is seen",
    "whole-number": "256.0 is an integer to JSON Schema",
    "exponent": "so is 1e0",
    "disk-string": "what is in a string of xl's is no JSON",
    "vif-string": "what is in a string of xl's is no JSON",
    "disk-server": "two keys cannot be compared",
    "disk-twice": "two elements cannot be compared",
    "disk-partition": "numbers inside a string cannot be compared",
    "vif-nothing": "nor computed with",
    "x-nul": "the pattern ^x- says nothing about what follows",
}

ANNOTATIONS = {"$schema", "$id", "title", "description", "default"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


def is_type(value, name):
    if name == "integer":
        return not isinstance(value, bool) and isinstance(value, (int, float)) and value == int(value)
    return isinstance(value, TYPES[name])


def matches(value, pattern):
    """As ECMAScript does it: $ is the end, not the place before a last newline."""
    return re.search(re.sub(r"\$$", r"\\Z", pattern), value) is not None


class Schema:
    """The part of JSON Schema that `umbra config schema` uses; any other word is an error."""

    def __init__(self, text):
        self.root = json.loads(text)

    def accepts(self, value):
        return self.valid(value, self.root)

    def valid(self, value, schema):
        for word in schema:
            if word not in ANNOTATIONS and not hasattr(self, "check_" + word):
                raise AssertionError(f"the schema uses {word}, which this test does not know")
        return all(getattr(self, "check_" + word)(value, schema[word], schema)
                   for word in schema if word not in ANNOTATIONS)

    def check_type(self, value, name, _):
        return is_type(value, name)

    def check_enum(self, value, words, _):
        return value in words

    def check_pattern(self, value, pattern, _):
        return not isinstance(value, str) or matches(value, pattern)

    def check_minLength(self, value, least, _):
        return not isinstance(value, str) or len(value) >= least

    def check_maxLength(self, value, most, _):
        return not isinstance(value, str) or len(value) <= most

    def check_minimum(self, value, least, _):
        return not is_type(value, "integer") or value >= least

    def check_maximum(self, value, most, _):
        return not is_type(value, "integer") or value <= most

    def check_items(self, value, schema, _):
        return not isinstance(value, list) or all(self.valid(item, schema) for item in value)

    def check_not(self, value, schema, _):
        return not self.valid(value, schema)

    def check_anyOf(self, value, schemas, _):
        return any(self.valid(value, schema) for schema in schemas)

    def check_required(self, value, names, _):
        return not isinstance(value, dict) or all(name in value for name in names)

    def check_properties(self, value, keys, _):
        return not isinstance(value, dict) or all(self.valid(value[key], keys[key]) for key in keys if key in value)

    def check_patternProperties(self, value, patterns, _):
        return not isinstance(value, dict) or all(self.valid(value[key], schema) for pattern, schema in patterns.items()
                                                  for key in value if matches(key, pattern))

    def check_additionalProperties(self, value, allowed, schema):
        if allowed or not isinstance(value, dict):
            return True
        return all(key in schema["properties"] or any(matches(key, p) for p in schema.get("patternProperties", ()))
                   for key in value)


@unittest.skipUnless(os.access(UMBRA, os.X_OK), f"{os.path.basename(UMBRA)} is not built")
class ConfigSchema(unittest.TestCase):
    def setUp(self):
        done = subprocess.run([UMBRA, "config", "schema"], capture_output=True, text=True, check=True)
        self.schema = Schema(done.stdout)
        self.names = sorted(name[:-5] for name in os.listdir(CORPUS) if name.endswith(".json"))

    def parser_verdicts(self):
        """{name: accepted, warned}, whatever the parser says about files that a configuration names left out."""
        files = [os.path.join(CORPUS, name + ".json") for name in self.names]
        done = subprocess.run([UMBRA, "--json", "config", "validate", *files], capture_output=True, text=True,
                              check=False)
        verdicts = {}
        for row in json.loads(done.stdout)["files"]:
            errors = [d for d in row["diagnostics"] if d["severity"] == "error" and d["code"] not in ABOUT_FILES]
            warnings = [d["code"] for d in row["diagnostics"] if d["severity"] == "warning"]
            verdicts[os.path.basename(row["file"])[:-5]] = (not errors, "W_BOOLEAN" in warnings)
        return verdicts

    def test_every_key_is_there(self):
        told = set(self.schema.root["properties"]) | {key.lstrip("^") + "*"
                                                      for key in self.schema.root["patternProperties"]}
        keys = set(re.findall(r'\.name = "([^"]+)"', tree.read("tools/cli/config_keys.c")))
        self.assertEqual(told, keys)

    def test_corpus(self):
        self.assertGreater(len(self.names), 70)
        parser = self.parser_verdicts()
        for name in self.names:
            with self.subTest(file=name):
                with open(os.path.join(CORPUS, name + ".json"), encoding="utf-8") as file:
                    schema = self.schema.accepts(json.load(file))
                good, only = name.startswith("good-"), name.startswith("bad-only-parser-")
                warned = name.startswith("warned-")
                self.assertEqual(parser[name], (good or warned, warned), "the parser")
                self.assertEqual(schema, good or only, "the schema")

    def test_exceptions_have_files(self):
        only = {name[len("bad-only-parser-"):] for name in self.names if name.startswith("bad-only-parser-")}
        self.assertEqual(only, set(ONLY_PARSER))


if __name__ == "__main__":
    unittest.main()
