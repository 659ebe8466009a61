"""Whether a copy may be gone back to: it is of this space, and what stands in it is what was written.

Knows nothing of where copies are kept. Invariant: nothing of a copy that is foreign or damaged becomes a write, or a
file; both are told before anything is done.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from holdfast.errors import DamagedFile, SpaceMismatch

from .membership import Membership, united
from .storage.copying import check_whole
from .storage.declare import declared_schemas
from .storage.members import membership_of
from .storage.migrations import FORMAT, format_of
from .verify import problems_of

_NAMED: Final = 3
"""Problems that the error about a damaged copy names."""

_KIN: Final = "SELECT n.space_name, n.label, a.actor FROM node n JOIN actor a ON a.id = n.actor"


class Kin(NamedTuple):
    """Of whom a file is: the name of its space, the label and identity of its node, and the ids of the space."""

    space: str
    label: str
    actor: str
    membership: Membership


def kin_of(connection: sqlite3.Connection) -> Kin:
    """Of whom a file is."""
    space, label, actor = connection.execute(_KIN).fetchone()
    return Kin(space, label, actor, membership_of(connection))


def knows(connection: sqlite3.Connection, then: Kin) -> bool:
    """Whether a file has heard of the node that a copy is of."""
    return connection.execute("SELECT 1 FROM actor WHERE actor = ?", (then.actor,)).fetchone() is not None


def check_kin(then: Kin, now: Kin, *, known: bool, subject: str) -> None:
    """Return if a copy is of this space.

    Args:
        then: Of whom the copy is.
        now: Of whom the file is.
        known: Whether the file has heard of the node that the copy is of: ids that nobody else knew may differ then.
        subject: What the error names.

    Raises:
        SpaceMismatch: It is of another one, also of one that goes by the same name.
    """
    ours, theirs = now.membership, then.membership
    shared = {ours.space, *ours.aliases} & {theirs.space, *theirs.aliases}
    if then.space == now.space and (shared or (known and united(ours, theirs, holds=True) is not None)):
        return
    raise SpaceMismatch(
        f"it is of the space {then.space!r} ({theirs.space}), node {then.label!r}; the file holds {now.space!r}"
        f" ({ours.space})",
        subject=subject,
        remedy="Go back to a snapshot of this file. Records of another space come with export and import.",
    )


def check_sound(connection: sqlite3.Connection, subject: str) -> None:
    """Return if every record of a copy is what was written; about 30,000 records a second.

    Of a copy in an older format the pages are checked, and the sum of the records' digests.

    Raises:
        DamagedFile: It is damaged.
    """
    if format_of(connection, subject) < FORMAT:
        check_whole(connection, subject)
        return
    found = problems_of(connection, {schema.name: schema.policy for schema in declared_schemas(connection)})
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise DamagedFile(
            f"the copy is damaged, and nothing was taken from it: {'; '.join(found[:_NAMED])}{more}",
            subject=subject,
            remedy="Take another snapshot or backup, or `holdfast salvage` this one: what is whole goes to a new file.",
        )
