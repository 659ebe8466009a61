"""What a node says about itself: status, log and ledger, as values.

Read-only. Invariant: whatever keeps the node from converging stands in `blockers`, in words (never stuck in silence).
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from holdfast.clocks import Actor, VersionVector, node_of

from .delta import FeedId
from .documents import is_name
from .fleet import PeerStatus, read_fleet
from .reserve import RESERVE_BYTES, Reserve
from .storage.connection import JOURNAL_BYTES_MAX
from .storage.copying import origin_of
from .storage.faults import reachable
from .storage.inbox import dots_of
from .storage.pasts import restored
from .storage.retained import kept_of
from .storage.store import vector_of
from .storage.succession import forsaken
from .witness import SideFile, Testimony, doubt

DRIFT_REPORTED_MS = 60_000

LOG_REPORTED: Final = 2 * JOURNAL_BYTES_MAX
"""Bytes of the write-ahead log from which on status names it: twice what a checkpoint leaves of it."""

_CARRIED: Final = "SELECT DISTINCT extra FROM record WHERE extra IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryStatus:
    """How much of its log a node keeps.

    Attributes:
        rows, bytes: Changes that are known, and what they take, about.
        oldest_ms: The time of the oldest, milliseconds since 1970; None if there is none.
        floors: Per collection of which changes are gone, the last lsn of those: it can be looked at from there on.
        stubs: Changes of which only their names are left.
        waiting: What keeps stubs from going, in words.
    """

    rows: int
    bytes: int
    oldest_ms: int | None
    floors: dict[str, int]
    stubs: int
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a node holds, whom it met and what blocks it.

    Attributes:
        path, space, space_id, label, actor, incarnations: Which node; how many lives the file has had.
        lsn: Last position in the feed; operations: own operations so far.
        records, deleted: Living records, and dead ones whose tombstones are kept.
        collections: Living records per collection.
        vector: Highest sequence number taken in, per identity.
        digest: 62 bits over all cells, hexadecimal: equal vectors must mean equal digests.
        whole: Whether no record waits for the end of a session.
        conflicts: Rows of the inbox by state.
        quarantined, holes: Records that cannot be shown in full, or not even joined.
        peers: Whom it met.
        bytes: Of the database file and its write-ahead log.
        reading_s: For how long the oldest read in this process has been under way: the log cannot shrink behind it.
        history: How much of the log is kept.
        blockers: What keeps it from converging, in words; empty if nothing does.
    """

    path: str
    space: str
    space_id: str
    label: str
    actor: str
    incarnations: int
    lsn: int
    operations: int
    records: int
    deleted: int
    collections: dict[str, int]
    vector: dict[str, int]
    digest: str
    whole: bool
    conflicts: dict[str, int]
    quarantined: int
    holes: int
    peers: tuple[PeerStatus, ...]
    bytes: dict[str, int]
    reading_s: float
    history: HistoryStatus
    blockers: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The status as plain JSON values."""
        return asdict(self)


def read_status(connection: sqlite3.Connection, path: Path, reading_s: float = 0.0) -> Status:
    """The status, read in one transaction; `reading_s`: for how long the oldest other read has been under way."""
    testimony = SideFile(path).recall()  # first: what it has seen is committed
    connection.execute("BEGIN")
    try:
        return _status(connection, path, reading_s, testimony)
    finally:
        connection.execute("COMMIT")


def _status(connection: sqlite3.Connection, path: Path, reading_s: float, testimony: Testimony | None) -> Status:
    actor, label, seq, lsn, digest, feed, space, name = connection.execute(
        "SELECT a.actor, n.label, n.seq, n.lsn, n.digest, n.feed, n.space, n.space_name"
        " FROM node n JOIN actor a ON a.id = n.actor"
    ).fetchone()
    vector = vector_of(connection)
    rows = connection.execute(
        "SELECT c.name, sum(r.live), count(*) FROM record r JOIN collection c ON c.id = r.collection"
        " GROUP BY c.id ORDER BY c.name"
    )
    counts = [row for row in rows if is_name(row[0])]
    waiting = _waiting(connection, vector)
    holes = connection.execute("SELECT collection, key, reason FROM hole ORDER BY id").fetchall()
    peers = read_fleet(connection, FeedId(feed), vector)
    lives = connection.execute("SELECT actor FROM actor").fetchall()
    size = {"file": _size(path), "log": _size(path.with_name(path.name + "-wal"))}
    return Status(
        path=str(path),
        space=name,
        space_id=space,
        label=label,
        actor=actor,
        incarnations=sum(1 for (other,) in lives if node_of(Actor(other)) == node_of(Actor(actor))),
        lsn=lsn,
        operations=seq,
        records=sum(live for _, live, _ in counts),
        deleted=sum(total - live for _, live, total in counts),
        collections={collection: live for collection, live, _ in counts},
        vector=dict(sorted(vector.items())),
        digest=f"{digest:016x}",
        whole=not waiting,
        conflicts=dict(connection.execute("SELECT state, count(*) FROM conflict GROUP BY state ORDER BY state")),
        quarantined=_one(connection, "SELECT count(*) FROM quarantine"),
        holes=len(holes),
        peers=peers,
        bytes=size,
        reading_s=round(reading_s, 1),
        history=_history(connection),
        blockers=_blockers(holes, waiting, peers)
        + _used_twice(connection)
        + _undecided(connection)
        + _not_itself(connection, path, (actor, seq), testimony)
        + _overgrown(size["log"], reading_s)
        + _full(path),
    )


def _history(connection: sqlite3.Connection) -> HistoryStatus:
    kept = kept_of(connection)
    waiting = []
    if kept.unstored:
        waiting.append(f"{kept.unstored:,} changes of this node that no peer has stored yet leave a stub")
    if kept.stubs > kept.unstored:
        waiting.append(f"{kept.stubs - kept.unstored:,} that have got other names leave one for good")
    return HistoryStatus(
        rows=kept.rows,
        bytes=kept.size,
        oldest_ms=kept.oldest_ms,
        floors=kept.floors,
        stubs=kept.stubs,
        waiting=tuple(waiting),
    )


def _waiting(connection: sqlite3.Connection, vector: VersionVector) -> frozenset[Actor]:
    """The identities of which some record has taken in more than the node as a whole."""
    extras = dict(connection.execute("SELECT id, vector FROM context WHERE settled = 0"))
    if not extras:
        return frozenset()
    carried = connection.execute(_CARRIED, (json.dumps([*extras]),))
    beyond = [restored(connection, extras[number]).changes_since(vector) for (number,) in carried]
    return frozenset(actor for entries in beyond for actor, _ in entries.items())


def _blockers(holes: list[Any], waiting: frozenset[Actor], peers: tuple[PeerStatus, ...]) -> tuple[str, ...]:
    found = [
        f"{collection}/{key} from a peer cannot be joined ({reason}): upgrade, or mend it at its author"
        for collection, key, reason in holes[:10]
    ]
    if waiting:
        found.append("a session was cut before its end: sync again, until then transactions may be seen in parts")
        found += [
            f"{label} goes on under another identity since a session with it was cut: if its file was put back, what"
            " it lost is gone, and its transactions of that time may stay in parts"
            for label in sorted({label for actor in waiting for label in _moved_on(actor, peers)})
        ]
    found += [
        f"the clock of {peer.label or peer.actor} differs by {peer.drift_ms / 1000:.0f} s: set one of the clocks"
        for peer in peers
        if abs(peer.drift_ms) > DRIFT_REPORTED_MS
    ]
    return tuple(found)


def _used_twice(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Nodes of which two writes stand under one name: nobody else tells of copies that meet different hubs."""
    found: Counter[Actor] = Counter()
    for (siblings,) in connection.execute("SELECT siblings FROM conflict WHERE standing = 1"):
        dots = Counter(dots_of(siblings))
        found.update({dot.actor for dot, times in dots.items() if times > 1})
    if not found:
        return ()
    labels = dict(connection.execute("SELECT actor, label FROM actor"))
    return tuple(
        f"{labels.get(actor) or actor} wrote two values under one name in {count} conflicts: copies of its file are in"
        " use; both values are kept, see the conflicts, and let only one copy go on"
        for actor, count in sorted(found.items())
    )


