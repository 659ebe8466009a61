"""Makes one record of two that differ though both nodes have taken in the same (docs/decisions, 0034).

Knows nothing of how the peer is reached. Invariant: nothing that stands on either side is dropped; what only this node
holds gets names of this node, or the peer, whose vector covers the old ones, would pass over it.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.clocks import EMPTY, Dot, Timestamp, VersionVector
from holdfast.errors import UsageError

from ..cells import ABSENT, Record, Stamp
from ..delta import FeedBatch
from ..join import Memory, join
from ..packing import UnreadableCellsError
from ..ranges import Place
from ..turns import UNTURNED
from .arrival import arrivals
from .journal import Journal, Kind
from .reissue import renamed
from .rows import Records, Stored, row_values
from .spread import spread
from .store import Tx


def mend(tx: Tx, vector: VersionVector, batches: Sequence[FeedBatch], alone: Sequence[Place]) -> int:
    """Take in what a peer holds of records that differ, and name anew what it does not hold.

    Args:
        tx: The transaction.
        vector: What the peer had taken in when the records were compared: nothing is done unless it is the same here.
        batches: The peer's records, whole.
        alone: Records that the peer does not hold.

    Returns:
        How many records were changed.
    """
    if tx.vector != vector or tx.names.unsettled() or any(batch.vector != vector for batch in batches):
        return 0
    found: dict[Place, Record] = dict.fromkeys(alone, ABSENT)
    for batch in batches:
        for actor, label in zip(batch.delta.actors, batch.delta.labels, strict=True):
            tx.names.number(actor, label)
        for arrival in arrivals(batch, [*range(len(batch.delta))]):
            try:
                arrival.check_place()
                theirs = arrival.record()
                arrival.check_dots(theirs)
            except (UnreadableCellsError, UsageError):
                continue  # as it was: the next session tells of it
            found[arrival.place] = theirs
    return _mend(tx, found)


def _mend(tx: Tx, found: dict[Place, Record]) -> int:
    journal = Journal(tx)
    records = Records(tx, journal)
    lsn = tx.next_lsn()
    changed = 0
    for (collection, key), theirs in found.items():
        stored = records.at(collection, key)
        mine = _mine(tx, records, stored)
        both = join(mine, Memory(EMPTY), theirs, Memory(EMPTY))
        if not both.existence or (both == mine == theirs):
            continue
        if not both.alive and ABSENT in (mine, theirs) and tx.purging.fence:
            continue  # purged on one side: its absence says the same as the tombstone
        names: dict[Dot, Dot] = {}
        only = _only_in(both, theirs)
        for dot in sorted(only):
            tx.seq += 1
            names[dot] = Dot(tx.actor, tx.seq)
        records.change(stored, renamed(both, names), lsn)
        for dot, clock in sorted(only.items()):
            journal.note(Kind.REISSUE, lsn, stored.number, Stamp(names[dot], clock), turned=UNTURNED)
        changed += 1
    records.flush()
    journal.flush()
    spread(tx, lsn)
    return changed


def _mine(tx: Tx, records: Records, stored: Stored) -> Record:
    """The record as it stands here; ABSENT if its bytes are not what was written."""
    try:
        mine = records.current(stored)
        policy = tx.policy(stored.collection)
        values, _ = row_values(stored.collection, stored.key, mine, policy, tx.names.number)
    except (UnreadableCellsError, ValueError, KeyError):
        return ABSENT
    if stored.row is None or values.digest != stored.row.digest:
        return ABSENT
    return mine


def _only_in(both: Record, theirs: Record) -> dict[Dot, Timestamp]:
    """The operations under which something stands that the peer does not hold like this, and their clocks."""
    only = [life.stamp for dot, life in both.existence.items() if theirs.existence.get(dot) != life]
    for name, cell in both.cells.items():
        held = theirs.cells.get(name, {})
        only += [sibling.stamp for dot, sibling in cell.items() if held.get(dot) != sibling]
    return {stamp.dot: stamp.clock for stamp in sorted(only)}
