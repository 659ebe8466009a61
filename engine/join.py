"""The one merge of the engine: a dot survives if both sides hold it, or if the side without it never took it in.

Pure; knows nothing of storage or sessions, and nothing of what values mean. Invariant: join is commutative,
associative and idempotent over what honest nodes can hold (docs/concepts.md, Join).

A record has two halves: its existence joins by what each side has taken in, also where one has purged the record; its
other cells by what each side remembers (docs/decisions, 0025).
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.clocks import NO_DOTS, Dot, DotRanges, VersionVector
from holdfast.resolvers.canonical import decode, encode

from .cells import ABSENT, EQUIVOCAL, REGISTER, Cell, Life, Record, Sibling
from .reached import reached


class ValueLeftOutError(Exception):
    """A sender left out a value that the receiver turned out to lack: the record is to be asked for whole.

    Internal: it never leaves the engine; the session answers it with a message.
    """


@dataclass(frozen=True, slots=True)
class Memory:
    """What one side knows of a record beside its cells.

    Attributes:
        context: What its state has taken in.
        forgotten: Operations of it that the context covers and that say nothing about cells, because the record was
            purged once.
    """

    context: VersionVector
    forgotten: DotRanges = NO_DOTS

    def knows(self, dot: Dot) -> bool:
        """Whether this side has taken in an operation, for existence."""
        return self.context.covers(dot)

    def remembers(self, dot: Dot) -> bool:
        """Whether it can say what became of the operation's other cells."""
        return self.context.covers(dot) and dot not in self.forgotten

    def still_forgotten(self, other: Memory) -> DotRanges:
        """What is forgotten after a join: by one side, and not remembered by the other."""
        if not (self.forgotten or other.forgotten):
            return NO_DOTS
        both = self.forgotten & other.forgotten
        return both | self.forgotten.beyond(other.context) | other.forgotten.beyond(self.context)


def join(ours: Record, mine: Memory, theirs: Record, others: Memory) -> Record:
    """The join of two states of one record; absent (empty) if nothing of its existence is left.

    Args:
        ours: What this node holds; may be absent.
        mine: What this node knows of it.
        theirs: What the peer holds; values that this node's vector covered may be left out.
        others: What the peer knows of it.

    Raises:
        ValueLeftOutError: The result needs a value that the peer left out.
    """
    existence = _join_lives(ours, mine, theirs, others)
    if not existence:
        return ABSENT
    cells: dict[str, Cell] = {}
    for name in ours.cells.keys() | theirs.cells.keys():
        cell = _join_cell(ours.cells.get(name, {}), mine, theirs.cells.get(name, {}), others)
        if cell:
            cells[name] = cell
    return Record(existence, cells)


def _join_lives(ours: Record, mine: Memory, theirs: Record, others: Memory) -> dict[Dot, Life]:
    lives = {dot: life for dot, life in ours.existence.items() if dot in theirs.existence or not others.knows(dot)}
    for dot, life in theirs.existence.items():
        if dot in lives:
            # They differ only if two copies of one identity wrote: alive is what loses nothing.
            lives[dot] = Life(max(life.stamp, lives[dot].stamp), life.alive or lives[dot].alive)
        elif dot not in ours.existence and not mine.knows(dot):
            lives[dot] = life
    return lives


def _join_cell(ours: Cell, mine: Memory, theirs: Cell, others: Memory) -> Cell:
    if len(ours) == len(theirs) == 1:
        ((dot, sibling),) = ours.items()
        other = theirs.get(dot)
        if other is not None and _same(sibling, other):
            return ours
    joined: dict[Dot, Sibling] = {}
    for dot, sibling in ours.items():
        other = theirs.get(dot)
        if other is not None:
            joined[dot] = sibling if _same(sibling, other) else _either(sibling, other)
        elif not others.remembers(dot):
            joined[dot] = sibling
    for dot, sibling in theirs.items():
        if dot not in ours and not mine.remembers(dot):
            if sibling.value is None:
                raise ValueLeftOutError
            joined[dot] = sibling
    return joined


def _same(ours: Sibling, theirs: Sibling) -> bool:
    if theirs.value is None:
        # Once both values stand here, what is left out is one of them: asking again would never end.
        return ours.stamp == theirs.stamp or ours.tag == EQUIVOCAL
    return ours == theirs


def _either(ours: Sibling, theirs: Sibling) -> Sibling:
    """What two sides that say different things under one dot agree on, whichever is asked."""
    if theirs.value is None:
        # It was left out because we hold it, but under this dot we hold another write: two copies of an identity wrote.
        raise ValueLeftOutError
    if (ours.value, ours.tag) != (theirs.value, theirs.tag):
        return equivocal(ours, theirs)
    base = max(ours.base or b"", theirs.base or b"") or None
    return Sibling(max(ours.stamp, theirs.stamp), ours.tag, ours.value, base)


def equivocal(ours: Sibling, theirs: Sibling) -> Sibling:
    """Two values under one dot: two copies of one identity wrote. Both are kept, in an order all nodes agree on."""
    reached("apply: one dot with two values")
    values = sorted(set(claims(ours)) | set(claims(theirs)))
    stamp = max(ours.stamp, theirs.stamp)
    return Sibling(stamp, EQUIVOCAL, encode(values), max(ours.base or b"", theirs.base or b"") or None)


def claims(sibling: Sibling) -> list[str]:
    """The JSON texts that stand under the sibling's dot: one, unless copies of an identity used it several times."""
    if sibling.tag == EQUIVOCAL and isinstance(sibling.value, str):
        listed = decode(sibling.value)
        return [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
    if sibling.value is None:
        return []
    if isinstance(sibling.value, bytes):
        return [encode(sibling.value.hex())]
    return [sibling.value if sibling.tag == REGISTER else encode(sibling.value)]


def discarded(before: Record, after: Record) -> list[tuple[str, Sibling]]:
    """The siblings of conflicts in `before` that `after` no longer holds: what a reader may want back.

    A single value that a later write replaced is no conflict: the log keeps it. Neither is a value discarded that
    the field still holds under another dot, as when a decision takes it.
    """
    gone = []
    for name, cell in before.cells.items():
        if len(cell) > 1:
            now = after.cells.get(name, {})
            kept = {(sibling.tag, sibling.value) for sibling in now.values()}
            gone += [(name, s) for dot, s in cell.items() if dot not in now and (s.tag, s.value) not in kept]
    return gone
