# SPDX-License-Identifier: BSD-2-Clause
"""Migrations of a cell as a chart: the pages that each round sent, which after the first are those that the guest
dirtied meanwhile. A cell's log has a line "moved: JSON" for each move."""

import html
import json
import math
import os

MARK = "moved: "
WIDTH, HEIGHT, LEFT, FOOT = 560, 200, 60, 24
COLOURS = ("#1f5fa8", "#b3541e", "#2f7d4f", "#7a3b8f")


def line_of(target, sums):
    """What the log says of a move whose sums `umbra --json migrate` gave."""
    return MARK + json.dumps({"to": target, "rounds": sums["rounds"], "downtime_ms": sums["downtime_ms"],
                              "total_ms": sums["total_ms"], "bytes": sums["bytes"]})


def moves_of(path):
    """The moves that a cell's log tells of; none if there is no such log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return [json.loads(line.split(MARK, 1)[1]) for line in log if MARK in line]
    except (OSError, ValueError):
        return []


def _points(rounds, longest, most):
    """Places in the drawing. Pages are drawn by their logarithm, as the first round sends all of them."""
    across = (WIDTH - LEFT - 10) / max(longest - 1, 1)
    up = (HEIGHT - FOOT - 10) / max(math.log10(most), 1)
    return [(LEFT + number * across, HEIGHT - FOOT - math.log10(max(pages, 1)) * up)
            for number, pages in enumerate(rounds)]


def _scale(most):
    """A line and a figure for each power of ten."""
    drawn = []
    for power in range(int(math.log10(most)) + 1):
        (_, y), = _points([10 ** power], 1, most)
        drawn.append(f'<line x1="{LEFT}" y1="{y:.0f}" x2="{WIDTH - 10}" y2="{y:.0f}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{10 ** power}</text>')
    return "".join(drawn)


def _curve(move, colour, longest, most):
    places = _points(move["rounds"], longest, most)
    path = " ".join(f"{x:.0f},{y:.0f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"><title>{pages} pages</title></circle>'
                   for (x, y), pages in zip(places, move["rounds"]))
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _legend(move, colour):
    return f'<li style="color:{colour}">to {html.escape(move["to"])}: {move["total_ms"] / 1000:.1f} s in all, ' \
           f'{move["bytes"] >> 20} MiB, down for {move["downtime_ms"]} ms</li>'


def svg(moves):
    """A drawing and its legend; nothing without moves."""
    moves = [move for move in moves if move["rounds"]]
    if not moves:
        return ""
    longest = max(len(move["rounds"]) for move in moves)
    most = max(10, *(pages for move in moves for pages in move["rounds"]))
    pairs = [(move, COLOURS[number % len(COLOURS)]) for number, move in enumerate(moves)]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" font-size="11" role="img">{_scale(most)}' \
           + "".join(_curve(move, colour, longest, most) for move, colour in pairs) \
           + f'<text x="{LEFT}" y="{HEIGHT - 6}">rounds, first to last ({longest}); pages sent in each</text></svg>' \
           + "<ul>" + "".join(_legend(move, colour) for move, colour in pairs) + "</ul>"


def section(directory, names):
    """The part of a run's page about migrations; nothing if no cell moved a guest."""
    charts = [(name, svg(moves_of(os.path.join(directory, name + ".log")))) for name in names]
    drawn = [f"<h3>{html.escape(name.replace('_', ' '))}</h3>\n{chart}" for name, chart in charts if chart]
    return "<h2>Migrations: pages in each round</h2>\n" + "\n".join(drawn) if drawn else ""
