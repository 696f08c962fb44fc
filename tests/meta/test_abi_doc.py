# SPDX-License-Identifier: BSD-2-Clause
"""docs/abi.md names every hypercall and every sub-operation that the code handles, claims none that it does not handle,
and names only tests that exist."""

import collections
import os
import re
import unittest

import tree

PATH = "docs/abi.md"
HYPERCALLS = "hypervisor/hypercall/table.def"

# Section -> source, and what precedes a sub-operation's name where it is dispatched.
DISPATCH = {
    "domctl": ("hypervisor/hypercall/domctl.c", r"\[XEN_DOMCTL_"),
    "umbra_op": ("hypervisor/hypercall/umbra_op.c", r"\[UMBRA_OP_"),
    "sysctl": ("hypervisor/hypercall/sysctl.c", r"\[XEN_SYSCTL_"),
    "memory_op": ("hypervisor/hypercall/memory_op.c", r"case XENMEM_"),
    "sched_op": ("hypervisor/hypercall/sched_op.c", r"case SCHEDOP_"),
    "vcpu_op": ("hypervisor/hypercall/vcpu_op.c", r"case VCPUOP_"),
    "platform_op": ("hypervisor/hypercall/platform_op.c", r"case XENPF_"),
    "physdev_op": ("hypervisor/hypercall/physdev_op.c", r"^    SUB\("),
    "xen_version": ("hypervisor/hypercall/version.c", r"case XENVER_"),
    "console_io": ("hypervisor/hypercall/console_io.c", r"case CONSOLEIO_"),
    "mmu_update": ("hypervisor/mm/pv/mmu_update.c", r"case MMU_"),
    "mmuext_op": ("hypervisor/mm/pv/mmuext.c", r"case MMUEXT_"),
    "callback_op": ("hypervisor/pv/hypercalls.c", r"case CALLBACKOP_"),
    "vm_assist": ("hypervisor/pv/hypercalls.c", r"case VMASST_CMD_"),
    "set_segment_base": ("hypervisor/pv/hypercalls.c", r"case SEGBASE_"),
    "event_channel_op": ("hypervisor/event/event_channel_op.c", r"\[EVTCHNOP_"),
    "grant_table_op": ("hypervisor/grant/grant_table_op.c", r"(?:\[|OP\(|cmd == )GNTTABOP_"),
}
NOT_TESTS = {"boot", "tools", "none yet"}


def sections():
    """{hypercall: text} of the sections whose headings are NAME (NUMBER)."""
    parts = re.split(r"^## (?:(\w+) \(\d+\)|.*)$", tree.read(PATH), flags=re.M)[1:]
    return {name: text for name, text in zip(parts[::2], parts[1::2]) if name}


def rows(text):
    """The cells of the table rows that follow the table's rule."""
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.split("\n") if line[:2] == "| "]
    return [row for row in found if not set(row[0]) <= set("- ") and row[0] not in ("Sub-operation", "Hypercall")]


def test_sources():
    texts = collections.defaultdict(str)
    for path in tree.sources("tests/unit", "tests/lab"):
        name = os.path.basename(path)
        if name.startswith("test_"):
            texts[os.path.splitext(name)[0]] += tree.read(path)
        elif name.startswith("core_"):  # a group of the program test_core
            texts["test_core"] += tree.read(path)
    return texts


class AbiDoc(unittest.TestCase):
    def test_hypercalls(self):
        code = set(re.findall(r"^HYPERCALL\((\d+), (\w+),", tree.read(HYPERCALLS), re.M))
        said = re.findall(r"^(?:## |\| )(\w+) \((\d+)\)", tree.read(PATH), re.M)
        self.assertGreater(len(code), 20)
        self.assertEqual(len(said), len(set(said)), "a hypercall is described twice")
        self.assertEqual({(number, name) for name, number in said}, code)

    def test_sections_are_known(self):
        with_table = {name for name, text in sections().items() if rows(text)}
        self.assertEqual(with_table, set(DISPATCH))

    def test_sub_operations(self):
        for name, text in sections().items():
            source, before = DISPATCH[name]
            code = set(re.findall(rf"{before}(\w+)", tree.read(source), re.M))
            said = [each for row in rows(text) if not row[0].startswith("others") for each in row[0].split(", ")]
            self.assertTrue(code, source)
            self.assertEqual(len(said), len(set(said)), name)
            self.assertEqual(set(said), code, name)

    def test_rows_are_whole(self):
        for row in rows(tree.read(PATH)):
            self.assertEqual(len(row), 4, row)
            self.assertRegex(row[1], r"^(supported|partial|refused|control)\b", row[0])

    def test_tests_exist(self):
        texts = test_sources()
        for name, text in [("first table", tree.read(PATH).split("## mmu_update")[0]), *sections().items()]:
            inherited = None
            for row in rows(text):
                for part in row[3].split(";"):
                    program, _, names = part.strip().rpartition(": ")
                    if part.strip() in NOT_TESTS:
                        continue
                    inherited = program or inherited
                    self.assertIn(inherited, texts, f"{name}, {row[0]}")
                    for each in names.split(", "):
                        self.assert_defined(each, texts[inherited], f"{name}, {row[0]}: {inherited}: {each}")

    def assert_defined(self, name, text, where):
        pattern = r"^(?:static void|    def|class) (?:test_)?" + re.escape(name).replace(r"\*", r"\w+") + r"\("
        self.assertTrue(re.search(pattern, text, re.M), where)


if __name__ == "__main__":
    unittest.main()
