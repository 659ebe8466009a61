"""Writes a report: the words, figures and lanes of runs, put into the template.

Knows HTML. Invariants: the file needs nothing but itself; whatever stands in keys, values and errors is text in it,
never markup or script; its size is bounded.
"""

from __future__ import annotations

import json
import platform
import re
import shlex
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Final

from holdfast import __version__
from holdfast.errors import FileUnreadable

from ..kernel.trace import Row, clock_text
from ..runs.availability import availability_of
from ..runs.lived import live_seed
from ..runs.report import Report
from ..runs.results import Result
from ..runs.scenario import Fleet
from ..runs.totals import Totals
from ..world.outcome import Outcome
from .lanes import CLOSED, MARKS, Lanes, around, lanes_of
from .nodes import NodeNumbers, nodes_of
from .words import Divergence, divergence_of, figures_of, lasted, percent, shown_first, verdict

ROWS_SHOWN: Final = 60
REFUSALS_SHOWN: Final = 100
ROWS_DRAWN: Final = 200_000
SEEDS_SHOWN: Final = 2_000
OPERATIONS_SHOWN: Final = 40
WHAT_CHARS: Final = 400
_SLOT: Final = re.compile(r"\{\{(\w+)\}\}")


def write_report(report: Report, path: str | Path, *, command: str = "") -> Outcome | None:
    """Write the report of a simulation; gives the outcome that is drawn in it.

    Drawn is the first seed that failed, or the one in which most happened; it is lived through once more, because a
    campaign keeps no whole traces.

    Args:
        report: What `simulate` gave.
        path: Where to; an HTML file.
        command: Replays what is drawn, for the reader to copy; "" finds one if the command line can do it.

    Raises:
        FileUnreadable: The file cannot be written.
    """
    shown = shown_first(report.outcomes)
    if shown is not None and shown.trace.count > len(shown.trace):
        shown = replace(live_seed(report.scenario, shown.seed, keep=ROWS_DRAWN), fault=shown.fault)
    told = command if command or shown is None else _again(report, shown)
    _save(page(report.results, report.totals, shown, told), Path(path))
    return shown


def _again(report: Report, shown: Outcome) -> str:
    """What runs it again from a shell; "" if that needs the user's own code."""
    scenario, fleet = report.scenario, report.scenario.source
    if scenario.functions or scenario.schemas or not isinstance(fleet, Fleet) or fleet.operations is not None:
        return ""
    how = f"--nodes {fleet.nodes} --hours {fleet.hours!r} --partitions {fleet.partitions} --keys {fleet.keys}"
    faults = "" if fleet.faults is None else f" --faults {shlex.quote(','.join(fleet.faults))}"
    return f"holdfast simulate {how}{faults} --seed {shown.seed}"


def page(results: Sequence[Result], totals: Totals, shown: Outcome | None, command: str = "") -> str:
    """The report as HTML.

    Args:
        results: Of all seeds.
        totals: Their sums.
        shown: The one that is drawn, with all rows of its trace.
        command: Replays it.
    """
    said, tone = verdict(results)
    rows = list(shown.trace) if shown else []
    lanes = lanes_of(shown.plan, rows, lost=shown.trace.count > len(rows)) if shown else None
    divergence = divergence_of(shown) if shown else None
    return _filled(
        title=escape(f"{said} · Holdfast simulation"),
        verdict=escape(said),
        verdict_class=tone,
        about=escape(_about(results, shown)),
        figures="\n".join(
            f'<li><span class="name">{escape(f.name)}</span><span class="value">{escape(f.value)}</span>'
            f'<span class="of">{escape(f.of)}</span></li>'
            for f in figures_of(totals, results)
        ),
        violation=_violation(divergence, command) if divergence else "",
        timeline=_timeline(shown, rows, "" if divergence else command) if shown else "",
        nodes=_nodes(lanes) if lanes else "",
        events=_events(rows, divergence) if rows else "",
        answers=_answers(totals.answers),
        refusals=_refusals(totals.refused),
        seeds=_seeds(results) if results else "<section><p>No seed was run, so there is nothing to show.</p></section>",
        footer=escape(
            f"Holdfast {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}. "
            "All times are virtual."
        ),
        data=_embedded(lanes.as_json() if lanes else None),
    )


