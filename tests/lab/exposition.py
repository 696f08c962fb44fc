# SPDX-License-Identifier: BSD-2-Clause
"""A strict reader of Prometheus' text format, version 0.0.4: what it lets through, any scraper takes. Stricter than the
format where it leaves room: every name has its help and type, once and before its values, and no two values the same
name and labels."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
VALUE = re.compile(r"\d+(\.\d+)?\Z")
UNQUOTED = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


def _labels(text):
    found, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match or match[1] in found:
            raise ValueError(f"labels: {text!r} at {at}")
        found[match[1]] = re.sub(r'\\.', lambda m: UNQUOTED[m[0]], match[2])
        at = match.end()
        if at < len(text):
            if text[at] != "," or at + 1 == len(text):
                raise ValueError(f"labels: {text!r} at {at}")
            at += 1
    return found


def parse(text):
    """{name: (type, {labels as sorted pairs: value})}; ValueError."""
    families, helped, current = {}, None, None
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line):
            if match[1] in families or helped:
                raise ValueError(f"help twice, or without a type: {line!r}")
            helped = match[1]
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line):
            if match[1] != helped:
                raise ValueError(f"type without help: {line!r}")
            helped, current = None, match[1]
            families[current] = (match[2], {})
            if (match[2] == "counter") != current.endswith("_total"):
                raise ValueError(f"the name does not say its type: {line!r}")
        elif (match := re.fullmatch(rf"({NAME})(?:\{{(.*)\}})? (\S+)", line)) and VALUE.match(match[3]):
            key = tuple(sorted(_labels(match[2] or "").items()))
            if helped or match[1] != current or key in families[current][1]:
                raise ValueError(f"out of place, or twice: {line!r}")
            families[current][1][key] = float(match[3])
        else:
            raise ValueError(f"not a line of the format: {line!r}")
    if empty := [name for name, (_, values) in families.items() if not values]:
        raise ValueError(f"no values: {empty}")
    return families
