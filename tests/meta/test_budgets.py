# SPDX-License-Identifier: BSD-2-Clause
"""Budgets that keep the tree readable: lengths, parameters, nesting, conditionals; and what no file may contain."""

import re
import statistics
import unittest

import tree

FILE_LINES = 800
FUNCTION_LINES = 80
FUNCTION_MEDIAN = 15
PARAMETERS = 6
NESTING = 4
CONDITIONALS = 20
MAKEFILE_LINES = 150
HVM_OPS = 25

# Functions that are one list of named steps may have up to 120 lines: "path:function".
STEP_LIST_LINES = 120
STEP_LISTS = set()
# Functions of libraries, for which a test stands in.
NOT_OURS = {"xenforeignmemory_map_resource", "xencall5"}

# Put together here, so that this file passes its own check.
FORBIDDEN = ["/" + "work/", "/home" + "/", "deb.debian" + ".org", "TO" + "DO", "FIX" + "ME", "XX" + "X"]

C_FILES = [path for path in tree.sources("hypervisor", "tools", "tests") if path.endswith((".c", ".h"))]


class Budgets(unittest.TestCase):
    def none(self, findings):
        if findings:
            self.fail("\n" + "\n".join(findings))

    def test_file_lengths(self):
        self.none([f"{path}: {lines} lines, at most {FILE_LINES}" for path in tree.sources()
                   if (lines := tree.read(path).count("\n")) > FILE_LINES])

    def test_function_lengths(self):
        findings = []
        for path in C_FILES:
            for f in tree.functions(path):
                limit = STEP_LIST_LINES if f"{path}:{f.name}" in STEP_LISTS else FUNCTION_LINES
                if f.lines > limit:
                    findings.append(f"{path}:{f.line}: {f.name}() has {f.lines} lines, at most {limit}")
        self.none(findings)

    def test_step_lists_exist(self):
        names = {f"{path}:{f.name}" for path in C_FILES for f in tree.functions(path)}
        self.none([f"{name}: no such function; take it off the list" for name in STEP_LISTS - names])

    def test_function_median(self):
        for folder in ("hypervisor", "tools"):
            lengths = [f.lines for path in C_FILES if path.startswith(folder + "/") for f in tree.functions(path)]
            self.assertLessEqual(statistics.median(lengths or [0]), FUNCTION_MEDIAN, folder)

    def test_parameters(self):
        self.none([f"{path}:{f.line}: {f.name}() has {f.parameters} parameters, at most {PARAMETERS}"
                   for path in C_FILES for f in tree.functions(path)
                   if f.parameters > PARAMETERS and f.name not in NOT_OURS])

    def test_nesting(self):
        self.none([f"{path}:{f.line}: {f.name}() nests {f.depth} blocks, at most {NESTING}"
                   for path in C_FILES for f in tree.functions(path) if f.depth > NESTING])

    def test_conditionals(self):
        found = []
        for path in tree.sources("hypervisor"):
            if not path.endswith((".c", ".h", ".S")):
                continue
            guard = re.search(r"^#ifndef (\w+)\n#define \1\b", tree.read(path), re.M)
            for match in re.finditer(r"^\s*#\s*if(?:def|ndef)?\b.*", tree.read(path), re.M):
                if not guard or match.start() != guard.start():
                    found.append(f"{path}: {match.group().strip()}")
        self.assertLessEqual(len(found), CONDITIONALS, "\n" + "\n".join(found))

    def test_back_end(self):
        """What a vendor's back end has to offer is little; and each reason of an exit has a name in the figures."""
        text = tree.without_comments(tree.read("hypervisor/include/hv/hvm.h"))
        body = re.search(r"^struct hvm_ops \{\n(.*?)^\};", text, re.M | re.S).group(1)
        self.assertIn(body.count(";"), range(5, HVM_OPS + 1))
        reasons = set(re.findall(r"\b(HVM_EXIT_\w+)\s*,", text))
        named = set(re.findall(r"\[(HVM_EXIT_\w+)\] = \"", tree.read("hypervisor/hypercall/shadow_op.c")))
        self.assertEqual(reasons, named)

    def test_makefile(self):
        self.assertLessEqual(tree.read("Makefile").count("\n"), MAKEFILE_LINES)

    def test_licence_lines(self):
        findings = []
        for path in tree.sources():
            lines = tree.read(path).split("\n")
            first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
            if not first.rstrip(" */").endswith("SPDX-License-Identifier: BSD-2-Clause"):
                findings.append(f"{path}: no SPDX line at the top")
        # The CI entry is given by its machine.
        self.none([f for f in findings if not f.startswith(".ci/")])

    def test_forbidden_words(self):
        self.none([f"{path}: contains {word!r}" for path in tree.files() if not path.startswith("LICENSE")
                   for word in FORBIDDEN if re.search(r"(?<![A-Za-z0-9_])" + re.escape(word), tree.read(path))])

    def test_line_width(self):
        self.none([f"{path}:{number}: {len(line)} columns" for path in tree.sources()
                   for number, line in enumerate(tree.read(path).split("\n"), 1) if len(line) > 120])
