# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages of docs/man say what the programs know, and nothing else: verbs, usage and options of the built
umbra, keys of its configurations and settings with types, ranges, words and defaults, words and debug keys of the
hypervisor."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

import mdoc
import test_boot_options_doc
import tree

UMBRA = os.path.join(os.environ.get("UMBRA_BUILD", os.path.join(tree.TOP, "build")), "umbra")
PAGES = ("umbra.1", "umbra.conf.5", "umbra.json.5", "umbra-hypervisor.7")
TOOLS = ("tools/cli", "tools/libctl", "tools/tls", "tools/xml")
# Places of others, or of no interest to who uses the tool.
OTHER_FILES = {"/etc/os-release", "/run/lock"}
built = unittest.skipUnless(os.access(UMBRA, os.X_OK), f"{os.path.basename(UMBRA)} is not built")


def page(name):
    return mdoc.read("docs/man/" + name)


def umbra(*words):
    return subprocess.run([UMBRA, *words], capture_output=True, text=True, check=False)


def said(*words):
    done = umbra(*words)
    if done.returncode:
        raise AssertionError(f"umbra {' '.join(words)}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def sources(*folders):
    return "\n".join(tree.read(path) for path in tree.sources(*folders) if path.endswith((".c", ".h")))


def tags(items):
    return [item.tag for item in items]


def option_of(line):
    """"-f, --defconfig FILE" of a line of `umbra help VERB`, where 24 columns are for it unless it needs more."""
    end = 26 if line[26:27] in (" ", "") else line.index(" ", 26)
    return line[2:end].rstrip()


class Source(unittest.TestCase):
    def test_all_pages_are_there(self):
        self.assertEqual(tree.files("docs/man"), sorted("docs/man/" + name for name in PAGES))

    def test_names(self):
        """The title, which is the file's name, the name in NAME, and references to the other pages."""
        for name in PAGES:
            title, section = name.rsplit(".", 1)
            text = tree.read("docs/man/" + name)
            self.assertIn(f"\n.Dt {title.upper()} {section}\n", text)
            self.assertTrue(page(name)["NAME"].text.startswith(title + " "), name)
            for other in PAGES:
                if other != name:
                    reference = "\n.Xr {} {}".format(*other.rsplit(".", 1))
                    self.assertTrue(reference in text, f"{name}: no{reference}")

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_lint(self):
        for name in PAGES:
            done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", os.path.join(tree.TOP, "docs/man", name)],
                                  capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), name)


@built
class Verbs(unittest.TestCase):
    def setUp(self):
        self.page = page("umbra.1")
        self.verbs = {item.tag.split(" ")[0]: item for item in self.page["VERBS"].items}

    def test_verbs(self):
        known = re.findall(r"^  ([a-z][\w-]*) +\S", said("help").split("\n\n")[1], re.M)
        self.assertGreater(len(known), 40)
        self.assertEqual(sorted(self.verbs), sorted(known))

    def test_usage(self):
        for name, item in self.verbs.items():
            usage = said("help", name).split("\n")[0]
            self.assertEqual(f"Usage: umbra {item.tag}", usage.rstrip())

    def test_options(self):
        for name, item in self.verbs.items():
            lines = said("help", name).partition("\nOptions:\n")[2].split("\n\n")[0].split("\n")
            self.assertEqual(tags(item.items), [option_of(line) for line in lines if line], name)
            self.assertEqual([option.tag for option in item.items if not option.text], [], name)

    def test_options_of_completion(self):
        """The other list of options that the program makes."""
        rows = re.findall(r"^    ([\w-]+)\) options='(\S*)'", said("completion", "bash"), re.M)
        known = {name: options.split("|") if options else [] for name, options in rows}
        told = {name: [word for option in item.items for word in re.findall(r"(?<!\S)--?[\w-]+", option.tag)]
                for name, item in self.verbs.items()}
        self.assertEqual(told, known)

    def test_options_before_the_verb(self):
        text = tree.read("tools/cli/commands.c")
        table = text[text.index("static int global_options("):]
        rows = re.findall(r'\{"(\w+)", no_argument, NULL, \'(\w)\'\}', table)
        letters = re.search(r'getopt_long\(argc, argv, "\+(\w+)"', table).group(1)
        self.assertEqual(tags(self.page["OPTIONS"].items),
                         [(f"-{letter}, " if letter in letters else "") + "--" + name for name, letter in rows])
        for item in self.page["OPTIONS"].items:
            for word in item.tag.split(", "):
                self.assertEqual(umbra(word, "help").returncode, 0, word)

    def test_exit_status(self):
        codes = re.findall(r"^#define EXIT_\w+ +(\d+)", tree.read("tools/cli/cli.h"), re.M)
        self.assertEqual(tags(self.page["EXIT STATUS"].items), codes)
        self.assertEqual([umbra("help").returncode, umbra("no-such-verb").returncode], [0, 2])

    def test_environment(self):
        text = sources(*TOOLS)
        read = set(re.findall(r'\bgetenv\("(\w+)"\)', text))
        ours = set(re.findall(r'\b(?:setenv|set_or_not)\("(UMBRA_\w+)"', text))
        self.assertEqual(tags(self.page["ENVIRONMENT"].items), sorted(read | ours))

    def test_files(self):
        known = set(re.findall(r'"(/(?:etc|run|usr|var)/[^"% ]+)"', sources(*TOOLS))) - OTHER_FILES
        installed = tree.read("tools/package/install.sh").replace("$PREFIX", "/usr")
        installed += tree.read("tools/package/daemon-options")
        told = tags(self.page["FILES"].items)
        self.assertEqual(told, sorted(told))
        self.assertEqual(known - set(told), set())
        self.assertEqual([path for path in told if path not in known and path not in installed], [])

    def test_examples(self):
        """What they name exists: with --help every verb looks at its options and does nothing."""
        lines = [line for name in PAGES for section in page(name).values() for item in section.everything()
                 for text in item.literal for line in text.split("\n") if line.startswith("umbra ")]
        self.assertGreater(len(lines), 5)
        for line in lines:
            words = shlex.split(line)[1:]
            done = umbra(words[0], "--help", *words[1:])
            self.assertEqual((done.returncode, done.stderr), (0, ""), line)

    def test_verbs_in_prose(self):
        for name in PAGES:
            for verb in re.findall(r"^\.Li umbra ([\w-]+)", tree.read("docs/man/" + name), re.M):
                self.assertTrue([known for known in self.verbs if known.startswith(verb)], f"{name}: {verb}")