def _save(text: str, path: Path) -> None:
    """Write it where it was asked for."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        what = f"the report cannot be written: {error.strerror or error}"
        raise FileUnreadable(what, subject=str(path), remedy="Choose a path in a folder that exists.") from error


def _filled(**parts: str) -> str:
    template = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    return _SLOT.sub(lambda slot: parts[slot[1]], template)


def _embedded(value: object) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _about(results: Sequence[Result], shown: Outcome | None) -> str:
    if shown is None or not results:
        return ""
    nodes = len(shown.plan.nodes)
    numbers = [each.seed for each in results]
    which = f"seed {numbers[0]}" if len(numbers) == 1 else f"{len(numbers):,} seeds, {min(numbers)} to {max(numbers)}"
    note = f" Seed {shown.seed} has: {shown.plan.note}." if shown.plan.note else ""
    return f"{nodes} nodes, {lasted(shown.plan.length_ms)} of chaos and then healing; {which}.{note}"


def _violation(found: Divergence, command: str) -> str:
    where = found.place or found.subject
    at = f" at <strong>{escape(found.node)}</strong>" if found.node else ""
    operations = _listed(found.operations)
    more = "".join(f"<p><strong>{escape(name)}:</strong> {escape(text)}</p>" for name, text in found.more)
    return (
        f'<section class="violation" aria-labelledby="violation"><p class="over bad">{found.kind}</p>'
        f'<h2 id="violation">{escape(found.title)}</h2>'
        f'<p class="what"><strong class="mono">{escape(where)}</strong>{at}: {escape(found.what)}.</p>'
        f'{operations}{more}<p class="muted">{escape(found.remedy)}</p>{_command(command)}</section>'
    )


def _listed(operations: Sequence[str]) -> str:
    if not operations:
        return ""
    items = "".join(f"<li><code>{escape(text[:WHAT_CHARS])}</code></li>" for text in operations[:OPERATIONS_SHOWN])
    more = len(operations) - OPERATIONS_SHOWN
    rest = f"<li>and {more} more</li>" if more > 0 else ""
    return f'<p>The operations behind it:</p><ul class="operations">{items}{rest}</ul>'


def _command(command: str) -> str:
    if not command:
        return ""
    return (
        f'<div class="command"><code id="command" tabindex="0">{escape(command)}</code>'
        '<button type="button" data-copy="command">Copy</button></div>'
        '<p class="muted">Replays exactly this run.</p>'
    )


_LEGEND: Final = (
    ("write", "writes"),
    ("decision", "decisions"),
    ("conflict", "open conflicts"),
    ("settled", "settled conflicts"),
    ("attack", "adversary"),
    ("clock", "clock"),
)
_SWATCHES: Final = (
    ("session", "syncs", '<path d="M3 13L12 2" stroke="var(--session)" stroke-width="2" fill="none"/>'),
    ("cut", "partitions", '<rect y="3" width="16" height="9" fill="url(#cutting)"/>'),
    ("down", "down", '<rect y="2" width="16" height="11" rx="2" fill="var(--down)"/>'),
    ("paused", "paused", '<rect y="2" width="16" height="11" fill="url(#halted)"/>'),
    ("disk", "disk faults", '<rect y="5" width="16" height="4" fill="var(--disk)"/>'),
)


def _timeline(shown: Outcome, rows: Sequence[Row], command: str) -> str:
    marks = "".join(_box(kind, name, f'<svg data-kind="{kind}" aria-hidden="true"></svg>') for kind, name in _LEGEND)
    swatches = "".join(_box(kind, name, f'<svg aria-hidden="true">{art}</svg>') for kind, name, art in _SWATCHES)
    lost = shown.trace.count - len(rows)
    missing = f" The first {lost:,} of {shown.trace.count:,} rows were not kept." if lost else ""
    buttons = (("+", "Zoom in", "+"), ("-", "Zoom out", "&minus;"), ("0", "Show all", "All"))
    bar = "".join(
        f'<button type="button" data-act="{act}" aria-label="{name}">{s}</button>' for act, name, s in buttons
    )
    jump = "" if shown.ok else '<button type="button" data-act="v">To the failure</button>'
    return f"""<section aria-labelledby="lanes-title">
