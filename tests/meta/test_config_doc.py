# SPDX-License-Identifier: BSD-2-Clause
"""docs/umbra-json.md says what the table of configuration keys says, docs/cli.md what the table of verbs says."""

import re
import unittest

import tree

UNITS = {"MIB": 1 << 10, "TIB": 1 << 30}


def number(text):
    factors = [UNITS.get(part.strip(), None) or int(part) for part in text.split("*")]
    product = 1
    for factor in factors:
        product *= factor
    return product


def entries(source, start):
    """The top-level {...} of the array that begins at `start`."""
    text = tree.read(source)
    text = text[text.index(start) + len(start):text.index("\n};", text.index(start))]
    found, depth, at, quoted = [], 0, 0, False
    for i, char in enumerate(text):
        if char == '"' and text[i - 1] != "\\":
            quoted = not quoted
        elif not quoted and char == "{":
            at = i if depth == 0 else at
            depth += 1
        elif not quoted and char == "}":
            depth -= 1
            if depth == 0:
                found.append(" ".join(text[at + 1:i].split()))
    return found


def sections(path, marker):
    """{name: text} of the sections whose headings are `marker` and a name in backquotes, in order."""
    parts = re.split(rf"^{marker} `([^`]+)`$", tree.read(path), flags=re.M)[1:]
    return {name: " ".join(text.split()) for name, text in zip(parts[::2], parts[1::2])}


class Keys(unittest.TestCase):
    def setUp(self):
        self.doc = sections("docs/umbra-json.md", "###")
        self.keys = {}
        for entry in entries("tools/cli/config_keys.c", "config_keys[] = {"):
            fields = dict(re.findall(r"\.(\w+) = (\"(?:[^\"\\]|\\.)*\"|[^,]+)", entry))
            self.keys[fields["name"].strip('"')] = fields

    def test_same_keys_in_the_same_order(self):
        self.assertGreater(len(self.keys), 20)
        self.assertEqual(list(self.doc), list(self.keys))

    def test_defaults(self):
        for name, fields in self.keys.items():
            default = re.search(r"Default: `([^`]*)`", self.doc[name])
            self.assertEqual(default and default.group(1), fields.get("fallback", "").strip('"') or None, name)

    def test_required(self):
        for name, fields in self.keys.items():
            self.assertEqual(", required." in self.doc[name], fields.get("required") == "true", name)

    def test_ranges(self):
        for name, fields in self.keys.items():
            if "min" not in fields:
                continue
            low, high = number(fields["min"]), number(fields["max"])
            if fields["kind"] == "KIND_SIZE":
                said = f"{low >> 10} MiB to {high >> 20} GiB"
            else:
                said = f"{low} to {high}"
            self.assertIn(said, self.doc[name], name)

    def test_words(self):
        for name, fields in self.keys.items():
            if "words" not in fields:
                continue
            words = entries("tools/cli/config_keys.c", f"{fields['words']}[] = {{")
            now = [w.split(",")[0].strip('"') for w in words if w.endswith("false")]
            said = "One of " + ", ".join(f"`{w}`" for w in now) + "."
            self.assertTrue(self.doc[name].startswith(said), name)

    def test_codes(self):
        text = tree.read("docs/umbra-json.md")
        for source in ("json.c", "config.c", "config_check.c"):
            for code in set(re.findall(r'"([EW]_[A-Z0-9]+)"', tree.read(f"tools/cli/{source}"))):
                self.assertIn(f"`{code}`", text, source)


class Verbs(unittest.TestCase):
    def setUp(self):
        self.doc = sections("docs/cli.md", "##")
        self.verbs = [[field.strip() for field in re.findall(r'\s*("(?:[^"\\]|\\.)*"|[^,]+)', entry)]
                      for entry in entries("tools/cli/commands.c", "commands[] = {") if entry != "0"]

    def test_same_verbs(self):
        self.assertEqual(set(self.doc), {verb[0].strip('"') for verb in self.verbs})

    def test_options(self):
        for verb in self.verbs:
            name, table = verb[0].strip('"'), verb[5]
            if table == "NULL":
                continue
            for option in entries("tools/cli/commands.c", f"{table}[] = {{"):
                match = re.match(r"'(.)', \"([\w-]+)\", (NULL|\"([^\"]+)\")", option)
                if match and name != "reboot":  # which refers to shutdown
                    argument = f" {match.group(4)}" if match.group(4) else ""
                    self.assertIn(f"`-{match.group(1)}`, `--{match.group(2)}{argument}`", self.doc[name], name)
