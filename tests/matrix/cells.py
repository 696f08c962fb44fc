# SPDX-License-Identifier: BSD-2-Clause
"""The table of cells: cells.txt as objects. What a line may say is checked here, all of it before anything runs."""

import collections
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = os.path.join(HERE, "cells.txt")
KERNELS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools", "image", "kernels.txt")
IMAGE_KERNEL = "6.1"
COLUMNS = ("machine", "cpus", "control", "guest", "type", "vcpus", "action", "limit")
# How a guest runs: keys of its configuration.
TYPES = {"pv": {}, "shadow": {"type": "pvh", "hap": False}, "hap": {"type": "pvh", "hap": True}}


class TableError(Exception):
    pass


class Cell(collections.namedtuple("Cell", COLUMNS + ("options",))):
    @property
    def name(self):
        guest = [self.guest, *([] if self.type == "pv" else [self.type]), f"{self.vcpus}v"] if self.guest else []
        words = [self.machine, f"{self.cpus}p", self.control, *guest, self.action, *self.options]
        return "_".join(re.sub(r"[^\w.=-]", "-", word) for word in words)


def rows(path):
    """[(line number, words)] of a table with comments."""
    with open(path, encoding="utf-8") as file:
        lines = [(number, line.split("#")[0].split()) for number, line in enumerate(file, 1)]
    return [(number, words) for number, words in lines if words]


def kernels(path=KERNELS):
    """{name: uses} of all kernels; uses are "guest", "guest-32" (PVH only) and "control"."""
    found = {IMAGE_KERNEL: {"guest", "control"}}
    found.update({words[0]: set(words[3:]) for _, words in rows(path)})
    return found


def _number(word, column):
    if not word.isdigit() or not 0 < int(word) < 100000:
        raise TableError(f"{column}: {word!r} is not a number")
    return int(word)


def _member(word, names, column):
    if word not in names:
        raise TableError(f"{column}: there is no {word!r}; there are: {', '.join(sorted(names))}")
    return word


def _cell(words, machines, actions, known):
    if len(words) < len(COLUMNS):
        raise TableError(f"{len(words)} columns, at least {len(COLUMNS)} are needed: {' '.join(COLUMNS)}")
    machine, cpus, control, guest, kind, vcpus, action, limit = words[:len(COLUMNS)]
    _member(action, actions, "action")
    if {guest == "-", kind == "-", vcpus == "-"} != {not actions[action]}:
        raise TableError(f"guest, type, vcpus: {action} {'needs them' if actions[action] else 'has none: -'}")
    if guest != "-":
        wanted = {"guest"} if kind == "pv" else {"guest", "guest-32"}
        _member(guest, {name for name, uses in known.items() if uses & wanted}, "guest")
        _member(kind, actions[action], f"type of {action}")
    return Cell(_member(machine, machines, "machine"), _number(cpus, "cpus"),
                _member(control, {name for name, uses in known.items() if "control" in uses}, "control"),
                *(None if word == "-" else word for word in (guest, kind)),
                None if vcpus == "-" else _number(vcpus, "vcpus"), action, _number(limit, "limit"),
                tuple(words[len(COLUMNS):]))


def read(machines, actions, path=TABLE, known=None):
    """All cells in order. actions: {name: types of guests that it can have}. Raises TableError with file and line."""
    known = kernels() if known is None else known
    found = {}
    for number, words in rows(path):
        try:
            cell = _cell(words, machines, actions, known)
            if cell.name in found:
                raise TableError("the same cell again")
        except TableError as error:
            raise TableError(f"{path}:{number}: {error}") from None
        found[cell.name] = cell
    return list(found.values())


def select(cells, pattern):
    return [cell for cell in cells if re.search(pattern, cell.name)]
