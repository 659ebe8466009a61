"""Claims about the report: it stands alone, says what happened, treats all content as text, and draws in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from holdfast.errors import FileUnreadable, ProgramFault, Violation
from holdfast.simulation import plan_of, simulate
from holdfast.simulation.kernel.trace import Row, Trace
from holdfast.simulation.report import write_report
from holdfast.simulation.report.lanes import MARKS_MAX, lanes_of, thinned
from holdfast.simulation.report.nodes import nodes_of
from holdfast.simulation.report.page import page
from holdfast.simulation.report.words import bytes_text, lasted, percent
from holdfast.simulation.runs.results import result_of
from holdfast.simulation.runs.totals import totals_of
from holdfast.simulation.world.outcome import Figures, Outcome

NASTY = "</script><img src=x onerror=alert(1)>&\u2028'\""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def broken() -> Outcome:
    """A run that failed over content that no page may take for markup."""
    fault = Violation(f"it holds {NASTY}", subject=f"edge-1: notes/{NASTY}", remedy="Look.")
    fault.invariant = "I3 the state"
    fault.evidence = {"node": "edge-1", "place": ["notes", NASTY], "operations": [f"a#1 {NASTY}"]}
    trace = Trace(None)
    for at, node, what, detail in (
        (0, "hub", "up", ""),
        (0, "edge-1", "up", ""),
        (1, "edge-1", "net cut", "hub both"),
        (2, "edge-1", "wrote", f"notes/{NASTY} a#1 {NASTY}"),
        (3, "hub", "down", "crash"),
        (4, "edge-1", "net heal", "hub both"),
        (5, "edge-1", "sync failed", "hub 1000 ms: unreachable: nobody"),
        (6, "hub", "up", ""),
        (7, "edge-1", "synced", "hub 200 ms: sent 1, received 0, conflicts 0"),
        (8, "hub", "conflict", f"notes/{NASTY} open, by manual/1"),
        (9, "", "FAULT", str(fault)),
    ):
        trace.add(at * 1_000_000, node, what, detail)
    return Outcome(
        seed=4,
        plan=plan_of(4, nodes=2, hours=0.1, partitions="none", faults=()),
        fault=fault,
        figures=Figures(answers=Counter({"offline: write: answered": 9, "offline: write: disk-full": 1})),
        trace=trace,
        digest="",
        reached=Counter(),
    )


def paged(*outcomes: Outcome) -> str:
    results = [result_of(outcome) for outcome in outcomes]
    shown = outcomes[0] if outcomes else None
    return page(results, totals_of(results), shown, f"replay {NASTY}" if outcomes else "")


class Seen(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_content_is_text_and_never_markup():
    seen = Seen(paged(broken()))
    assert not [tag for tag, _ in seen.tags if tag == "img"]
    assert [tag for tag, _ in seen.tags].count("script") == 2
    assert any(NASTY in text for text in seen.text)
    assert not [name for _, names in seen.tags for name in names if name.startswith("on")]


def test_it_asks_for_nothing_outside_of_itself():
    seen = Seen(paged(broken()))
    asked = [value for _, names in seen.tags for name, value in names.items() if name in ("src", "href", "action")]
    assert asked == ["data:,"]
    assert "url(http" not in paged(broken())


def test_it_names_the_verdict_the_divergence_its_operations_and_the_way_back():
    text = "".join(Seen(paged(broken())).text)
    assert "Seed 4 failed: I3 the state" in text
    assert f"notes/{NASTY}" in text
    assert f"a#1 {NASTY}" in text
    assert f"replay {NASTY}" in text
    assert "90 %" in text


def test_the_lanes_hold_what_the_trace_says():
    outcome = broken()
    drawn = lanes_of(outcome.plan, outcome.trace).as_json()
    assert drawn["names"] == ["hub", "edge-1"]
    assert drawn["spans"] == [(0, "down", 3000.0, 6000.0, "crash")]
    assert drawn["cuts"] == [(1, 0, 1000.0, 4000.0, "nothing passes between edge-1 and hub")]
    assert [session[:5] for session in drawn["sessions"]] == [(1, 0, 4000.0, 5000.0, 0), (1, 0, 6800.0, 7000.0, 1)]
    assert [mark[:3] for mark in drawn["marks"]] == [(2000, 1, "write"), (8000, 0, "conflict"), (9000, -1, "fault")]


def test_a_long_run_is_thinned_and_the_rare_is_kept():
    rows = [Row(at * 1000, "edge-1", "wrote", "notes/k a#1") for at in range(100_000)]
    drawn = lanes_of(broken().plan, [*rows, Row(100_000_000, "", "FAULT", "it broke")]).as_json()
    assert Counter(mark[2] for mark in drawn["marks"]) == {"write": MARKS_MAX, "fault": 1}
    assert drawn["thinned"] == 100_000 - MARKS_MAX
    assert [thinned(range(10), 3), thinned([], 3)] == [[0, 4, 9], []]


def test_a_very_long_run_gives_a_page_of_a_few_megabytes():
    outcome = broken()
    for at in range(100_000):
        kind = ("wrote", "conflict", "settled", "synced")[at % 4]
        said = "hub 20 ms: sent 1, received 2, conflicts 3" if kind == "synced" else f"notes/k{at} open, by {'x' * 300}"
        outcome.trace.add(at * 1000, "edge-1", kind, said)
    assert len(paged(outcome)) < 4_000_000


def test_each_node_is_told_in_numbers_for_those_who_do_not_see_the_lanes():
    outcome = broken()
    outcome.trace.add(9_500_000, "mallory-1", "synced", "hub 5 ms: sent 1, received 0, conflicts 0")
    hub, edge, mallory = nodes_of(lanes_of(outcome.plan, outcome.trace))
    assert (hub.role, hub.conflicts, hub.downs, hub.down_ms) == ("hub", 1, 1, 3000)
    assert (edge.role, edge.writes, edge.syncs, edge.cut_off, edge.cut_ms) == ("edge", 1, 1, 1, 3000)
    assert (mallory.role, mallory.syncs) == ("adversary", 1)
    assert "Each node in numbers" in "".join(Seen(paged(outcome)).text)


def test_what_a_device_answered_is_told_by_condition_and_cause():
    text = " ".join(" ".join(Seen(paged(broken())).text).split())
    assert "Offline writes 90 % 9 10 1 disk-full" in text


def test_a_failure_of_the_users_code_is_no_divergence():
    fault = ProgramFault("the program mine raised KeyError: 'x'", subject="app.py:7", remedy="Mend the program.")
    text = "".join(Seen(paged(replace(broken(), fault=fault))).text)
    assert "First divergence" not in text
    assert "your own code failed, the engine had no part in it" in text
    assert "app.py:7" in text


def test_no_run_gives_a_page_that_says_so():
    assert "Nothing was run" in "".join(Seen(paged()).text)


def test_a_real_run_is_drawn_whole_and_equal_each_time(tmp_path: Path):
    report = simulate(seeds=[4], nodes=3, hours=0.05, operations=25, processes=1)
    shown = write_report(report, tmp_path / "a.html")
    write_report(report, tmp_path / "b.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.html").read_text(encoding="utf-8")
    assert len(shown.trace) == shown.trace.count
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert data["sessions"]
    assert [mark for mark in data["marks"] if mark[2] == "write"]


def test_a_report_that_cannot_be_written_names_the_file(tmp_path: Path):
    report = simulate(seeds=[1], nodes=2, hours=0.1, partitions="none", faults=(), processes=1)
    with pytest.raises(FileUnreadable, match="nowhere"):
        write_report(report, tmp_path / "nowhere" / "report.html")


def test_shares_sizes_and_times_are_said_honestly():
    assert [percent(999_999, 1_000_000), percent(1, 1_000_000), percent(3, 3)] == ["99.9 %", "0.1 %", "100 %"]
    assert [lasted(12), lasted(31_000), lasted(3_600_000), lasted(10_000_000)] == ["12 ms", "31 s", "60 min", "2.78 h"]
    assert [bytes_text(5), bytes_text(2048)] == ["5 B", "2 KiB"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: the report is not looked at in a browser here")
@pytest.mark.parametrize("kind", ["failed", "held", "empty"])
def test_a_browser_draws_it_without_complaint(kind: str, tmp_path: Path):
    made = {"failed": (broken(),), "held": (replace(broken(), fault=None),), "empty": ()}
    file = tmp_path / "report.html"
    file.write_text(paged(*made[kind]), encoding="utf-8")
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    options += " --disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=2000"
    command = [CHROMIUM, *options.split(), f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "CONSOLE" not in ran.stderr
    assert len(re.findall(r'class="lane" data-lane="\d', ran.stdout)) == (0 if kind == "empty" else 2)
    assert bool(re.search(r'<line class="fault" x1="\d', ran.stdout)) == (kind != "empty")
