# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of this folder share: the program, and how its sources are compiled."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("UMBRA_BUILD", os.path.join(TOP, "build"))
NAME = "test_pv_random"
PROGRAM = os.path.join(BUILD, "unit", NAME)
OBJECTS = os.path.join(BUILD, "unit-objs", NAME)


def need_program(test):
    """Without it there is nothing to test: no reason to skip."""
    test.assertTrue(os.access(PROGRAM, os.X_OK), f"{PROGRAM} is missing: make unit-programs")


def compiler(test):
    """Compiler and flags of the program's objects, which the Makefile hands on."""
    words = os.environ.get("UMBRA_UNIT_CC", "").split()
    if not words:
        test.skipTest("the compiler's flags come from the Makefile: make model")
    return words
