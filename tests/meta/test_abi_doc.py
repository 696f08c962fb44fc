# SPDX-License-Identifier: BSD-2-Clause
"""docs/abi.md names every hypercall and every sub-operation that the installed headers of Xen define, none that they do
not; says supported exactly of what the code handles; and names only tests that exist. What it calls refused is asked by
the probe (tests/lab/probe_rows.def)."""

import collections
import os
import re
import unittest

import tree

PATH = "docs/abi.md"
HYPERCALLS = "hypervisor/hypercall/table.def"

HEADERS = "/usr/include/xen/"
NUMBER = r"\(?(?:\w+[ \t]*\|[ \t]*)?(?:0x)?[0-9a-fA-F]+\)?[uU]?[ \t]*(?:/\*.*)?$"
LOWER = "[A-Z]"  # names in capitals are something else
ANY = "(?!)"

# Spaces of commands: header, prefix, and what follows the prefix in names that are no commands. First those of whole
# hypercalls, then those inside a sub-operation, by the words that the page uses for them.
CALLS = {
    "domctl": ("domctl.h", "XEN_DOMCTL_", "vmtrace_(?!op)|" + LOWER),
    "sysctl": ("sysctl.h", "XEN_SYSCTL_", "(?:pm_op|cpu_featureset|cpu_policy)_|" + LOWER),
    "memory_op": ("memory.h", "XENMEM_", "(?:paging_op|access_op|sharing_op|resource)_|" + LOWER),
    "platform_op": ("platform.h", "XENPF_", LOWER),
    "physdev_op": ("physdev.h", "PHYSDEVOP_", LOWER),
    "event_channel_op": ("event_channel.h", "EVTCHNOP_", ANY),
    "grant_table_op": ("grant_table.h", "GNTTABOP_", ANY),
    "sched_op": ("sched.h", "SCHEDOP_", ANY),
    "vcpu_op": ("vcpu.h", "VCPUOP_", ANY),
    "xen_version": ("version.h", "XENVER_", ANY),
    "console_io": ("xen.h", "CONSOLEIO_", ANY),
    "callback_op": ("callback.h", "CALLBACKOP_", ANY),
    "nmi_op": ("nmi.h", "XENNMI_", ANY),
    "mmu_update": ("xen.h", "MMU_", ANY),
    "mmuext_op": ("xen.h", "MMUEXT_", ANY),
    "set_segment_base": ("arch-x86/xen-x86_64.h", "SEGBASE_", ANY),
    "vm_assist": ("xen.h", "VMASST_CMD_", ANY),
    "hvm_op": ("hvm/hvm_op.h", "HVMOP_", "altp2m_|" + LOWER),
    "xenoprof_op": ("xenoprof.h", "XENOPROF_", "last_op|" + LOWER),
    "kexec_op": ("kexec.h", "KEXEC_CMD_", ANY),
    "tmem_op": ("tmem.h", "TMEM_", "SPEC|POOL|CLIENT"),
    "xenpmu_op": ("pmu.h", "XENPMU_", LOWER),
    "argo_op": ("argo.h", "XEN_ARGO_OP_", ANY),
    "hypfs_op": ("hypfs.h", "XEN_HYPFS_OP_", ANY),
    "dm_op": ("hvm/dm_op.h", "XEN_DMOP_", LOWER),
    "xsm_op": ("xsm/flask_op.h", "FLASK_", ANY),
    "mca": ("arch-x86/xen-mca.h", "XEN_MC_", LOWER),
}
INSIDE = {
    "vm_assist type": ("xen.h", "VMASST_TYPE_", ANY),
    "callback_op type": ("callback.h", "CALLBACKTYPE_", ANY),
    "domctl shadow_op": ("domctl.h", "XEN_DOMCTL_SHADOW_OP_", ANY),
    "domctl scheduler_op": ("domctl.h", "XEN_DOMCTL_SCHEDOP_", ANY),
    "domctl sendtrigger": ("domctl.h", "XEN_DOMCTL_SENDTRIGGER_", ANY),
    "domctl vm_event_op mode": ("domctl.h", "XEN_DOMCTL_VM_EVENT_OP_", ANY),
    "domctl vm_event_op": ("domctl.h", "XEN_VM_EVENT_", ANY),
    "domctl mem_sharing_op": ("domctl.h", "XEN_DOMCTL_MEM_SHARING_", ANY),
    "domctl psr_cmt_op": ("domctl.h", "XEN_DOMCTL_PSR_CMT_OP_", ANY),
    "domctl psr_alloc": ("domctl.h", "XEN_DOMCTL_PSR_", "CMT"),
    "domctl monitor_op": ("domctl.h", "XEN_DOMCTL_MONITOR_OP_", ANY),
    "domctl monitor_op event": ("domctl.h", "XEN_DOMCTL_MONITOR_EVENT_", ANY),
    "domctl debug_op": ("domctl.h", "XEN_DOMCTL_DEBUG_OP_", ANY),
    "domctl vuart_op": ("domctl.h", "XEN_DOMCTL_VUART_OP_", ANY),
    "domctl vmtrace_op": ("domctl.h", "XEN_DOMCTL_vmtrace_", "op"),
    "sysctl tbuf_op": ("sysctl.h", "XEN_SYSCTL_TBUFOP_", ANY),
    "sysctl perfc_op": ("sysctl.h", "XEN_SYSCTL_PERFCOP_", ANY),
    "sysctl get_pmstat": ("sysctl.h", "PMSTAT_", LOWER),
    "sysctl pm_op": ("sysctl.h", "", "(?!XEN_SYSCTL_pm_op_|[GS]ET_CPUFREQ_)"),
    "sysctl cpu_hotplug": ("sysctl.h", "XEN_SYSCTL_CPU_HOTPLUG_", ANY),
    "sysctl lockprof_op": ("sysctl.h", "XEN_SYSCTL_LOCKPROF_", ANY),
    "sysctl cpupool_op": ("sysctl.h", "XEN_SYSCTL_CPUPOOL_OP_", ANY),
    "sysctl scheduler_op": ("sysctl.h", "XEN_SYSCTL_SCHEDOP_", ANY),
    "sysctl coverage_op": ("sysctl.h", "XEN_SYSCTL_COVERAGE_", ANY),
    "sysctl psr_cmt_op": ("sysctl.h", "XEN_SYSCTL_PSR_CMT_", ANY),
    "sysctl psr_alloc": ("sysctl.h", "XEN_SYSCTL_PSR_", "CMT|" + LOWER),
    "sysctl get_cpu_featureset": ("sysctl.h", "XEN_SYSCTL_cpu_featureset_", ANY),
    "sysctl get_cpu_policy": ("sysctl.h", "XEN_SYSCTL_cpu_policy_", ANY),
    "sysctl livepatch_op": ("sysctl.h", "XEN_SYSCTL_LIVEPATCH_", ANY),
    "sysctl livepatch_op action": ("sysctl.h", "LIVEPATCH_ACTION_", ANY),
    "memory_op paging_op": ("memory.h", "XENMEM_paging_op_", ANY),
    "memory_op access_op": ("memory.h", "XENMEM_access_op_", ANY),
    "memory_op sharing_op": ("memory.h", "XENMEM_sharing_op_", ANY),
    "memory_op acquire_resource": ("memory.h", "XENMEM_resource_", r"\w+_(?:id|frame)_"),
    "memory_op acquire_resource id": ("memory.h", "XENMEM_resource_grant_table_id_", ANY),
    "memory_op add_to_physmap space": ("memory.h", "XENMAPSPACE_", ANY),
    "platform_op efi_runtime_call": ("platform.h", "XEN_EFI_", LOWER),
    "platform_op firmware_info": ("platform.h", "XEN_FW_", "EFI_(?!INFO)"),
    "platform_op firmware_info EFI_INFO": ("platform.h", "XEN_FW_EFI_", "INFO"),
    "platform_op set_processor_pminfo": ("platform.h", "XEN_PM_", ANY),
    "platform_op core_parking": ("platform.h", "XEN_CORE_PARKING_", ANY),
    "platform_op resource_op": ("platform.h", "XEN_RESOURCE_OP_", ANY),
    "physdev_op map_pirq type": ("physdev.h", "MAP_PIRQ_TYPE_", ANY),
    "physdev_op dbgp_op": ("physdev.h", "PHYSDEVOP_DBGP_", "(?!RESET)"),
    "kexec_op kexec_get_range": ("kexec.h", "KEXEC_RANGE_MA_", ANY),
    "hvm_op altp2m": ("hvm/hvm_op.h", "HVMOP_altp2m_", ANY),
}

