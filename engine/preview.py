"""A record as a transaction will leave it: the writes it has collected so far, on what is committed now.

Reads only; knows nothing of commits. Invariant: what it shows is what a reader sees after the commit, because the same
functions edit and project the record; only the version is still that of the committed state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from holdfast.clocks import Actor, Dot, Timestamp
from holdfast.resolvers import Policy

from .cells import ABSENT, Stamp
from .documents import decode_object
from .edits import Delete, Put, edited
from .projection import project
from .storage.reading import Document, all_actors
from .storage.rows import COLUMNS, Row
from .storage.write import Write
from .versions import NO_RECORD, version_of

_BY_KEY: Final = (
    f"SELECT {COLUMNS} FROM record r JOIN collection c ON c.id = r.collection WHERE c.name = ? AND r.key = ?"  # noqa: S608 - constants only
)
_NOBODY: Final = Actor("")
"""Writes these edits until the commit gives them their dots; it never meets another sibling of theirs."""


def preview(connection: sqlite3.Connection, writes: Sequence[Write], policy: Policy) -> Document | None:
    """The record of these writes, all of one key, after them; None if it would not exist.

    An update or delete of what does not exist is passed over: the commit refuses the whole transaction because of it.
    """
    place = (writes[0].collection, writes[0].key)
    found = connection.execute(_BY_KEY, place).fetchone()
    row = Row._make(found) if found else None
    record = row.record(all_actors(connection)) if row else ABSENT
    live = row is not None and bool(row.live)
    version = version_of(record.frontier) if live else NO_RECORD
    for number, write in enumerate(writes):
        if live or write.upsert or isinstance(write.edit, Put):
            record = edited(record, write.edit, Stamp(Dot(_NOBODY, number), Timestamp(0)))
            live = not isinstance(write.edit, Delete)
    if not live:
        return None
    shown = project(*place, record, policy)
    return Document(
        key=place[1],
        fields=decode_object(shown.doc),
        version=version,
        conflicted=bool(shown.settled),
        quarantined=shown.unreadable,
    )
