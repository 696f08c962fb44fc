# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of this folder share: the programs, and how their sources are compiled."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("UMBRA_BUILD", os.path.join(TOP, "build"))


class Program:
    def __init__(self, name, *wrapped):
        self.name = name
        self.path = os.path.join(BUILD, "unit", name)
        self.libraries = ["-lcmocka", *(f"-Wl,--wrap={function}" for function in wrapped)]

    def objects(self):
        """Of which it is linked; the Makefile tells."""
        with open(self.path + ".objs", encoding="utf-8") as file:
            return file.read().split()

    def need(self, test):
        """Without it there is nothing to test: no reason to skip."""
        test.assertTrue(os.access(self.path, os.X_OK), f"{self.path} is missing: make unit-programs")


PV = Program("test_pv_random")
SHADOW_WRAPPED = ("tlb_flush_mask", "paging_lock", "paging_pool_alloc", "paging_pool_free")
SHADOW = Program("test_shadow", *SHADOW_WRAPPED)
SHADOW_WEAK = Program("test_shadow_weak", *SHADOW_WRAPPED)
SHADOW_WALK = Program("test_shadow_walk")
FUZZ = {"shadow": Program("shadow.fuzz"), "restore": Program("restore.fuzz")}


def compiler(test):
    """Compiler and flags of the program's objects, which the Makefile hands on."""
    words = os.environ.get("UMBRA_UNIT_CC", "").split()
    if not words:
        test.skipTest("the compiler's flags come from the Makefile: make model")
    return words