# Section -> source, and what precedes a sub-operation's name where it is dispatched.
DISPATCH = {
    "domctl": ("hypervisor/hypercall/domctl.c", r"\[XEN_DOMCTL_"),
    "umbra_op": ("hypervisor/hypercall/umbra_op.c", r"\[UMBRA_OP_"),
    "sysctl": ("hypervisor/hypercall/sysctl.c", r"\[XEN_SYSCTL_"),
    "memory_op": ("hypervisor/hypercall/memory_op.c", r"case XENMEM_"),
    "sched_op": ("hypervisor/hypercall/sched_op.c", r"case SCHEDOP_"),
    "vcpu_op": ("hypervisor/hypercall/vcpu_op.c", r"case VCPUOP_"),
    "hvm_op": ("hypervisor/hypercall/hvm_op.c", r"case HVMOP_"),
    "platform_op": ("hypervisor/hypercall/platform_op.c", r"case XENPF_"),
    "physdev_op": ("hypervisor/hypercall/physdev_op.c", r"^    SUB\("),
    "xen_version": ("hypervisor/hypercall/version.c", r"case XENVER_"),
    "console_io": ("hypervisor/hypercall/console_io.c", r"case CONSOLEIO_"),
    "hypfs_op": ("hypervisor/hypercall/hypfs_op.c", r"XEN_HYPFS_OP_"),
    "mmu_update": ("hypervisor/mm/pv/mmu_update.c", r"case MMU_"),
    "mmuext_op": ("hypervisor/mm/pv/mmuext.c", r"case MMUEXT_"),
    "callback_op": ("hypervisor/pv/hypercalls.c", r"case CALLBACKOP_"),
    "nmi_op": ("hypervisor/pv/hypercalls.c", r"case XENNMI_"),
    "vm_assist": ("hypervisor/pv/hypercalls.c", r"case VMASST_CMD_"),
    "set_segment_base": ("hypervisor/pv/hypercalls.c", r"case SEGBASE_"),
    "event_channel_op": ("hypervisor/event/event_channel_op.c", r"\[EVTCHNOP_"),
    "grant_table_op": ("hypervisor/grant/grant_table_op.c", r"(?:\[|OP\(|cmd == )GNTTABOP_"),
}
REFUSED, NESTED = "Hypercalls that are not there", "Commands inside a sub-operation"
PROBE = "tests/lab/probe_rows.def"
NOT_TESTS = {"boot", "tools"}  # of what cannot fail
HOSTILE = "test_hostile"  # its tests are the guests of this folder
GUESTS = "tests/guests"


