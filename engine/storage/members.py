"""What a file is a member of: the ids of its space, and how they change.

Knows nothing of sessions. Invariant: each change is judged in the transaction that keeps it, so of two sessions at
once neither undoes what the other has agreed on.
"""

from __future__ import annotations

import sqlite3

from holdfast.clocks import SpaceId
from holdfast.errors import SpaceMismatch

from ..membership import Bond, Membership, united
from .store import Tx

_HOLDS = "SELECT EXISTS (SELECT 1 FROM record) OR EXISTS (SELECT 1 FROM vector) OR (SELECT seq FROM node) > 0"


def membership_of(connection: sqlite3.Connection) -> Membership:
    """What this file is a member of: an id that others know binds as soon as the file holds anything."""
    space, bond = connection.execute("SELECT space, bond FROM node").fetchone()
    aliases = tuple(SpaceId(alias) for (alias,) in connection.execute("SELECT space FROM alias ORDER BY space"))
    if bond == Bond.LOOSE and holds(connection):
        bond = Bond.BOUND
    return Membership(SpaceId(space), Bond(bond), aliases)


def holds(connection: sqlite3.Connection) -> bool:
    """Whether the file holds any record, or has taken in any operation."""
    return bool(connection.execute(_HOLDS).fetchone()[0])


def unite(tx: Tx, theirs: Membership, *, they_hold: bool) -> None:
    """Become a member of the space of a node that was met.

    Raises:
        SpaceMismatch: Another session has brought the file into another space since its hello was judged.
    """
    ours = membership_of(tx.connection)
    after = united(ours, theirs, holds=they_hold or holds(tx.connection))
    if after is None:
        raise SpaceMismatch(
            f"this is the space {ours.space} by now, the peer is in {theirs.space}",
            subject=theirs.space,
            remedy="Keep the file. Sync it with the hub that it belongs to.",
        )
    _store(tx, after)


def fix(tx: Tx, space: SpaceId, subject: str) -> None:
    """Give a file that holds nothing the id of a space that stands elsewhere.

    Raises:
        SpaceMismatch: It holds records of another space.
    """
    ours = membership_of(tx.connection)
    if ours.space != space and holds(tx.connection):
        raise SpaceMismatch(
            f"the space holds data under the id {ours.space}, it cannot become {space}",
            subject=subject,
            remedy="Set it before the first node syncs, or export the data and import it into the other space.",
            typed="Make another space for that id: `holdfast hub space add DIR NAME --id ID`.",
        )
    _store(tx, Membership(space, Bond.BOUND, tuple(sorted(ours.ids - {space}))))


def _store(tx: Tx, now: Membership) -> None:
    tx.connection.execute("UPDATE node SET space = ?, bond = ?", (now.space, int(now.bond)))
    tx.connection.execute("DELETE FROM alias")
    tx.connection.executemany("INSERT INTO alias (space) VALUES (?)", [(alias,) for alias in now.aliases])