def _not_itself(
    connection: sqlite3.Connection, path: Path, last: tuple[Actor, int], testimony: Testimony | None
) -> tuple[str, ...]:
    """That the file is a copy or an old state, as opening it for writing would find; only what a side file shows."""
    origin = origin_of(connection)
    reason = f"it is a copy: {origin}" if origin is not None else None
    if reason is None and testimony is not None:
        with reachable(str(path)):
            reason = doubt(testimony, *last, SideFile(path).place() if testimony.place else "")
    return () if reason is None else (f"{reason}; what writes to it, or syncs it, goes on under a new identity",)


def _undecided(connection: sqlite3.Connection) -> tuple[str, ...]:
    if not forsaken(connection):
        return ()
    said = (
        "nobody decides who takes part, so deleted records stay: this file did, under an identity that it gave up; let"
        " it decide again (a hub does when it starts; else `holdfast members seize`), unless a copy of it still does"
    )
    return (said,)


def _overgrown(log: int, reading_s: float) -> tuple[str, ...]:
    """A log that does not shrink: each commit makes it longer while somebody reads what it was at the beginning."""
    if log < LOG_REPORTED:
        return ()
    here = f"one in this process for {reading_s:.0f} s" if reading_s else "none in this process"
    return (f"the write-ahead log has {log:,} bytes: it grows until the oldest read ends ({here}), or there is room",)


def _full(path: Path) -> tuple[str, ...]:
    """A disk on which not even the room for deletes could be kept: what adds is refused, and what comes from peers."""
    free = Reserve(path).free_for_all()
    if free >= RESERVE_BYTES:
        return ()
    return (f"the disk is full ({free:,} bytes are free): writes and what comes from peers are refused, free space",)


def _moved_on(actor: Actor, peers: tuple[PeerStatus, ...]) -> Iterator[str]:
    """The label of the node of this identity, if sessions with it under another one have completed since."""
    last = max((peer.synced_ms or 0 for peer in peers if peer.actor == actor), default=0)
    for peer in peers:
        if peer.actor != actor and node_of(Actor(peer.actor)) == node_of(actor) and (peer.synced_ms or 0) > last:
            yield peer.label or peer.actor


def _one(connection: sqlite3.Connection, sql: str) -> int:
    (number,) = connection.execute(sql).fetchone()
    return int(number)


def _size(path: Path) -> int:
    with reachable(str(path)):
        return path.stat().st_size if path.exists() else 0
