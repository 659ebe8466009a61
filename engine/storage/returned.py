"""What is kept of records that were forgotten: what those that came back do not speak for, and stubs of the emptied.

Knows nothing of joins or sessions. Invariant: a stub stands only where no record does, and only while its context is
unsettled (docs/decisions, 0025).
"""

from __future__ import annotations

from holdfast.clocks import DotRanges

from .store import Tx


def number_of(tx: Tx, forgotten: DotRanges) -> int:
    """The number of a set of operations, given one if it is new."""
    encoded = forgotten.encode()
    tx.connection.execute("INSERT INTO forgotten (ranges) VALUES (?) ON CONFLICT (ranges) DO NOTHING", (encoded,))
    (number,) = tx.connection.execute("SELECT id FROM forgotten WHERE ranges = ?", (encoded,)).fetchone()
    return int(number)


def forgotten_at(tx: Tx, number: int) -> DotRanges:
    """The set with this number."""
    (encoded,) = tx.connection.execute("SELECT ranges FROM forgotten WHERE id = ?", (number,)).fetchone()
    return DotRanges.decode(encoded)


def stub_context(tx: Tx, collection: str, key: str) -> int | None:
    """The number of the extra context that stands where a record was emptied; None if nothing does."""
    place = tx.names.known_collection(collection) if tx.has_stubs else None
    if place is None:
        return None
    query = "SELECT context FROM stub WHERE collection = ? AND key = ?"
    row = tx.connection.execute(query, (place, key)).fetchone()
    return int(row[0]) if row else None


def leave_stub(tx: Tx, collection: int, key: str, context: int) -> None:
    """A record was emptied while it carried this extra context."""
    tx.connection.execute(
        "INSERT OR REPLACE INTO stub (collection, key, context) VALUES (?, ?, ?)", (collection, key, context)
    )
    tx.has_stubs = True


def take_place(tx: Tx, collection: int, key: str) -> None:
    """A record stands where a stub may have stood."""
    if tx.has_stubs:
        tx.connection.execute("DELETE FROM stub WHERE collection = ? AND key = ?", (collection, key))


def free_forgotten(tx: Tx) -> None:
    """Delete the sets that no record refers to any more."""
    tx.connection.execute(
        "DELETE FROM forgotten WHERE id NOT IN (SELECT returned FROM record WHERE returned IS NOT NULL)"
    )
