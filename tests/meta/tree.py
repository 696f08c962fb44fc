# SPDX-License-Identifier: BSD-2-Clause
"""The files of the tree and the functions of its C sources, for the checks beside this file. Relies on the layout that
clang-format gives: a function's braces stand alone in the first column."""

import collections
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("hypervisor", "tools", "tests", "examples", "docs", "debian", ".ci")
SOURCE_SUFFIXES = (".c", ".h", ".S", ".lds", ".def", ".py", ".sh", ".mk")
SCRIPTS = ("tests/run", "tests/lab/lab", "tests/lab/demo", "tests/lab/measure", "tests/matrix/run", ".ci/run")

Function = collections.namedtuple("Function", "path line name lines parameters depth")


def files(*folders):
    """Paths, relative to the top, of all files below the folders; built and cached files left out."""
    found = []
    for folder in folders or FOLDERS:
        for where, subdirs, names in os.walk(os.path.join(TOP, folder)):
            subdirs[:] = [d for d in subdirs if d != "__pycache__"]
            found += [os.path.relpath(os.path.join(where, n), TOP) for n in names]
    if not folders:
        # In a second work tree .git is a file, of the repository's own.
        found += [n for n in os.listdir(TOP) if n != ".git" and os.path.isfile(os.path.join(TOP, n))]
    return sorted(found)


def is_source(path):
    return path.endswith(SOURCE_SUFFIXES) or path in SCRIPTS or os.path.basename(path) == "Makefile" \
        or read(path).startswith("#!")


def sources(*folders):
    return [path for path in files(*folders) if is_source(path)]


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(text):
    """Comments and literals blanked, lines kept."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def functions(path):
    lines = without_comments(read(path)).split("\n")
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield _function(path, lines, start, number)
            start = None


def _function(path, lines, start, end):
    first = start
    while first > 0 and lines[first - 1].strip() and not lines[first - 1].endswith((";", "}")):
        first -= 1
    signature = " ".join(lines[first:start])
    name = re.search(r"(\w+)\s*\(", signature)
    return Function(path, first + 1, name.group(1) if name else "?", end - start - 1, _count_parameters(signature),
                    _depth(lines[start:end + 1]))


def _count_parameters(signature):
    """Commas at the first level of the last outer parenthesis, which is the parameter list; "..." does not count."""
    depth, commas, text = 0, 0, ""
    signature = signature.replace(", ...", "")
    for char in signature:
        if char == "(":
            depth += 1
            if depth == 1:
                commas, text = 0, ""
                continue
        elif char == ")":
            depth -= 1
        if depth == 1 and char == ",":
            commas += 1
        if depth >= 1:
            text += char
    return 0 if text.strip() in ("", "void") else commas + 1


def _depth(lines):
    """Blocks inside blocks; the function's own does not count."""
    depth = deepest = 0
    for char in "".join(lines):
        depth += (char == "{") - (char == "}")
        deepest = max(deepest, depth)
    return deepest - 1
