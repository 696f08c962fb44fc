# SPDX-License-Identifier: BSD-2-Clause
"""What cells have measured, as charts. Migrations: the pages that each round sent, which after the first are those that
the guest dirtied meanwhile. Many guests at once: what the creation of each cost the tool while those before it ran. A
cell's log has a line "moved: JSON" for each move, "created: JSON" for such guests."""

import html
import json
import math
import os

MARK = "moved: "
GUESTS_MARK = "created: "
WIDTH, HEIGHT, LEFT, FOOT = 560, 200, 60, 24
COLOURS = ("#1f5fa8", "#b3541e", "#2f7d4f", "#7a3b8f")


def line_of(target, sums):
    """What the log says of a move whose sums `umbra --json migrate` gave."""
    return MARK + json.dumps({"to": target, "rounds": sums["rounds"], "downtime_ms": sums["downtime_ms"],
                              "total_ms": sums["total_ms"], "bytes": sums["bytes"]})


def line_of_guests(points):
    """What the log says of guests that were created one after the other and all run; points as load.py has them."""
    return GUESTS_MARK + json.dumps({what: [getattr(point, what) for point in points]
                                     for what in ("seconds", "cpu_ms", "calls", "reads")})


def _told(path, mark):
    """What a cell's log has behind this mark; nothing if there is no such log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return [json.loads(line.split(mark, 1)[1]) for line in log if mark in line]
    except (OSError, ValueError):
        return []


def moves_of(path):
    """The moves that a cell's log tells of."""
    return _told(path, MARK)


def guests_of(path):
    """The rows of guests that it tells of."""
    return _told(path, GUESTS_MARK)


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


def _line(values, most, colour, unit):
    """Guest by guest, from the bottom up; a title for each."""
    across, up = (WIDTH - LEFT - 10) / max(len(values) - 1, 1), (HEIGHT - FOOT - 10) / most
    places = [(LEFT + number * across, HEIGHT - FOOT - value * up) for number, value in enumerate(values)]
    path = " ".join(f"{x:.0f},{y:.0f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"><title>guest {number}: {value:.0f} {unit}'
                   f'</title></circle>' for number, ((x, y), value) in enumerate(zip(places, values), 1))
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _ms_scale(most):
    """A line and a figure at the bottom, half-way and at the top."""
    drawn = []
    for part in (0, 0.5, 1):
        y = HEIGHT - FOOT - part * (HEIGHT - FOOT - 10)
        drawn.append(f'<line x1="{LEFT}" y1="{y:.0f}" x2="{WIDTH - 10}" y2="{y:.0f}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{part * most:.0f}</text>')
    return "".join(drawn)


def _span(values):
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"


def guests_svg(guests):
    """A drawing of one row of guests, and its legend; nothing without guests."""
    if not guests["seconds"]:
        return ""
    lines = (("milliseconds that it took", [1000 * value for value in guests["seconds"]]),
             ("milliseconds of the tool's own CPU time", guests["cpu_ms"]))
    most = max(1, *(value for _, values in lines for value in values))
    drawn = "".join(_line(values, most, colour, "ms") for (_, values), colour in zip(lines, COLOURS))
    legend = "".join(f'<li style="color:{colour}">{what}</li>' for (what, _), colour in zip(lines, COLOURS))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" font-size="11" role="img">{_ms_scale(most)}{drawn}' \
           f'<text x="{LEFT}" y="{HEIGHT - 6}">guests, first to last ({len(guests["seconds"])}), all of which run' \
           f'</text></svg><ul>{legend}<li>calls of the tool for each: {_span(guests["calls"])}; reads of xenstore: ' \
           f'{_span(guests["reads"])}</li></ul>'


def _part(title, charts):
    """A part of a run's page; nothing if there is nothing in it."""
    drawn = [f"<h3>{html.escape(name.replace('_', ' '))}</h3>\n{chart}" for name, chart in charts if chart]
    return f"<h2>{title}</h2>\n" + "\n".join(drawn) if drawn else ""


def section(directory, names):
    """The parts of a run's page that are drawn; nothing if no cell has measured anything."""
    logs = [(name, os.path.join(directory, name + ".log")) for name in names]
    parts = (_part("Migrations: pages in each round", [(name, svg(moves_of(log))) for name, log in logs]),
             _part("Creation while others run", [(name, "".join(guests_svg(guests) for guests in guests_of(log)))
                                                 for name, log in logs]))
    return "\n".join(filter(None, parts))
