# SPDX-License-Identifier: BSD-2-Clause
"""Programs of the tests that have no .py in their names, as modules: for the tests of their logic."""

import importlib.machinery
import importlib.util


def load(path):
    name = "umbra_" + "_".join(path.split("/")[-2:])
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module
