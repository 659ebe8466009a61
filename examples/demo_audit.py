"""The accounting: is every acknowledged write accounted for, and are all files equal?

It opens the files read-only and compares them with what *must* be in them, worked out from the journal alone by the
rules that the library promises, and by nothing that the library says of itself:

- The version vector covers every write.
- A write of a field supersedes the writes of that field that its author had seen, whatever the clocks say.
- Writes of a field that nobody has superseded are its siblings. One is shown; of several the last by (clock, actor,
  seq) is shown, and all are listed as a conflict until somebody decides. A sibling that a decision discards is in the
  ledger.
- A delete is such a write of the record's existence, and so is every other write. A record that one author deleted
  while another changed it lives on whole, and is listed.

Invariant: a write without a finding is present, superseded or in conflict, in every file alike.
A write counts once, though each of its values is checked: in conflict if one of its values stands in a listed conflict,
present if one is shown, superseded if later writes that had seen it replaced all of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any

from demo_journal import Entry, Journal, Place
from holdfast import Engine

Field = str | None
"""A field; None stands for the record's existence."""

ALL = 10**9
FINDINGS_SHOWN = 10


class Fate(Enum):
    """What became of an acknowledged write; of several fields the first that applies counts."""

    UNACCOUNTED = "unaccounted"
    IN_CONFLICT = "in conflict"
    PRESENT = "present"
    SUPERSEDED = "superseded"


@dataclass(slots=True)
class File:
    """What a file holds, read through the public API.

    Attributes:
        name: Of the node.
        records: Living records, as canonical JSON text.
        conflicts: Siblings of every conflict that stands, by place and field: dot -> value (None for existence).
        ledger: Every discarded sibling: place, field, dot.
        vector: Highest sequence number taken in, per identity.
        digest: Over all cells, as the library reports it.
        problems: What `verify` found.
    """

    name: str
    digest: str = ""
    records: dict[Place, str] = field(default_factory=dict)
    conflicts: dict[tuple[Place, Field], dict[tuple[str, int], Any]] = field(default_factory=dict)
    ledger: set[tuple[Place, str, tuple[str, int]]] = field(default_factory=set)
    vector: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def contents(self) -> str:
        """A hash over the exported records, in the order of their keys."""
        digest = sha256()
        for place in sorted(self.records):
            digest.update("\0".join([*place, self.records[place]]).encode() + b"\n")
        return digest.hexdigest()[:16]


