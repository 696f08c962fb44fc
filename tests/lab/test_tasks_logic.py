# SPDX-License-Identifier: BSD-2-Clause
"""The reader of docs/tasks, and of its pages what can be seen without a machine: they are read, each command has its
mark, and the verbs and options of umbra that they name exist."""

import os
import re
import shlex
import subprocess
import unittest

import tasks

UMBRA = os.path.join(os.environ.get("UMBRA_BUILD", os.path.join(tasks.TOP, "build")), "umbra")
COMMAND = re.compile(r"(?<![\w/.-])umbra ((?:-\S+ )*[a-z][\w-]*)([^|;&>)\n]*)")

PAGE = """# Page
```sh lab
one
two  three
```
```text shows
a ... b
c  d
```
```sh elsewhere: no network
four
```
```json file /etc/x.json
{}
```
"""


class Reader(unittest.TestCase):
    def test_blocks(self):
        self.assertEqual(tasks.parse(PAGE, "p"), [
            tasks.Block("lab", "", "one\ntwo  three\n", "p:2", ("a ... b", "c  d")),
            tasks.Block("elsewhere", "no network", "four\n", "p:10"),
            tasks.Block("file", "/etc/x.json", "{}\n", "p:13")])

    def test_missing(self):
        block = tasks.parse(PAGE, "p")[0]
        self.assertEqual(block.missing("c   d\na 1 2\tb"), [])
        self.assertEqual(block.missing("cd a b"), ["c  d"])
        self.assertEqual(block.missing(""), ["a ... b", "c  d"])
        self.assertEqual(tasks.Block("lab", "", "", "", ("a.b (1)",)).missing("axb (1)"), ["a.b (1)"])
        self.assertEqual(tasks.Block("lab", "", "", "", ("took ...",)).missing("it took"), [])

    def test_refused(self):
        for text in ("```sh\nx\n```\n", "```sh lap\nx\n```\n", "```\nx\n```\n", "```sh lab\nx\n",
                     "```text shows\nx\n```\n", "```text\nx\n```\n```text shows\nx\n```\n",
                     "```sh lab, until it shows\nx\n```\n"):
            with self.assertRaises(ValueError, msg=text):
                tasks.parse(text, "p")


class Pages(unittest.TestCase):
    def test_all_are_read(self):
        names = {name[:-len(".md")] for name in os.listdir(tasks.FOLDER)}
        self.assertEqual(names, set(tasks.PAGES))
        for name in tasks.PAGES:
            kinds = {block.kind for block in tasks.read(name)}
            self.assertTrue(kinds & {"lab", "until"}, name)

    def test_are_short(self):
        for name in tasks.PAGES:
            with open(os.path.join(tasks.FOLDER, name + ".md"), encoding="utf-8") as file:
                self.assertLessEqual(len(file.readlines()), 160, name)

    @unittest.skipUnless(os.access(UMBRA, os.X_OK), "umbra is not built")
    def test_options(self):
        """With --help every verb looks at its options and does nothing."""
        seen = 0
        for name in tasks.PAGES:
            for block in tasks.read(name):
                for verb, rest in COMMAND.findall(block.text if block.kind not in ("file", "text") else ""):
                    words = [*shlex.split(verb), "--help", *shlex.split(rest)]
                    done = subprocess.run([UMBRA, *words], capture_output=True, text=True, check=False)
                    self.assertEqual((done.returncode, done.stderr), (0, ""), f"{block.where}: umbra {verb}{rest}")
                    seen += 1
        self.assertGreater(seen, 40)


if __name__ == "__main__":
    unittest.main()