def defined(header, prefix, but):
    with open(HEADERS + header, encoding="utf-8") as file:
        return set(re.findall(rf"^[ \t]*#[ \t]*define[ \t]+{prefix}(?!{but})(\w+)[ \t]+{NUMBER}", file.read(), re.M))


def defined_hypercalls():
    """{(number, name)}; those of the architecture by their own names, as far as they have one."""
    with open(HEADERS + "xen.h", encoding="utf-8") as file:
        found = set(re.findall(r"^#define __HYPERVISOR_(\w+)[ \t]+(\d+)\b", file.read(), re.M))
    given = {"arch_0": "mca", "arch_7": "umbra_op"}
    return {(number, given.get(name, name)) for name, number in found}


def names(row):
    """The commands of a row: its first cell, without what stands before a colon."""
    return row[0].rpartition(": ")[2].split(", ")


def sections():
    """{hypercall: text} of the sections whose headings are NAME (NUMBER)."""
    parts = re.split(r"^## (?:(\w+) \(\d+\)|.*)$", tree.read(PATH), flags=re.M)[1:]
    return {name: text for name, text in zip(parts[::2], parts[1::2]) if name}


def rows(text):
    """The cells of the table rows that follow the table's rule."""
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.split("\n") if line[:2] == "| "]
    heads = ("Sub-operation", "Hypercall", "Commands")
    return [row for row in found if not set(row[0]) <= set("- ") and row[0] not in heads]