<div class="bar"><h2 id="lanes-title">Seed {shown.seed}, node by node</h2>
<span class="space"></span>{jump}{bar}</div>
<p class="muted">{escape(_told(shown, rows))}{missing}</p>
{_command(command)}
<div class="bar"><div class="legend" role="group" aria-label="What is shown">{swatches}{marks}</div></div>
<div class="plot"><div class="names" id="names"></div>
<div class="stage" id="stage" tabindex="0" role="application" aria-label="Timeline of all nodes" \
aria-describedby="keys"><div class="tip" id="tip" hidden></div></div>
<div class="overview" id="overview" aria-hidden="true"><i class="window"></i></div></div>
<p class="keys" id="keys">Drag to move, <kbd>Ctrl</kbd>+wheel or double click to zoom. With the timeline focused: \
<kbd>+</kbd> <kbd>&minus;</kbd> zoom, <kbd>←</kbd> <kbd>→</kbd> move, <kbd>0</kbd> all, <kbd>n</kbd> <kbd>p</kbd> next \
and previous event, <kbd>v</kbd> failure.</p>
<div class="sr" id="spoken" aria-live="polite"></div>
<noscript><p>The timeline needs JavaScript; the tables below do not.</p></noscript></section>"""


def _box(kind: str, name: str, art: str) -> str:
    return f'<label><input type="checkbox" value="{kind}" checked>{art}{name}</label>'


def _told(shown: Outcome, rows: Sequence[Row]) -> str:
    """The run in one sentence."""
    counts = {what: sum(row.what == what for row in rows) for what in ("wrote", "decided", "synced", "sync failed")}
    down = sum(row.what == "down" and row.detail != CLOSED for row in rows)
    figures = shown.figures
    agreed = (
        f", {figures.conflicts:,} conflicts in the end; the nodes agreed {lasted(figures.converged_ms)} after healing"
        if figures.converged_ms is not None
        else ""
    )
    return (
        f"{counts['wrote'] + counts['decided']:,} operations, {counts['synced']:,} syncs and {counts['sync failed']:,} "
        f"that were cut off, {down:,} times a node went down{agreed}."
    )


def _events(rows: Sequence[Row], divergence: Divergence | None) -> str:
    at = next((position for position, row in enumerate(rows) if row.what == "FAULT"), None)
    if divergence is None or at is None:
        title, note = "The last events", "The end of the run."
        chosen = list(around(rows, len(rows) - 1, ROWS_SHOWN))
    else:
        title, note = (
            "What led to it",
            "Rows about the same record are marked; a click, or Enter, shows the moment in the lanes.",
        )
        chosen = _leading(rows, at, divergence)
    body = "".join(_event(row, divergence) for row in chosen)
    return f"""<section aria-labelledby="events"><h2 id="events">{title}</h2><p class="muted">{note}</p>
<div class="wide scroll" tabindex="0" role="region" aria-label="{title}"><table>
<thead><tr><th scope="col">Time</th><th scope="col">Node</th><th scope="col">Event</th><th scope="col">Detail</th></tr>\
</thead><tbody>{body}</tbody></table></div></section>"""


def _leading(rows: Sequence[Row], at: int, divergence: Divergence) -> list[Row]:
    """What happened last before it, and everything before that about the same record."""
    near = list(around(rows, at, ROWS_SHOWN))
    first = near[0].time_us if near else 0
    about = (row for row in reversed(rows) if row.time_us < first and row.what in MARKS and divergence.concerns(row))
    earlier = list(islice(about, ROWS_SHOWN)) if divergence.place else []
    return [*reversed(earlier), *near]


def _event(row: Row, divergence: Divergence | None) -> str:
    concerned = divergence is not None and divergence.place and divergence.concerns(row)
    kind = ' class="here"' if row.what == "FAULT" else ' class="near"' if concerned else ""
    cells = f'<td class="w">{escape(row.node)}</td><td class="w">{escape(row.what.replace("_", " "))}</td>'
    return (
        f'<tr{kind} data-t="{row.time_us / 1000:g}"><td class="t">{clock_text(row.time_us)[:-3]}</td>{cells}'
        f'<td class="d">{escape(row.detail[:WHAT_CHARS])}</td></tr>'
    )


def _nodes(lanes: Lanes) -> str:
    body = "".join(_node(node) for node in nodes_of(lanes))
    names = ("Writes", "Conflicts found", "Syncs", "Cut off", "Times down", "Down for", "Paused for", "Ways cut for")
    heads = "".join(f'<th scope="col" class="n">{name}</th>' for name in names)
    return f"""<section aria-labelledby="nodes"><h2 id="nodes">Each node in numbers</h2>
