"""Judges a run: what must be in every file, worked out from the recorded history alone, against what is in them.

- Every write that happened stands in its record, or a write that had seen it does; several that had not seen each other
  are a conflict, which must be listed, and the last by (clock, actor, number) is shown.
- No dot names two writes, and no number goes back; transactions are whole.
- Reads of a node contain its own writes and everything that it read before.
- All files are equal, verify finds nothing, no node took a new identity without a cause.

Invariant: nothing is judged by what the engine says of causality; a finding names node, record and write.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from holdfast import Engine

from .history import Dot, History, dot_of
from .writes import Write, Writes


@dataclass(slots=True)
class File:
    """What a file holds, read through the public API.

    Attributes:
        values: Living records: the field that counts, and their version.
        listed: Siblings of each conflict that stands, by key and field (None: existence).
        ledger: Dots that stand in the ledger.
    """

    name: str
    digest: str = ""
    vector: dict[str, int] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    listed: dict[tuple[str, str | None], set[Dot]] = field(default_factory=dict)
    ledger: set[Dot] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


async def read_file(path: Path, name: str, collection: str = "t") -> File:
    """Read a file as any application could, and let SQLite check it."""
    file = File(name)
    async with Engine.open(path, read_only=True, schemas=None) as engine:
        status = await engine.status()
        file.digest, file.vector = status.digest, status.vector
        async for page in engine[collection].pages():
            file.values |= {document.key: document.fields.get("v") for document in page}
        for state in ("open", "settled"):
            for item in await engine.conflicts(state):
                siblings = {(sibling.dot.actor, sibling.dot.seq) for sibling in item.conflict.siblings}
                file.listed[item.conflict.key, item.conflict.field] = siblings
        file.ledger = {(entry.dot.actor, entry.dot.seq) for entry in await engine.ledger(limit=10**9)}
        file.problems = [*(await engine.verify()).problems, *status.blockers]
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchall()
        file.problems += [] if found == [("ok",)] else map(str, found)
    return file


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words, and what became of the acknowledged writes."""

    findings: list[str]
    fates: Counter[str]

    @property
    def acknowledged(self) -> int:
        """How many writes were accounted for, or should have been."""
        return self.fates.total()


def judge(history: History, files: Sequence[File], *, renewals_allowed: Sequence[str] = ()) -> Verdict:
    """Judge the files that a run has left behind."""
    writes = Writes.of(history)
    covered: dict[str, int] = {}
    for file in files:
        for actor, seq in file.vector.items():
            covered[actor] = max(seq, covered.get(actor, 0))
    writes.settle_doubt(covered)
    findings = [*writes.faults, *_identities(history, renewals_allowed), *_reads(history, writes)]
    fates: Counter[str] = Counter()
    for key, of_key in writes.by_key().items():
        expected = Expected(writes, key, of_key)
        faults = [fault for file in files for fault in expected.faults(file)]
        findings += faults
        fates.update(expected.fate(write) for write in of_key if not write.doubtful)
    findings += [fault for file in files for fault in _strangers(file, writes)]
    findings += _differences(files)
    return Verdict(findings, fates)


