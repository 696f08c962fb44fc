# SPDX-License-Identifier: BSD-2-Clause
"""The outcome of a run: kept as JSON, shown as JUnit XML and as one HTML page that needs nothing but the
logs beside it.

A run is a directory BUILD/matrix/DATE with results.json, junit.xml, index.html and, for each cell, CELL.log (what was
done) and CELL.serial (the machine's console)."""

import collections
import html
import json
import os
import xml.etree.ElementTree as xml

import chart

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
SLOWER = 1.5    # by which factor a cell's time must grow to be worth a word

Result = collections.namedtuple("Result", "name machine outcome seconds reason")


# --- runs on disk -----------------------------------------------------------------------------------------------------

def save(directory, results):
    path = os.path.join(directory, "results.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump([result._asdict() for result in results], file, indent=1)
    os.replace(path + ".new", path)


def load(directory):
    """The results of a run; of one that was never begun, none."""
    try:
        with open(os.path.join(directory, "results.json"), encoding="utf-8") as file:
            return [Result(**fields) for fields in json.load(file)]
    except (OSError, ValueError, TypeError):
        return []


def load_before(directories):
    """{name: result}: of each cell the last time that it ran, from runs in the order of their dates."""
    before = {}
    for directory in directories:
        before.update({result.name: result for result in load(directory) if result.outcome != SKIPPED})
    return before


# --- comparison -------------------------------------------------------------------------------------------------------

def change(result, before):
    """One word about this result and the one before, empty when there is nothing to tell."""
    if result.outcome == SKIPPED:
        return ""
    if before is None:
        return "new"
    if result.outcome != before.outcome:
        return "broken" if result.outcome == FAILED else "fixed"
    if result.outcome == PASSED and result.seconds > before.seconds * SLOWER + 5:
        return f"slower (before: {before.seconds:.0f} s)"
    return ""


def count(results):
    return {outcome: sum(result.outcome == outcome for result in results) for outcome in (PASSED, FAILED, SKIPPED)}


def summary(results):
    return ", ".join(f"{number} {outcome}" for outcome, number in count(results).items())


# --- JUnit ------------------------------------------------------------------------------------------------------------

def _printable(text):
    """XML has no way to say a control character."""
    return "".join(c if c in "\n\t" or c.isprintable() else "?" for c in text)


def junit(results):
    counts = count(results)
    suite = xml.Element("testsuite", name="umbra-matrix", tests=str(len(results)), failures=str(counts[FAILED]),
                        skipped=str(counts[SKIPPED]), errors="0", time=f"{sum(r.seconds for r in results):.1f}")
    for result in results:
        case = xml.SubElement(suite, "testcase", classname=result.machine, name=result.name,
                              time=f"{result.seconds:.1f}")
        if result.outcome == FAILED:
            failure = xml.SubElement(case, "failure", message=_printable(result.reason.split("\n")[0]))
            failure.text = _printable(result.reason)
        elif result.outcome == SKIPPED:
            xml.SubElement(case, "skipped", message=_printable(result.reason))
    return xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


# --- HTML -------------------------------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Umbra nightly matrix {date}</title>
<style>
body {{ font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #222; background: #fff; }}
h1 {{ font-size: 1.4em; }} h2 {{ font-size: 1.1em; margin-top: 2em; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .3em .6em; border-bottom: 1px solid #ddd; vertical-align: top; }}
td.seconds, th.seconds {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.passed {{ color: #17692b; }} td.failed {{ color: #a81c1c; font-weight: bold; }} td.skipped {{ color: #6b5a00; }}
tr.failed {{ background: #fdf0f0; }}
pre {{ white-space: pre-wrap; font-size: 12px; margin: .3em 0; }}
</style>
</head>
<body>
<h1>Umbra nightly matrix</h1>
<p>{date}, version {version}, {minutes:.0f} minutes of machines: <b>{summary}</b>.</p>
{changes}
{machines}
{charts}
</body>
</html>
"""
HEAD = '<tr><th>Cell</th><th>Result</th><th class="seconds">Seconds</th><th class="seconds">Before</th>' \
       "<th>Change</th><th>Logs</th></tr>"


def _links(result):
    if result.outcome == SKIPPED:
        return ""
    name = html.escape(result.name)
    return f'<a href="{name}.log">steps</a> <a href="{name}.serial">console</a>'


def _row(result, before):
    reason = f"<pre>{html.escape(result.reason)}</pre>" if result.reason else ""
    seconds = f"{result.seconds:.0f}" if result.outcome != SKIPPED else ""
    was = f"{before.seconds:.0f}" if before else ""
    return f'<tr class="{result.outcome}"><td>{html.escape(result.name.replace("_", " "))}{reason}</td>' \
           f'<td class="{result.outcome}">{result.outcome}</td><td class="seconds">{seconds}</td>' \
           f'<td class="seconds">{was}</td><td>{change(result, before)}</td><td>{_links(result)}</td></tr>'


def _changes(results, before):
    found = [(change(result, before.get(result.name)), result.name) for result in results]
    found = [f"<li>{html.escape(name.replace('_', ' '))}: {word}</li>" for word, name in sorted(found)
             if word not in ("", "new")]
    if not before:
        return "<p>There is no run before this one.</p>"
    return "<h2>Changed since the run before</h2>\n<ul>" + "\n".join(found) + "</ul>" if found \
        else "<p>As in the run before.</p>"


def page(results, before, date, version, charts=""):
    tables = []
    for machine in dict.fromkeys(result.machine for result in results):
        rows = [_row(result, before.get(result.name)) for result in results if result.machine == machine]
        tables.append(f"<h2>{html.escape(machine)}</h2>\n<table>{HEAD}\n" + "\n".join(rows) + "\n</table>")
    minutes = sum(result.seconds for result in results) / 60
    return PAGE.format(date=html.escape(date), version=html.escape(version), minutes=minutes,
                       summary=summary(results), changes=_changes(results, before), machines="\n".join(tables),
                       charts=charts)


def write(directory, results, before, version):
    save(directory, results)
    charts = chart.section(directory, [result.name for result in results])
    for name, text in (("junit.xml", junit(results)),
                       ("index.html", page(results, before, os.path.basename(directory), version, charts))):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