@built
class Keys(unittest.TestCase):
    def setUp(self):
        self.page = page("umbra.json.5")
        self.schema = json.loads(said("config", "schema"))
        self.items = {item.tag.split(" ")[0]: item for item in self.page["KEYS"].items}
        lines = said("help", "create").split("configuration:\n")[1]
        rows = re.findall(r"^  (\S+) +.*?(?: \(default: (.*)\))?$", lines, re.M)
        self.defaults = {name: default or None for name, default in rows}

    def keys(self):
        """(name, item, its schema, required?) of all keys, those of devices among them."""
        schemas = dict(self.schema["properties"])
        for pattern, schema in self.schema["patternProperties"].items():
            schemas[pattern.lstrip("^") + "*"] = schema
        yield from self.compared(self.items, schemas, self.schema["required"])
        for name in ("disk", "vif"):
            device = schemas[name]["items"]["anyOf"][1]
            items = {item.tag.split(" ")[0]: item for item in self.items[name].items}
            yield from self.compared(items, device["properties"], device["required"])

    def compared(self, items, schemas, required):
        self.assertEqual(sorted(items), sorted(schemas))
        for name, item in items.items():
            yield name, item, schemas[name], name in required

    @staticmethod
    def type_of(schema):
        if "enum" in schema:
            return "word"
        if "anyOf" in schema:
            return "size"
        return {"integer": "number", "array": "list"}.get(schema.get("type"), schema.get("type", "any"))

    @staticmethod
    def range_of(schema):
        if "anyOf" in schema:
            number = schema["anyOf"][0]
            return f"{number['minimum']} MiB to {number['maximum'] >> 10} GiB"
        return f"{schema['minimum']} to {schema['maximum']}" if "minimum" in schema else None

    def told(self, item, pattern):
        found = re.search(pattern, item.text)
        return found and found.group(1)

    def test_types(self):
        known = set(tags(self.page["TYPES"].items))
        for name, item, schema, _ in self.keys():
            self.assertEqual(item.tag, f"{name} {self.type_of(schema)}")
            self.assertIn(self.type_of(schema), known)

    def test_ranges(self):
        for name, item, schema, _ in self.keys():
            self.assertEqual(self.told(item, r"From (.*?)\.(?: |$)"), self.range_of(schema), name)

    def test_words(self):
        for name, item, schema, _ in self.keys():
            words = ", ".join(schema["enum"]) if "enum" in schema else None
            self.assertEqual(self.told(item, r"^One of (.*?)\.(?: |$)"), words, name)

    def test_required(self):
        for name, item, _, required in self.keys():
            self.assertEqual(item.text.startswith("Required."), required, name)

    def test_defaults(self):
        self.assertEqual(sorted(self.items), sorted(self.defaults))
        self.assertGreater(len([text for text in self.defaults.values() if text]), 15)
        for name, item in self.items.items():
            self.assertEqual(self.told(item, r"Default: (.*?)\.(?: |$)"), self.defaults[name], name)

    def test_examples(self):
        """In both forms, and they are the same guest but for how the devices are written."""
        read = []
        for text in self.page["EXAMPLES"].literal:
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                file.write(text + "\n")
                file.flush()
                read.append(json.loads(said("config", "convert", "--strict", file.name)))
        self.assertEqual(len(read), 2)
        plain = [{key: value for key, value in each.items() if key not in ("disk", "vif")} for each in read]
        self.assertEqual(plain[0], plain[1])