<div class="wide scroll" tabindex="0" role="region" aria-label="Each node in numbers"><table>
<thead><tr><th scope="col">Node</th><th scope="col">Role</th>{heads}</tr></thead><tbody>{body}</tbody></table></div></section>"""


def _node(node: NodeNumbers) -> str:
    counts = (node.writes, node.conflicts, node.syncs, node.cut_off, node.downs)
    times = (node.down_ms, node.paused_ms, node.cut_ms)
    cells = [f"{count:,}" for count in counts] + [lasted(ms) if ms else "-" for ms in times]
    numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
    return f'<tr><th scope="row">{escape(node.name)}</th><td>{node.role}</td>{numbers}</tr>'


def _answers(answers: Mapping[str, int]) -> str:
    found = availability_of(answers)
    if not found:
        return ""
    body = "".join(
        f'<tr><th scope="row">{escape(each.under.capitalize())}</th><td>{escape(each.kind)}s</td>'
        f'<td class="n">{percent(each.answered, each.asked)}</td><td class="n">{each.answered:,}</td>'
        f'<td class="n">{each.asked:,}</td><td class="d">{escape(_by_cause(each.refused))}</td></tr>'
        for each in found
    )
    heads = "".join(f'<th scope="col" class="n">{name}</th>' for name in ("Share", "Answered", "Asked"))
    return f"""<section aria-labelledby="answers"><h2 id="answers">What the device answered</h2>
<p class="muted">Local reads and writes, by what held when they began. An answer is also that there is no such record, \
or that another was faster; a refusal is an error of the disk, and nothing of it was acknowledged.</p>
<div class="wide scroll" tabindex="0" role="region" aria-label="What the device answered"><table>
<thead><tr><th scope="col">Meanwhile</th><th scope="col">Work</th>{heads}<th scope="col">Refused, by cause</th></tr></thead>
<tbody>{body}</tbody></table></div></section>"""


def _by_cause(refused: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {code}" for code, count in refused.items()) or "none"


def _refusals(counts: Mapping[str, int]) -> str:
    refused = Counter(counts).most_common(REFUSALS_SHOWN)
    if not refused:
        return ""
    body = "".join(f'<tr><td>{escape(what)}</td><td class="n">{count:,}</td></tr>' for what, count in refused)
    total = sum(counts.values())
    return f"""<section><details><summary>{total:,} pieces of work were refused, by cause</summary>
<p class="muted">A refusal is an error that the application was told of; nothing of it was acknowledged.</p>
<table><thead><tr><th scope="col">Work and cause</th><th scope="col" class="n">Times</th></tr></thead>
<tbody>{body}</tbody></table></details></section>"""


def _seeds(results: Sequence[Result]) -> str:
    failed = [each for each in results if not each.ok]
    chosen = [*failed, *(each for each in results if each.ok)][:SEEDS_SHOWN]
    chosen.sort(key=lambda each: each.seed)
    left = len(results) - len(chosen)
    note = f'<p class="muted">{left:,} seeds that hold are left out.</p>' if left else ""
    mixed = 0 < len(failed) < len(results)
    only = '<label><input type="checkbox" id="only-failed"> only failures</label>' if mixed else ""
    names = ("Operations", "Conflicts", "Refused", "Syncs", "Cut off", "Bytes", "Agreed after")
    heads = "".join(f'<th scope="col" class="n">{name}</th>' for name in names)
    return f"""<section aria-labelledby="seeds-title"><h2 id="seeds-title">All seeds</h2>{note}{only}
<div class="wide scroll" tabindex="0" role="region" aria-label="All seeds"><table id="seeds">
<thead><tr><th scope="col" class="n">Seed</th><th scope="col">Outcome</th>{heads}</tr></thead>
<tbody>{"".join(map(_seed, chosen))}</tbody></table></div></section>"""


def _seed(result: Result) -> str:
    figures, syncs = result.figures, result.figures["syncs"]
    done = syncs.get("completed", 0)
    agreed = figures["converged_ms"]
    numbers = (
        figures["operations"],
        figures["conflicts"],
        sum(figures["refused"].values()),
        done,
        sum(syncs.values()) - done,
        figures["bytes"],
    )
    cells = "".join(f'<td class="n">{number:,}</td>' for number in numbers)
    said = '<span class="good">holds</span>'
    if not result.ok:
        said = f'<strong class="bad">{escape(result.invariant)}</strong><br>{escape(result.error[:WHAT_CHARS])}'
    return (
        f'<tr data-ok="{int(result.ok)}"><td class="n">{result.seed}</td><td class="d">{said}</td>{cells}'
        f'<td class="n">{"never" if agreed is None else lasted(agreed)}</td></tr>'
    )