class Expected:
    """What must be in every file of one record."""

    def __init__(self, writes: Writes, key: str, of_key: Sequence[Write]) -> None:
        self.key = key
        self.of_key = of_key
        self.frontier = writes.unseen(of_key)
        # A delete writes only the record's existence; the values of the others stay behind it.
        self.siblings = writes.unseen(write for write in of_key if write.op != "delete")
        self.alive = any(write.op != "delete" for write in self.frontier)

    def fate(self, write: Write) -> str:
        """What must have become of a write."""
        if write.op == "delete":
            return "that delete" if write in self.frontier else "superseded"
        if write not in self.siblings:
            return "superseded"
        if not self.alive:
            return "deleted"
        return "in conflict" if len(self.siblings) > 1 else "present"

    def faults(self, file: File) -> Iterator[str]:
        """How a file differs from that."""
        for write in self.of_key:
            if file.vector.get(write.dot[0], 0) < write.dot[1]:
                yield f"{file.name}: {self.key}: lost: write {write.dot} of {write.node} is not in the vector"
        if not self.alive:
            if self.key in file.values:
                yield f"{file.name}: {self.key}: it was deleted, and is there"
            return
        if self.key not in file.values:
            yield f"{file.name}: {self.key}: lost: it should be there, by {[write.dot for write in self.frontier]}"
            return
        yield from self._wrong_value(file)

    def _wrong_value(self, file: File) -> Iterator[str]:
        shown = file.values[self.key]
        if all(write.clock is not None for write in self.siblings):
            winner = max(self.siblings, key=lambda write: (write.clock or 0, *write.dot))
            if shown != winner.value:
                yield f"{file.name}: {self.key}: shows {shown!r}, not {winner.value!r} of {winner.dot}"
        elif shown not in {write.value for write in self.siblings}:
            yield f"{file.name}: {self.key}: shows {shown!r}, which is superseded"
        listed = file.listed.get((self.key, "v"), set())
        expected = {write.dot for write in self.siblings} if len(self.siblings) > 1 else set()
        if listed != expected:
            yield f"{file.name}: {self.key}: lists the siblings {sorted(listed)}, not {sorted(expected)}"


def _identities(history: History, allowed: Sequence[str]) -> Iterator[str]:
    """Nodes that took a new identity although nobody copied or restored their files."""
    actors: dict[str, str] = {}
    for event in history.events:
        if event.say != "started" or event.node in allowed:
            continue
        if event.what["renewed"]:
            yield f"{event.node}: a false new identity: {event.what['renewed']}"
        if actors.setdefault(event.node, event.what["actor"]) != event.what["actor"]:
            yield f"{event.node}: a false new identity between its lives"
            actors[event.node] = event.what["actor"]


def _reads(history: History, writes: Writes) -> Iterator[str]:
    """Reads that lack the node's own writes, or what it had read before."""
    for node in history.nodes:
        known: dict[str, set[Dot]] = {}
        own = {write.dot: write for write in writes.happened.values() if write.node == node}
        for event in history.of(node):
            if event.say == "acknowledged":
                for write in (own[dot_of(told["dot"])] for told in event.what["writes"]):
                    known[write.key] = {write.dot}
            for key, frontier in _read_in(event):
                strange = frontier - writes.happened.keys()
                if strange:
                    yield f"{node}: {key}: it read writes that nobody made: {sorted(strange)}"
                missing = [dot for dot in known.get(key, ()) if not writes.covers(frontier, dot)]
                if missing:
                    yield f"{node}: {key}: it read a state without {missing}, which it had read or written before"
                known[key] = frontier


def _read_in(event: object) -> Iterator[tuple[str, set[Dot]]]:
    """Every state of a record that an event shows."""
    match event.say:
        case "read":
            yield event.what["key"], set(map(dot_of, event.what["frontier"]))
        case "trying":
            for key, frontier in zip(event.what["keys"], event.what["frontiers"], strict=True):
                yield key, set(map(dot_of, frontier))


def _strangers(file: File, writes: Writes) -> Iterator[str]:
    known = {write.key for write in writes.happened.values()}
    for key in file.values.keys() - known:
        yield f"{file.name}: {key}: nobody wrote it"
    for dot in file.ledger - writes.happened.keys():
        yield f"{file.name}: the ledger has {dot}, which nobody wrote"


def _differences(files: Sequence[File]) -> Iterator[str]:
    first = files[0]
    for file in files:
        yield from (f"{file.name}: {problem}" for problem in file.problems)
        for what in ("digest", "vector", "values", "listed"):
            if getattr(file, what) != getattr(first, what):
                yield f"{file.name} and {first.name} have different {what}"
