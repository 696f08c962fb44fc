# SPDX-License-Identifier: BSD-2-Clause
"""A manual page in mdoc as a tree of plain text, for test_man.py: sections, the items of their lists, what is literal.

Only the macros that docs/man uses are known; any other one is an error, so that nothing is left out in silence."""

import dataclasses
import shlex

import tree

# What marks up the words behind it, which are then said as they are.
MARKS = {"Ar", "Cm", "Dl", "Ev", "It", "Li", "Nd", "Nm", "Pa", "Ql", "Sh"}
IGNORED = {"Dd", "Dt", "Os", "Pp"}
CLOSING = {".", ",", ":", ";", ")", "]", "?", "!"}


@dataclasses.dataclass
class Item:
    """Of a list: its tag and its text without markup, and the items of the lists in it. A section is one as well."""
    tag: str = ""
    text: str = ""
    source: str = ""    # of the tag, with its markup
    items: list = dataclasses.field(default_factory=list)
    literal: list = dataclasses.field(default_factory=list)  # displayed as they are: texts of one or more lines

    def add(self, text):
        self.text = f"{self.text} {text}".strip()

    def everything(self):
        """The item itself and all below it."""
        yield self
        for item in self.items:
            yield from item.everything()


class _Line:
    """One macro line as it is read by people."""

    def __init__(self):
        self.text, self.glue, self.dash, self.close = "", True, False, ""

    def put(self, word):
        space = "" if self.glue or not self.text else " "
        self.text += space + ("-" if self.dash else "") + word
        self.glue = self.dash = False

    def open(self, begin, end=""):
        self.put(begin)
        self.glue = True
        self.close = end + self.close

    def word(self, word):
        if word == "Ns":
            self.glue = True
        elif word == "Fl":
            self.dash = True
        elif word == "Oo":
            self.open("[")
        elif word == "Op":
            self.open("[", "]")
        elif word == "Pq":
            self.open("(", ")")
        elif word == "Oc":
            self.text += "]"
        elif word in CLOSING:
            self.text += word
        elif word not in MARKS:
            self.put(word)


def unescaped(text):
    return text.replace("\\&", "").replace("\\(dq", '"')


def flat(line):
    """A line of the source without its markup."""
    if not line.startswith("."):
        return unescaped(line)
    words = shlex.split(line[1:].replace("\\", "\\\\").replace("'", "\\'"))
    if words[0] == "Xr":
        words = [f"{words[1]}({words[2]})", *words[3:]]
    elif words[0] not in MARKS | {"Fl", "Op", "Oo", "Pq"}:
        raise ValueError(f"{line}: a macro that this reader does not know")
    read = _Line()
    for word in words:
        read.word(unescaped(word))
    return read.text + read.close


class _Reader:
    def __init__(self):
        self.sections, self.stack, self.display = {}, [Item()], None

    def line(self, line):
        macro = line[1:].split(" ")[0] if line.startswith(".") else ""
        if self.display is not None and macro != "Ed":
            self.display.append(unescaped(line))
        elif macro == "Sh":
            self.stack = [Item(tag=flat(line))]
            self.sections[self.stack[0].tag] = self.stack[0]
        elif macro in ("Bl", "Bd", "El", "Ed", "It", "Dl"):
            getattr(self, "on_" + macro)(line)
        elif macro not in IGNORED and not line.startswith(".\\\""):
            self.stack[-1].add(flat(line))

    def on_Bl(self, _):
        self.stack.append(None)  # until the first item comes

    def on_It(self, line):
        self.stack[-1] = Item(tag=flat(line), source=line)
        self.stack[-2].items.append(self.stack[-1])

    def on_El(self, _):
        self.stack.pop()

    def on_Bd(self, _):
        self.display = []

    def on_Ed(self, _):
        self.stack[-1].literal.append("\n".join(self.display))
        self.display = None

    def on_Dl(self, line):
        self.stack[-1].literal.append(flat(line))


def read(path):
    """{section: Item} of a page of the tree."""
    reader = _Reader()
    for line in tree.read(path).replace("\\\n", "").rstrip("\n").split("\n"):
        reader.line(line)
    return reader.sections
