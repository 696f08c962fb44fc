# SPDX-License-Identifier: BSD-2-Clause
"""The pages of docs/tasks as lists of blocks to be carried out. What a fence says behind its language is what becomes
of the block; a command without such a mark is an error, so that none of them goes untested by mistake.

    sh lab                          commands in the control domain; each must succeed
    sh lab, until it shows          the same, again and again until they show what the next block says
    sh lab, which fails             the last of them must fail
    sh lab, then ^] at NAME         one that attaches to NAME's console: ^] is typed when that has said the next block
    sh lab, which ends the machine  and the console of the machine shows the next block
    sh lab at NAME                  typed at the shell of the guest NAME, one after the other
    sh lab, after the connection broke at NAME
                                    the permission to go on at the other host was lost, and NAME sleeps
    sh build                        in the source tree, after make
    sh deb                          in a Debian with the packages, by make check-deb
    sh deb, on a disk               the same, one that starts from its own disk, by make check-installed
    sh elsewhere: REASON            not run, since REASON
    json file PATH, text file PATH  the content of that file in the control domain
    text shows                      each line is in what the block before showed: blanks count as one, ... is anything
    text                            to be read
"""

import dataclasses
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(TOP, "docs", "tasks")
PAGES = ("install", "first-guest", "disk-and-bridge", "debian-guest", "migrate", "no-boot", "panic")
KINDS = {
    "lab": r"sh lab",
    "until": r"sh lab, until it shows",
    "fails": r"sh lab, which fails",
    "console": r"sh lab, then \^\] at (\S+)",
    "ends": r"sh lab, which ends the machine",
    "guest": r"sh lab at (\S+)",
    "broken": r"sh lab, after the connection broke at (\S+)",
    "build": r"sh build",
    "deb": r"sh deb",
    "disk": r"sh deb, on a disk",
    "elsewhere": r"sh elsewhere: (.+)",
    "file": r"(?:json|text) file (/\S+)",
    "shows": r"text shows",
    "text": r"text",
}
NEED_LINES = ("until", "console", "ends")


@dataclasses.dataclass
class Block:
    kind: str
    what: str       # NAME, REASON or PATH
    text: str
    where: str      # page and line, for messages
    shows: tuple = ()

    def missing(self, output):
        """The lines that are wanted and not in the output."""
        output = " ".join(output.split())
        return [line for line in self.shows if not re.search(pattern(line), output)]


def pattern(line):
    """Blanks are one blank, ... is anything, nothing too."""
    parts = [re.escape(" ".join(part.split())) for part in line.split("...")]
    return r"\s*.*?\s*".join(parts)


def parse(text, name):
    """The blocks of a page, in their order. ValueError if one is not understood."""
    blocks = []
    for match in re.finditer(r"^```(.*)\n((?:(?!```).*\n)*)^```$", text, re.M):
        info, where = match.group(1), f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        found = [(kind, known) for kind, form in KINDS.items() if (known := re.fullmatch(form, info))]
        if not found:
            raise ValueError(f"{where}: ```{info} is not known (tests/lab/tasks.py)")
        kind, known = found[0]
        block = Block(kind, known.group(1) if known.groups() else "", match.group(2), where)
        if kind != "shows":
            blocks.append(block)
        elif not blocks or blocks[-1].kind in ("elsewhere", "deb", "file", "guest", "text") or blocks[-1].shows:
            raise ValueError(f"{where}: nothing before it shows anything")
        else:
            blocks[-1].shows = tuple(block.text.rstrip("\n").split("\n"))
    if len(re.findall(r"^```", text, re.M)) != 2 * len(re.findall(r"^```.+$", text, re.M)):
        raise ValueError(f"{name}: a fence without an end, or one that says nothing")
    for block in blocks:
        if block.kind in NEED_LINES and not block.shows:
            raise ValueError(f"{block.where}: what is waited for must follow, as ```text shows")
    return blocks


def read(name):
    """The blocks of a page of docs/tasks."""
    with open(os.path.join(FOLDER, name + ".md"), encoding="utf-8") as file:
        return parse(file.read(), f"docs/tasks/{name}.md")