@dataclass(slots=True)
class Audit:
    """The outcome: the fate of every entry, and in words whatever is wrong."""

    files: Sequence[File]
    fates: dict[str, dict[Fate, int]]
    findings: list[str]
    unanswered: int

    @property
    def passed(self) -> bool:
        """Whether every write is accounted for and all files are equal and sound."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """The outcome as plain JSON values."""
        return {
            "passed": self.passed,
            "writes": {
                edge: {"acknowledged": sum(counts.values()), **{fate.value: counts[fate] for fate in Fate}}
                for edge, counts in self.fates.items()
            },
            "unacknowledged_present": self.unanswered,
            "files": [
                {
                    "name": file.name,
                    "records": len(file.records),
                    "conflicts": len(file.conflicts),
                    "digest": file.digest,
                    "contents": file.contents,
                    "problems": list(file.problems),
                }
                for file in self.files
            ],
            "findings": self.findings[:FINDINGS_SHOWN],
        }


async def read_file(path: Path, name: str) -> File:
    """Read a file as any application could."""
    file = File(name)
    async with Engine.open(path, read_only=True, schemas=None) as engine:
        status = await engine.status()
        file.digest, file.vector = status.digest, status.vector
        for collection in status.collections:
            async for page in engine[collection].pages():
                file.records |= {(collection, document.key): encode(document.fields) for document in page}
        for state in ("open", "settled"):
            for item in await engine.conflicts(state, limit=ALL):
                conflict = item.conflict
                file.conflicts[(conflict.collection, conflict.key), conflict.field] = {
                    (sibling.dot.actor, sibling.dot.seq): sibling.deleted if conflict.field is None else sibling.value
                    for sibling in conflict.siblings
                }
        for entry in await engine.ledger(limit=ALL):
            file.ledger.add(((entry.collection, entry.key), entry.field, (entry.dot.actor, entry.dot.seq)))
        file.problems = (*(await engine.verify()).problems, *status.blockers)
    return file


def audit(journal: Journal, files: Sequence[File]) -> Audit:
    """Account for every entry of the journal in every file, and compare the files."""
    histories: dict[Place, list[Entry]] = defaultdict(list)
    for entry in journal.entries:
        histories[entry.place].append(entry)
    fates = {edge: dict.fromkeys(Fate, 0) for edge in dict.fromkeys(entry.edge for entry in journal.entries)}
    findings: list[str] = []
    for place, entries in histories.items():
        account = Account(place, entries, files)
        for entry in entries:
            fates[entry.edge][account.fate(entry)] += 1
        findings += account.findings()
    strangers = [place for place in files[0].records if place not in histories]
    findings += [f"{'/'.join(place)}: nobody wrote it" for place in strangers if place not in journal.unanswered]
    findings += _differences(files)
    return Audit(files, fates, findings, len(strangers))


def _differences(files: Sequence[File]) -> list[str]:
    found = [f"{file.name}: {problem}" for file in files for problem in file.problems]
    first = files[0]
    for other in files[1:]:
        if other.digest != first.digest:
            found.append(f"{first.name} and {other.name} have different digests")
        if other.contents != first.contents:
            found.append(f"{first.name} and {other.name} have different contents")
        if other.vector != first.vector:
            found.append(f"{first.name} and {other.name} have taken in different writes")
        if other.conflicts != first.conflicts:
            found.append(f"{first.name} and {other.name} list different conflicts")
    return found


class Account:
    """One record: what the journal says must be in every file, and how that compares.

    Args:
        place: The record.
        entries: All acknowledged writes of it.
        files: The files.
    """

    def __init__(self, place: Place, entries: Sequence[Entry], files: Sequence[File]) -> None:
        self.place = place
        self.entries = entries
        self.files = files
        self.lives = unseen(entries)
        self.alive = any(entry.op != "delete" for entry in self.lives)
        self.asked = self.alive and any(entry.op == "delete" for entry in self.lives)
        self.cells = {name: cell for name in _names(entries) if (cell := standing(entries, name))}
        self.contested = {name for name, cell in self.cells.items() if len(_texts(cell, name)) > 1}
        self.shown = {name: max(cell, key=_rank).fields[name] for name, cell in self.cells.items()}
        self.expected = encode(self.shown) if self.alive else None
        self.faults = {entry.dot: [*self._faults(entry)] for entry in entries}

    def fate(self, entry: Entry) -> Fate:
        """What became of a write."""
        if self.faults[entry.dot]:
            return Fate.UNACCOUNTED
        stands = entry in self.lives
        names = {name for name in entry.fields if entry in self.cells.get(name, ())}
        if (stands and self.asked) or (self.alive and names & self.contested):
            return Fate.IN_CONFLICT
        if entry.op == "delete" or not entry.fields:
            return Fate.PRESENT if stands else Fate.SUPERSEDED
        return Fate.PRESENT if names and self.alive else Fate.SUPERSEDED

    def findings(self) -> list[str]:
        """What is wrong, in words."""
        name = "/".join(self.place)
        found = [f"{name}: {fault}" for faults in self.faults.values() for fault in faults]
        for file in self.files:
            if not found and file.records.get(self.place) != self.expected:
                found.append(f"{name}: {file.name} shows {file.records.get(self.place)}, not {self.expected}")
        return found

    def _faults(self, entry: Entry) -> Iterator[str]:
        """Why a write is not accounted for; nothing if it is."""
        for file in self.files:
            who = f"write {entry.seq} of {entry.edge} in {file.name}"
            if file.vector.get(entry.actor, 0) < entry.seq:
                yield f"{who}: the vector does not cover it"
            if file.records.get(self.place) != self.expected:
                yield from (f"{who}: {fault}" for fault in self._not_shown(file, entry))
            if self.asked or self.contested:
                yield from (f"{who}: {fault}" for fault in self._not_listed(file, entry))
        yield from self._not_kept(entry)

    def _not_shown(self, file: File, entry: Entry) -> Iterator[str]:
        """What of a write a reader should see and does not."""
        text = file.records.get(self.place)
        if entry in self.lives and (text is not None) != self.alive:
            yield "the record is missing" if self.alive else "the record is there, but was deleted"
        record = json.loads(text) if text is not None else {}
        for name in entry.fields:
            if self.alive and entry in self.cells.get(name, ()):
                expected = encode(self.shown[name])
                if name not in record or encode(record[name]) != expected:
                    yield f"{name} does not show {expected}"

    def _not_listed(self, file: File, entry: Entry) -> Iterator[str]:
        """What of a write should stand in the inbox and does not."""
        if self.asked and entry in self.lives:
            listed = file.conflicts.get((self.place, None), {})
            if listed.get(entry.dot) is not (entry.op == "delete"):
                yield "the record was deleted and changed at once, and that is not listed"
        for name in self.contested & entry.fields.keys():
            listed = file.conflicts.get((self.place, name), {})
            if not self.alive or entry not in self.cells[name]:
                continue
            if entry.dot not in listed or listed[entry.dot] != entry.fields[name]:
                yield f"{name} is in conflict, and {entry.fields[name]!r} is not listed"

    def _not_kept(self, entry: Entry) -> Iterator[str]:
        """Which values that stood in a conflict and were decided against are in no ledger, to be found again."""
        for name, value in entry.fields.items():
            decisions = [e for e in self.entries if e.decides and name in e.fields and e.has_seen(entry)]
            if all(e.fields[name] == value for e in decisions):
                continue  # nobody has decided, or for this value
            before = standing([e for e in self.entries if not e.decides], name)
            if entry not in before or len(_texts(before, name)) == 1:
                continue
            if not any((self.place, name, entry.dot) in file.ledger for file in self.files):
                yield f"{value!r} of {entry.edge} was decided against, and no ledger has it"


def unseen(entries: Sequence[Entry]) -> list[Entry]:
    """The writes that no other of them had seen, by the journal's own causality."""
    return [entry for entry in entries if not any(other.has_seen(entry) for other in entries)]


def standing(entries: Sequence[Entry], name: str) -> list[Entry]:
    """The writes whose value of a field stands: its siblings."""
    # A put that does not give the field takes it away, as far as its author had seen it.
    touching = [entry for entry in entries if entry.op == "put" or name in entry.fields]
    return [entry for entry in unseen(touching) if name in entry.fields]


def encode(value: object) -> str:
    """JSON in one form, so that equal texts mean equal values."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _names(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(name for entry in entries for name in entry.fields))


def _texts(cell: Sequence[Entry], name: str) -> set[str]:
    return {encode(entry.fields[name]) for entry in cell} if len(cell) > 1 else {""}


def _rank(entry: Entry) -> tuple[int, str, int]:
    return entry.clock, *entry.dot
