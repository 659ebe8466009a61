"""What this version cannot show, by record: the list that status counts, and that an upgrade retries.

Knows nothing of what the fields hold. Invariant: after every change of a record its row names exactly its unreadable
fields (none for a record that is hidden whole), and a record that is shown in full has no row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from .store import Tx

_REASON = "a type that this version does not know"
_REASON_HIDDEN = "a name of a collection that this version does not allow"
_NOTE = (
    "INSERT INTO quarantine (record, fields, reason, since) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (record) DO UPDATE SET fields = excluded.fields"
)


@dataclass(slots=True)
class Quarantine:
    """The quarantine as one transaction changes it."""

    tx: Tx
    _used: bool | None = None

    def note(self, record: int, unreadable: Sequence[str], lsn: int, *, hidden: bool = False) -> None:
        """Bring it in line with a record, of which these fields or (`hidden`) all are not shown."""
        if unreadable or hidden:
            self._used = True
            fields, reason = ([], _REASON_HIDDEN) if hidden else (unreadable, _REASON)
            self.tx.connection.execute(_NOTE, (record, json.dumps(fields), reason, lsn))
        elif self._is_used():
            self.tx.connection.execute("DELETE FROM quarantine WHERE record = ?", (record,))

    def _is_used(self) -> bool:
        if self._used is None:  # the usual case is an empty table, asked once
            (found,) = self.tx.connection.execute("SELECT EXISTS (SELECT 1 FROM quarantine)").fetchone()
            self._used = bool(found)
        return self._used
