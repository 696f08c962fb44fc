# SPDX-License-Identifier: BSD-2-Clause
"""The log of stores (hv/logdirty.h) sees every store of the hypervisor to a guest's memory. To store to a
frame its contents have to be addressed; this names the files that do so, and why none of them stores unnoticed."""

import os
import re
import unittest

import tree

ADDRESS = re.compile(r"\b(?:page_to_virt|mfn_to_virt)\(")

HELD = "with a reference of type WRITABLE or SEGDESC, which sets the bit when it is taken"
NOTED = "sets the bit when it has stored"
READS = "reads"
OWN = "the hypervisor's own memory"
EMPTY = "memory that has no guest frame yet"
BUILDS = "the control domain's memory, which has no log"
TABLES = "tables: mm/pv/pt_commit.c notes each store, as do pt_type.c and base.c of theirs"

ALLOWED = {
    "debug/kept.c": OWN,
    "domain/control_p2m.c": BUILDS,
    "domain/domain.c": OWN + ", shared: it has such a reference for ever",
    "domain/holders.c": READS,
    "domain/vcpu.c": HELD,
    "event/fifo.c": HELD,
    "grant/copy.c": HELD,
    "grant/grant_table_op.c": "flushes lines of the cache",
    "grant/table.c": OWN + ", shared: it has such a reference for ever",
    "hvm/copy.c": READS + "; stores go by mm/shadow/memory.c",
    "hvm/svm/svm.c": OWN,
    "hypercall/domctl_domain.c": HELD,
    "include/hv/frame.h": "defines it",
    "include/hv/page.h": "defines it",
    "mm/frame.c": NOTED,
    "mm/fresh.c": EMPTY,
    "mm/heap.c": EMPTY,
    "mm/logdirty.c": OWN,
    "mm/map.c": OWN,
    "mm/objects.c": OWN,
    "mm/p2m/internal.h": OWN,
    "mm/paging_pool.c": OWN,
    "mm/pv/audit.c": READS,
    "mm/pv/base.c": NOTED,
    "mm/pv/mmuext.c": HELD,
    "mm/pv/pt.h": TABLES,
    "mm/shadow/emulate.c": READS,
    "mm/shadow/memory.c": NOTED,
    "mm/shadow/pages.c": OWN,
    "mm/shadow/pv.c": NOTED,
    "mm/shadow/reflect.c": READS,
    "mm/shadow/unsync.c": READS,
    "pv/desc.c": HELD,
    "pv/desc_load.c": OWN,
    "pv/msr.c": HELD,
    "pv/perdomain.c": OWN,
    "pv/walk.c": READS,
    "x86/efi_call.c": OWN,
    "x86/pirq.c": HELD,
}


class GuestStores(unittest.TestCase):
    def test_files(self):
        found = set()
        for path in tree.sources("hypervisor"):
            if path.endswith((".c", ".h")) and ADDRESS.search(tree.read(path)):
                found.add(os.path.relpath(path, "hypervisor"))
        self.assertEqual(found - set(ALLOWED), set(), "say how the log of stores learns of what they store")
        self.assertEqual(set(ALLOWED) - found, set(), "they address no frame any more")

    def test_one_route_of_each(self):
        """What notes stores, or takes the right to store."""
        where = {"logdirty_mark(": {"mm/logdirty.c", "mm/logdirty_op.c", "mm/p2m/harvest.c", "mm/shadow/memory.c"},
                 "logdirty_mark_frame(": {"mm/logdirty.c", "mm/logdirty_pv.c", "mm/frame.c", "mm/shadow/harvest.c",
                                          "mm/shadow/memory.c", "mm/shadow/pv.c", "mm/pv/pt_commit.c",
                                          "mm/pv/pt_type.c", "mm/pv/base.c"},
                 "logdirty_fault(": {"mm/logdirty.c", "mm/shadow/fault.c", "mm/p2m/type.c"},
                 "logdirty_changed(": {"mm/logdirty.c", "mm/logdirty_pv.c", "mm/p2m/update.c"},
                 "get_plain_type(": {"mm/frame.c"}}
        for call, files in where.items():
            users = {os.path.relpath(path, "hypervisor") for path in tree.sources("hypervisor")
                     if path.endswith(".c") and re.search(r"\b" + re.escape(call), tree.read(path))}
            self.assertEqual(users, files, call)


if __name__ == "__main__":
    unittest.main()
