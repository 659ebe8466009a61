"""Gives operations that stand only in this file new names, when a peer's sign shows that the old ones were used twice.

Invariant: only dots above `known` are renamed, and whoever gave the sign is not known to hold those as they stand
here; the vector no longer claims them and peers' feeds are read anew, so the other copy's operations of the same names
arrive like any peer's, also those that were passed over while the vector claimed them. The log row of a reissued
operation has a context without them, so that receipts can be followed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from holdfast.clocks import Actor, Dot

from ..cells import Cell, Life, Record, Stamp
from ..reached import reached
from ..turns import UNTURNED
from .journal import Journal, Kind
from .pasts import restored
from .retained import floor_of
from .rows import COLUMNS, Records, Row
from .spread import spread
from .store import Tx
from .withdrawal import withdraw
from .write import Receipt

_CANDIDATES = (
    f"SELECT {COLUMNS}, c.name, r.key FROM record r JOIN collection c ON c.id = r.collection"  # noqa: S608 - constants only
    " WHERE r.cells IS NOT NULL OR (r.node = ? AND r.seq > ?) ORDER BY r.id"
)

_CHANGED = (
    f"SELECT {COLUMNS}, c.name, r.key FROM record r JOIN collection c ON c.id = r.collection WHERE r.lsn = ?"  # noqa: S608 - constants only
    " ORDER BY r.id"
)

_OWN = "SELECT 1 FROM log WHERE node = ? AND seq = ? AND record = ? AND clock = ? AND kind <> ?"

_WRITTEN = (
    "SELECT w.lsn FROM record r JOIN collection c ON c.id = r.collection"
    " JOIN log w ON w.record = r.id AND w.kind <> ? AND w.seq = ? AND w.node = (SELECT id FROM actor WHERE actor = ?)"
    " WHERE c.name = ? AND r.key = ?"
)
_RENAMED_SINCE = (
    "SELECT a.actor, max(l.seq), v.vector FROM record r JOIN collection c ON c.id = r.collection"
    " JOIN log l ON l.record = r.id AND l.kind = ? AND l.lsn > ?"
    " JOIN actor a ON a.id = l.node JOIN context v ON v.id = l.context"
    " WHERE c.name = ? AND r.key = ? GROUP BY l.lsn ORDER BY l.lsn"
)


def reissue(tx: Tx, old: int, known: int, stored: int) -> int:
    """Rename the operations of identity number `old` above `known`; gives how many.

    Those up to `stored` stand with other peers under their old names, which the other copy may have used as well: what
    arrives under these is to be renamed too (`rename_returned`).
    The transaction has begun the new identity already.
    """
    actor = tx.names.actor(old)
    tx.given_up[actor] = known
    places = _written_by(tx, old, known)
    if stored > known:
        tx.connection.execute("INSERT OR REPLACE INTO reused (actor, low, high) VALUES (?, ?, ?)", (old, known, stored))
    withdraw(tx, old, known)  # before the log rows, whose context then tells which operations were renamed
    lsn = tx.next_lsn()
    count = _rename(tx, places, lsn, lambda _, stamp: stamp.dot.actor == actor and stamp.dot.seq > known)
    spread(tx, lsn)
    return count


def rename_returned(tx: Tx, numbers: Sequence[int], lsn: int) -> int:
    """Rename what a batch brought under names that this file has used for other writes; gives how many operations.

    Peers that know the old names from this file take them for known and would pass over what the copy wrote. The new
    names supersede the old ones wherever both were taken in, and both values stand under new names then.

    Args:
        tx: The transaction in which the batch was joined.
        numbers: The identities that the batch names.
        lsn: What the records have that it changed.
    """
    used = tx.connection.execute("SELECT actor, low, high FROM reused").fetchall()
    ranges = {tx.names.actor(actor): (actor, low, high) for actor, low, high in used if actor in numbers}
    if not ranges:
        return 0

    def is_copys(record: int, stamp: Stamp) -> bool:
        actor, low, high = ranges.get(stamp.dot.actor, (0, 0, 0))
        if not low < stamp.dot.seq <= high:
            return False
        own = tx.connection.execute(_OWN, (actor, stamp.dot.seq, record, stamp.clock, int(Kind.MERGE))).fetchone()
        return own is None

    places = [
        (name, key)
        for *columns, name, key in tx.connection.execute(_CHANGED, (lsn,)).fetchall()
        if any(is_copys(row.id, stamp) for row in [Row._make(columns)] for stamp in row.record(tx.names).stamps())
    ]
    return _rename(tx, places, lsn, is_copys)


def _rename(tx: Tx, places: Sequence[tuple[str, str]], lsn: int, chosen: Callable[[int, Stamp], bool]) -> int:
    """Give the chosen stamps of these records dots of this node, in records of this lsn; gives how many."""
    journal = Journal(tx)
    records = Records(tx, journal)
    count = 0
    for collection, key in places:
        stored = records.at(collection, key)
        before = records.current(stored)
        names: dict[Dot, Dot] = {}
        # The clock stays: by it the operation is known again when it comes back under this name (`_OWN`).
        mine = {(stamp.dot, stamp.clock) for stamp in before.stamps() if chosen(stored.number, stamp)}
        for dot, clock in sorted(mine):
            tx.seq += 1
            names[dot] = Dot(tx.actor, tx.seq)
            journal.note(Kind.REISSUE, lsn, stored.number, Stamp(names[dot], clock), turned=UNTURNED)
        records.change(stored, renamed(before, names), lsn)
        count += len(names)
    if count:
        reached("identity: operations get new names")
    records.flush()
    journal.flush()
    return count


def present_name(connection: sqlite3.Connection, receipt: Receipt) -> Dot:
    """The operation that a receipt stands for today: its own, or what this file renamed it to.

    Operations on one record are renamed and travel together: the last of them stands for all, also for those that they
    had superseded.
    """
    dot, place = receipt.dot, (receipt.collection, receipt.key)
    written = connection.execute(_WRITTEN, (int(Kind.MERGE), dot.seq, dot.actor, *place)).fetchone()
    # Its row may have been trimmed; else the receipt is of a state of the file that was lost.
    lsn = written[0] if written else receipt.lsn
    if not written and lsn > floor_of(connection, receipt.collection)[0]:
        return dot
    for actor, seq, seen in connection.execute(_RENAMED_SINCE, (int(Kind.REISSUE), lsn, *place)).fetchall():
        if not restored(connection, seen).covers(dot):
            dot = Dot(Actor(actor), seq)
    return dot


def _written_by(tx: Tx, old: int, known: int) -> list[tuple[str, str]]:
    """Records in which an operation above `known` stands, by their cells: the log may have been trimmed."""
    actor = tx.names.actor(old)
    places = []
    for *columns, name, key in tx.connection.execute(_CANDIDATES, (old, known)).fetchall():
        row = Row._make(columns)
        if row.cells is None or any(s.dot.actor == actor and s.dot.seq > known for s in row.record(tx.names).stamps()):
            places.append((name, key))
    return places


def renamed(record: Record, names: Mapping[Dot, Dot]) -> Record:
    """The record with these operations under other names, which nobody has seen."""

    def stamp(old: Stamp) -> Stamp:
        return old._replace(dot=names.get(old.dot, old.dot))

    def cell(old: Cell) -> Cell:
        siblings = [sibling._replace(stamp=stamp(sibling.stamp)) for sibling in old.values()]
        return {sibling.stamp.dot: sibling for sibling in siblings}

    lives = [Life(stamp(life.stamp), life.alive) for life in record.existence.values()]
    # What others have written on has left the frontier. Under its new name nobody has seen it: there it stands again.
    alive = any(life.alive for life in record.existence.values())
    lives += [Life(stamp(old), alive) for old in _behind_others(record, names)]
    return Record({life.stamp.dot: life for life in lives}, {name: cell(old) for name, old in record.cells.items()})


def _behind_others(record: Record, names: Mapping[Dot, Dot]) -> list[Stamp]:
    """The last stamp to be renamed of each identity, if only others' stand in front: it has seen those before it."""
    last = {stamp.dot.actor: stamp for stamp in sorted(record.stamps()) if stamp.dot in names}
    return [stamp for _, stamp in sorted(last.items()) if stamp.dot not in record.existence]
