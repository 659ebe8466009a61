"""The common cases of a merge, settled without building records: nothing new, or the peer's state succeeds ours.

Invariant: what it settles is what the join would give; where it cannot be sure it settles nothing and says so.
"""

from __future__ import annotations

from enum import Enum

from holdfast.clocks import Dot, VersionVector

from ..digest import packed_digest, plain_digest
from ..documents import looks_safe
from ..packing import UnreadableCellsError, decode
from ..succession import succeed
from .arrival import Arrival
from .journal import replaced
from .rows import Ready, Row, RowValues
from .store import Tx

_ONE_STAMP = 4
"""Length of the stamps of a record that one write made: it belongs in a plain row."""


class Verdict(Enum):
    """What a look at the frontiers told."""

    UNCHANGED = "unchanged"
    UNSURE = "unsure"


def follow(tx: Tx, arrival: Arrival, row: Row, ours_have: VersionVector) -> Ready | Verdict:
    """The row that the arrival makes of ours, or that it changes nothing, or that the join must tell.

    Args:
        tx: The open transaction.
        arrival: What came.
        row: What stands here, in no conflict with itself.
        ours_have: What this node's state of the record has taken in.

    Raises:
        UnreadableCellsError: What came cannot be read.
    """
    if row.node is None or row.seq is None or row.conflicts or not row.live or not looks_safe(arrival.doc):
        return Verdict.UNSURE
    mine, stamp = Dot(tx.names[row.node], row.seq), arrival.stamp
    theirs_newer = arrival.context.covers(mine)
    if stamp is None:
        return _succeed(tx, arrival, row, mine, ours_have) if theirs_newer else Verdict.UNSURE
    if stamp.dot == mine:
        return Verdict.UNCHANGED if row.cells is None and row.doc == arrival.doc else Verdict.UNSURE
    ours_newer = ours_have.covers(stamp.dot)
    if ours_newer == theirs_newer:
        return Verdict.UNSURE
    if ours_newer:
        # With cells of ours, a field may stand under the very dot that came: the join compares them.
        return Verdict.UNCHANGED if row.cells is None else Verdict.UNSURE
    return _succeed_plain(tx, arrival, row)


def _succeed(tx: Tx, arrival: Arrival, row: Row, mine: Dot, ours_have: VersionVector) -> Ready | Verdict:
    theirs = decode(arrival.cells)
    if not theirs.is_flat() or not theirs.is_sound(len(arrival.actors)) or len(theirs.stamps) == _ONE_STAMP:
        return Verdict.UNSURE
    named = theirs.renamed(arrival.actors.__getitem__)
    author, seq, clock, flags = named.stamps[:4]
    if (author, seq) == mine:
        return Verdict.UNSURE
    ours = decode(row.cells) if row.cells is not None else mine
    try:
        successor = succeed(row.doc, ours, tx.names, arrival.doc, named, ours_have)
    except (ValueError, RecursionError) as error:
        raise UnreadableCellsError(f"a document is no JSON object: {error}") from error
    if successor is None:
        return Verdict.UNSURE
    number = tx.names.number
    digest = packed_digest(arrival.collection, arrival.key, named, successor.doc)
    values = RowValues(1, number(author), seq, clock, flags, digest, named.renamed(number).encoded(), successor.doc)
    return Ready(values, successor.old, named.stamps[2::4])


def _succeed_plain(tx: Tx, arrival: Arrival, row: Row) -> Ready | Verdict:
    stamp, doc = arrival.stamp, arrival.doc
    if stamp is None or (row.cells is not None and not decode(row.cells).is_flat()):
        return Verdict.UNSURE
    try:
        old = replaced(row.doc, doc)
    except (ValueError, RecursionError) as error:
        raise UnreadableCellsError(f"a document is no JSON object: {error}") from error
    digest = plain_digest(arrival.collection, arrival.key, stamp, doc)
    node = tx.names.number(stamp.dot.actor)
    return Ready(RowValues(1, node, stamp.dot.seq, stamp.clock, stamp.flags, digest, None, doc), old, (stamp.clock,))