def chapter(title):
    return re.split(r"^## ", tree.read(PATH).split(f"\n## {title}\n")[1], flags=re.M)[0]


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
    guests = frozenset(tree.files(GUESTS))

    def test_hypercalls(self):
        code = set(re.findall(r"^HYPERCALL\((\d+), (\w+),", tree.read(HYPERCALLS), re.M))
        said = re.findall(r"^(?:## |\| )(\w+) \((\d+)\)", tree.read(PATH), re.M)
        refused = {(number, name) for name, number in re.findall(
            r"^\| (\w+) \((\d+)\)[^|]*\| refused", tree.read(PATH), re.M)}
        self.assertGreater(len(code), 20)
        self.assertEqual(len(said), len(set(said)), "a hypercall is described twice")
        said = {(number, name) for name, number in said}
        self.assertLessEqual(said - refused, code)
        self.assertLessEqual(code, said)
        self.assertEqual(said - code, defined_hypercalls() - code)

    def test_sections_are_known(self):
        with_table = {name for name, text in sections().items() if rows(text)}
        self.assertEqual(with_table, set(DISPATCH))

    def test_sub_operations(self):
        for name, text in sections().items():
            source, before = DISPATCH[name]
            code = set(re.findall(rf"{before}(\w+)", tree.read(source), re.M))
            table = [row for row in rows(text) if not row[0].startswith("others")]
            said = [each for row in table for each in names(row)]
            self.assertTrue(code, source)
            self.assertEqual(len(said), len(set(said)), name)
            self.assertLessEqual(code, set(said), name)
            claimed = {each for row in table if not row[1].startswith("refused") for each in names(row)}
            self.assertLessEqual(claimed, code, name)
            if name in CALLS:
                self.assertEqual(set(said), defined(*CALLS[name]), name)

    def test_refused_families(self):
        """Hypercalls that are not there name their commands in one row."""
        said = {re.match(r"\w+", row[0])[0]: set(names(row)) for row in rows(chapter(REFUSED)) if ": " in row[0]}
        self.assertEqual(said, {name: defined(*CALLS[name]) for name in set(CALLS) - set(DISPATCH)})

    def test_commands_inside(self):
        said = collections.defaultdict(list)
        for row in rows(chapter(NESTED)):
            said[row[0].partition(": ")[0]] += names(row)
        self.assertEqual(set(said), set(INSIDE))
        for space, found in said.items():
            self.assertEqual(len(found), len(set(found)), space)
            self.assertEqual(set(found), defined(*INSIDE[space]), space)

    def test_refused_are_probed(self):
        asked = set(re.findall(r"\w+", tree.read(PROBE)))
        spaces = [(CALLS[name][1], row) for name, text in sections().items() if name in CALLS for row in rows(text)]
        for row in rows(chapter(REFUSED)):
            spaces.append((CALLS[re.match(r"\w+", row[0])[0]][1] if ": " in row[0] else None, row))
        for prefix, row in spaces:
            if prefix is not None and row[1].startswith("refused") and not row[0].startswith("others"):
                for each in names(row):
                    self.assertIn(prefix + each, asked)

    def test_rows_are_whole(self):
        for row in rows(tree.read(PATH).split("\n## Pointers\n")[0]):
            self.assertEqual(len(row), 4, row)
            self.assertRegex(row[1], r"^(supported|partial|refused|control)\b", row[0])

    def test_tests_exist(self):
        texts = test_sources()
        whole = [(REFUSED, chapter(REFUSED)), (NESTED, chapter(NESTED))]
        for name, text in [("first table", tree.read(PATH).split("## mmu_update")[0]), *sections().items(), *whole]:
            inherited = None
            for row in rows(text):
                for part in row[3].split(";"):
                    program, _, names = part.strip().rpartition(": ")
                    if part.strip() in NOT_TESTS:
                        continue
                    inherited = program or inherited
                    self.assertIn(inherited, list(texts), f"{name}, {row[0]}")
                    for each in names.split(", "):
                        where = f"{name}, {row[0]}: {inherited}: {each}"
                        if inherited == HOSTILE:
                            self.assertIn(f"{GUESTS}/{each}.c", self.guests, where)
                        else:
                            self.assert_defined(each, texts[inherited], where)

    def test_errors_are_tested(self):
        """That a kernel boots or a tool works shows no error: a row that lists one names a test."""
        for row in rows(tree.read(PATH).split("\n## Differences from Xen\n")[0]):
            if len(row) > 3 and (re.search(r"\bE[A-Z]{2,}\b|[a-z]+_[a-z]+", row[2]) or row[2].startswith("none:")):
                self.assertFalse({part.strip() for part in row[3].split(";")} <= NOT_TESTS, row[0])

    def assert_defined(self, name, text, where):
        pattern = r"^(?:static void|    def|class) (?:test_)?" + re.escape(name).replace(r"\*", r"\w+") + r"\("
        self.assertTrue(re.search(pattern, text, re.M), where)


if __name__ == "__main__":
    unittest.main()