@built
class Settings(Keys):
    """Keys of umbra.conf: guests' keys are of these types, with these defaults; the others are strings."""

    def setUp(self):
        super().setUp()
        self.page = page("umbra.conf.5")
        guests, text = self.defaults, sources("tools/cli")
        table = re.search(r"^static const struct settings_key settings_keys\[\] = \{\n(.*?)\n\};", text, re.M | re.S)
        self.defaults = {}
        for row in table.group(1).split("{.name = ")[1:]:
            name = re.match(r'"([^"]+)"', row).group(1)
            self.defaults[name] = self.text_of(row, text) if ".vif" in row or ".fault" in row else guests[name]
        self.schema = {name: self.schema["properties"].get(name, {"type": "string"}) for name in self.defaults}
        self.items = {item.tag.split(" ")[0]: item for item in self.page["KEYS"].items}

    @staticmethod
    def text_of(row, text):
        word = re.search(r'\.fallback = (?:"([^"]+)"|(\w+))', row)
        return word and (word.group(1) or re.search(rf'^#define {word.group(2)} +"([^"]+)"', text, re.M).group(1))

    def keys(self):
        yield from self.compared(self.items, self.schema, ())

    def test_keys(self):
        self.assertGreater(len(self.defaults), 8)
        self.assertEqual([item.tag.split(" ")[0] for item in self.page["KEYS"].items], list(self.defaults))

    def test_types(self):
        for name, item, schema, _ in self.keys():
            self.assertEqual(item.tag, f"{name} {self.type_of(schema)}")

    def test_defaults(self):
        for name, item in self.items.items():
            told = self.told(item, r"^(?:From.*?\. |One of.*?\. )?Default: (.*?)\. ")
            self.assertEqual(told, self.defaults[name], name)

    def test_guide(self):
        """docs/cli.md has the same keys, and umbra-json.md those of guests."""
        rows = tree.read("docs/cli.md").split("\n## Settings\n")[1].split("\n## ")[0]
        told = [key for row in re.findall(r"^\| (`.*?) \|", rows, re.M) for key in re.findall(r"`([^`]+)`", row)]
        self.assertEqual(told, list(self.defaults))

    def test_examples(self):
        for text in self.page["EXAMPLES"].literal:
            if text.startswith("{"):
                self.assertLessEqual(set(json.loads(text)), set(self.defaults))


class Hypervisor(unittest.TestCase):
    def setUp(self):
        self.page = page("umbra-hypervisor.7")
        self.words = [(name, item) for item in self.page["BOOT WORDS"].items for name in item.tag.split(", ")]

    def default_of(self, item):
        found = re.search(r"^Default: (.*?)\.(?: |$)", item.text)
        return found.group(1) if found else ""

    def test_words(self):
        self.assertEqual([name for name, _ in self.words], sorted(test_boot_options_doc.declared()))

    def test_defaults(self):
        documented = test_boot_options_doc.documented()
        for name, item in self.words:
            self.assertEqual(self.default_of(item), documented[name].replace("`", ""), name)

    def test_run_time(self):
        told = [name for name, item in self.words if "Can be set at run time." in item.text]
        self.assertEqual(told, sorted(test_boot_options_doc.settable()))

    def test_switches(self):
        """"on" and "off" are how their variables begin."""
        text = sources("hypervisor")
        switches = dict(re.findall(r'^CMDLINE_(?:PARAM|RUNTIME)\("(\w+)", PARAM_BOOL, (\w+)\);', text, re.M))
        self.assertGreater(len(switches), 5)
        for name, item in self.words:
            default = self.default_of(item)
            begins = re.search(rf"^(?:static )?bool .*?\b{switches.get(name)}( = true)?[,;]", text, re.M)
            self.assertEqual(default == "on", bool(begins and begins.group(1)), name)
            told = name in switches and name not in ("sync_console", "x2apic")
            self.assertEqual(default in ("on", "off"), told, name)

    def test_debug_keys(self):
        keys = set(re.findall(r"register_debug_key\('(\w)'", sources("hypervisor")))
        told = [key for item in self.page["DEBUG KEYS"].items for key in item.tag.split(", ")]
        self.assertEqual(sorted(told), sorted(keys))

    def test_settings(self):
        """What the script for GRUB reads, and the file that is installed has."""
        told = set(re.findall(r"\bUMBRA_\w+", self.page["FILES"].items[1].text))
        self.assertEqual(told, set(re.findall(r"^(UMBRA_\w+)=", tree.read("tools/package/default"), re.M)))
        self.assertEqual(told, set(re.findall(r"^(UMBRA_\w+)=$", tree.read("tools/package/grub.d"), re.M)))

    def test_files(self):
        installed = tree.read("tools/package/install.sh").replace("$SYSCONFDIR", "/etc").replace("$BOOTDIR", "/boot")
        for item in self.page["FILES"].items:
            self.assertIn(item.tag.replace("VERSION", "$VERSION"), installed)


if __name__ == "__main__":
    unittest.main()
