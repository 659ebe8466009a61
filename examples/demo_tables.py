"""What the demonstration prints about syncs, conflicts and the accounting: values in, tables out.

Knows no process and no file. Invariant: it only shows; whether the demonstration has passed is decided elsewhere.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence

from demo_audit import FINDINGS_SHOWN, Audit, Fate
from demo_lines import Line
from demo_page import Page

FATES = (Fate.PRESENT, Fate.SUPERSEDED, Fate.IN_CONFLICT, Fate.UNACCOUNTED)


def print_syncs(page: Page, names: Sequence[str], reports: Sequence[Line]) -> None:
    """What syncs reported, a line each."""
    page.table(
        ("sync of", "sent", "received", "new conflicts", "bytes up", "bytes down", "ms"),
        [
            (
                name,
                *(report[key] for key in ("sent", "received", "conflicts", "bytes_sent", "bytes_received")),
                round(report["seconds"] * 1000),
            )
            for name, report in zip(names, reports, strict=True)
        ],
    )


def print_conflicts(page: Page, items: Sequence[Line], name_of: Callable[[str], str]) -> None:
    """How many conflicts there are of which kind, and a few of those that are open."""
    kinds = Counter((item["kind"], item["state"], item["rule"]) for item in items)
    page.table(("records", "conflict", "state", "by rule"), [(count, *kind) for kind, count in sorted(kinds.items())])
    waiting = [item for item in items if item["state"] == "open"]
    some = [item for item in waiting if item["field"] is not None][:3]
    some += [item for item in waiting if item["field"] is None][:2]
    if some:
        page.say("     for example:")
        page.table(("key", "field", "one side", "other side"), [_sides(item, name_of) for item in some])


def print_audit(page: Page, result: Audit) -> None:
    """The final tables and the verdict."""
    total = {fate: sum(counts[fate] for counts in result.fates.values()) for fate in FATES}
    page.table(
        ("writes of", "acknowledged", *(fate.value for fate in FATES)),
        [
            (name, sum(counts.values()), *(counts[fate] for fate in FATES))
            for name, counts in [*result.fates.items(), ("all", total)]
        ],
    )
    if result.unanswered:
        page.say(f"     and {result.unanswered} that the killed device had made, but had not yet acknowledged")
    page.say("")
    page.table(
        ("file", "records", "conflicts", "digest", "contents", "verified"),
        [
            (file.name, len(file.records), len(file.conflicts), file.digest, file.contents, _yes(not file.problems))
            for file in result.files
        ],
    )
    page.say("")
    for finding in result.findings[:FINDINGS_SHOWN]:
        page.say(f"   WRONG: {finding}")
    if result.passed:
        page.say("   Every acknowledged write is accounted for, and the four files are equal.")
    else:
        page.say(f"   FAILED: {len(result.findings)} findings.")


def _sides(item: Line, name_of: Callable[[str], str]) -> tuple[str, ...]:
    sides = (f"{name_of(sibling['actor'])}: {_said(item, sibling)}" for sibling in item["siblings"][:2])
    return item["key"], item["field"] or "(the record)", *sides


def _said(item: Line, sibling: Line) -> str:
    if item["field"] is None:
        return "deleted" if sibling["deleted"] else "changed"
    return json.dumps(sibling["value"], ensure_ascii=False)


def _yes(good: bool) -> str:  # noqa: FBT001 - it is the whole question
    return "yes" if good else "NO"
