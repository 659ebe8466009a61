"""Executable specification of purging, absence and return: merge_model.py with nodes that forget deleted records.

The rules (docs/decisions/0025): a record has two halves. *Existence* says whether it is alive; it joins exactly,
whether or not a tombstone stands, because a node's vector goes on speaking for it after the record is purged. The
*other cells* are forgotten with the record, so for them the vector does not speak: a record that comes back is taken
whole, and carries the operations that were forgotten of it until someone who has not forgotten them says what became
of them.

Vocabulary, besides that of merge_model.py
  fence      a vector; what was dead up to here may be purged. Who covers it has taken in every purged delete.
  absence    "this record is not here": said, like a record, to a peer whose vector does not cover the fence.
  forgotten  the operations that a record's context covers for its existence, but not for its other cells.
  horizon    what is absent at a node may have been forgotten up to here.
  stub       a record that an absence has emptied while it had an extra context: no cells, until that settles.
  returned   a record that came back somewhere: its frontier does not tell its cells, so it is never skipped.
  mark       a vector that becomes the fence once every counted member is known to cover it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .merge_model import EXISTS, KNOWN, STATS, NeedFull, Node, Record, covers, vv_leq, vv_max, widest

NOTHING = frozenset()


def dots_of(vv):
    """A vector as the set of dots it covers; the engine keeps such sets as ranges."""
    return frozenset((node, seq) for node, last in vv.items() for seq in range(1, last + 1))


@dataclass(frozen=True)
class State:
    """What one side knows of one record. An absent record is a state like any other: no cells."""

    cells: dict
    taken_in: dict  # the context
    forgotten: frozenset = NOTHING
    returned: bool = False

    def knows(self, dot):
        """Whether this side has taken in the operation, for existence."""
        return covers(self.taken_in, dot)

    def remembers(self, dot):
        """Whether this side can say what became of the operation's other cells."""
        return covers(self.taken_in, dot) and dot not in self.forgotten

    def has_met(self, other):
        """Whether anything that the other side holds of the record is known here."""
        return any(self.knows(dot) for cell in other.cells.values() for dot in cell)


def join(mine, theirs):
    """The one merge, with a judge for each half: existence by what is known, other cells by what is remembered."""
    joined = {}
    for name in mine.cells.keys() | theirs.cells.keys():
        one, two = (mine.knows, theirs.knows) if name == EXISTS else (mine.remembers, theirs.remembers)
        cell = join_cell(mine.cells.get(name, {}), one, theirs.cells.get(name, {}), two)
        if cell:
            joined[name] = cell
    return joined if EXISTS in joined else {}


def join_cell(a, a_has_taken, b, b_has_taken):
    """A dot survives if both sides hold it, or if the side without it has never taken it in."""
    cell = {dot: widest(value, b.get(dot, value)) for dot, value in a.items() if dot in b or not b_has_taken(dot)}
    for dot, value in b.items():
        if dot not in a and not a_has_taken(dot):
            if value is KNOWN:
                raise NeedFull
            cell[dot] = value
    return cell


class Kept(Record):
    """A record at rest: cells, extra context, and what is forgotten of it."""

    def __init__(self, cells=None, extra=None, forgotten=NOTHING, returned=False):
        super().__init__(cells, extra)
        self.forgotten, self.returned = forgotten, returned

    @property
    def is_stub(self):
        return not self.cells

    def dots(self):
        return [dot for cell in self.cells.values() for dot in cell]


class Member(Node):
    """A node that purges, forgets, and meets those who have not."""

    def __init__(self, name, truth):
        super().__init__(name, truth)
        truth.nodes[name] = self
        self.fence, self.horizon = {}, {}
        self.marked = None

    # -- local writes ------------------------------------------------------------------------------------------

    def _begin(self, key):
        """A write on what is dead or absent is a put, and has seen all that the node has taken in."""
        if not self._alive(key):
            record = self.records.setdefault(key, Kept())
            record.forgotten = frozenset(dot for dot in record.forgotten if not covers(self.vv, dot))
            self.truth.reborn(key, (self.name, self.seq + 1), seen=self.vv)
        return super()._begin(key)

    def put(self, key, fields):
        super().put(key, "fg")

    def delete(self, key):
        alive = self._alive(key)
        super().delete(key)
        if alive:
            self.truth.delete((self.name, self.seq))

    # -- states ------------------------------------------------------------------------------------------------

    def context(self, key):
        record = self.records.get(key)
        return vv_max(self.vv, record.extra) if record and record.extra else self.vv

    def look(self, key):
        """The state of any key, present or not: of what is absent, anything up to the horizon may be forgotten."""
        if self.lacks(key):
            return State({}, self.context(key), dots_of(self.horizon))
        record = self.records[key]
        return State(record.cells, self.context(key), record.forgotten, record.returned)

    def lacks(self, key):
        return key not in self.records or self.records[key].is_stub

    def delta(self, key, peer_vv):
        """None if the peer has taken in the whole frontier, and the frontier tells all."""
        record = self.records[key]
        return record.cells if record.returned else super().delta(key, peer_vv)

    # -- sync --------------------------------------------------------------------------------------------------

    def pull(self, source, rng, may_cut):
        """One session. Who does not cover the fence also hears of absences; only completion moves the vector."""
        behind = not vv_leq(source.fence, self.vv)
        if behind:
            self._meet_fence(source.fence)
        start = self.checkpoint.get(source.name, 0)
        steps = [(start, key) for key in sorted(self.records) if behind and source.lacks(key)]
        steps += sorted((lsn, key) for key, lsn in source.feed_at.items() if lsn > start)
        cut = rng.randint(0, len(steps)) if may_cut and rng.random() < 0.5 else None
        self._take(source, steps[:cut])
        if cut is None:
            self._complete(source)
        STATS["cut" if cut is not None else "complete"] += 1

    def _meet_fence(self, fence):
        """Before an absence empties anything: what then comes from someone below this fence has returned."""
        self.fence = vv_max(self.fence, fence)

    def _take(self, source, steps):
        peer_vv = dict(self.vv)
        source.shared_seq = source.seq
        for lsn, key in steps:
            if source.lacks(key):
                self._apply_absence(key, source)
            elif (delta := source.delta(key, peer_vv)) is not None:
                self._apply(key, delta, source.look(key))
            self.checkpoint[source.name] = lsn

    def _complete(self, source):
        self.checkpoint[source.name] = source.lsn
        self.vv = vv_max(self.vv, source.vv)
        self.fence = vv_max(self.fence, source.fence)
        self.horizon = vv_max(self.horizon, source.horizon)  # what the source has forgotten, its vector did not bring
        for peer, vv in [*source.known.items(), (source.name, source.vv)]:
            self.known[peer] = vv_max(self.known.get(peer, {}), vv)
        self._settle()
        self._follow()

    def _apply(self, key, delta, theirs):
        mine = self.look(key)
        try:
            cells = join(mine, replace(theirs, cells=delta))
        except NeedFull:
            STATS["need_full"] += 1
            cells = join(mine, theirs)
        extra = vv_max(self.records[key].extra, theirs.taken_in) if key in self.records else theirs.taken_in
        self._keep(key, cells, {} if vv_leq(extra, self.vv) else extra, self._after_return(mine, theirs), theirs)

    def _after_return(self, mine, theirs):
        """An absent record that comes back. Who covers the fence, and forgot nothing, knows all that was purged here.

        It has returned all the same if a part of it is known here, such as a purged delete that still stands there.
        """
        if mine.cells:
            return mine
        if vv_leq(self.fence, theirs.taken_in) and not theirs.forgotten:
            return replace(mine, forgotten=NOTHING, returned=mine.has_met(theirs))
        return replace(mine, returned=True)

    def _apply_absence(self, key, source):
        """The source's vector says what became of the record's existence; its other cells the source has forgotten."""
        mine = self.look(key)
        theirs = State({}, source.vv, dots_of(source.horizon), returned=True)
        self._keep(key, join(mine, theirs), self.records[key].extra, mine, theirs)

    def _keep(self, key, cells, extra, mine, theirs):
        if not cells:
            self._empty(key, extra)
            return
        forgotten = self._still_forgotten(mine, theirs)
        returned = self._returned(mine, theirs, forgotten)
        if key not in self.feed_at or (cells, forgotten, returned) != (mine.cells, mine.forgotten, mine.returned):
            self._touch(key)
        STATS["returned"] += returned
        self.records[key] = Kept(cells, extra, forgotten, returned)

    def _still_forgotten(self, mine, theirs):
        """Forgotten by one side, and not remembered by the other."""
        return frozenset(
            [dot for dot in mine.forgotten if not theirs.remembers(dot)]
            + [dot for dot in theirs.forgotten if not mine.remembers(dot)]
        )

    def _returned(self, mine, theirs, forgotten):
        """Contagious."""
        return mine.returned or theirs.returned or bool(forgotten)

    def _empty(self, key, extra):
        """Nothing is left of the record; but a context that came with it stands until the vector covers it."""
        if key in self.records:
            self._forget(key)
            if extra:
                self.records[key] = Kept({}, extra)
            STATS["emptied"] += 1

    def _settle(self):
        for key, record in list(self.records.items()):
            record.settle(self.vv)
            if record.is_stub and not record.extra:
                del self.records[key]

    # -- purging -----------------------------------------------------------------------------------------------

    has_authority = True  # membership_model.py says who has it

    def is_appointed(self):
        return True

    def left_out(self):
        """Members that do not count for a purge."""
        return set()

    def purge(self, members):
        """The authority: once every counted member covers the mark, it becomes the fence; then mark anew."""
        if self.marked is not None and all(vv_leq(self.marked, self._known_of(name)) for name in members):
            self.fence = vv_max(self.fence, self.marked)
            self.truth.raise_fence(self, members)
            self._follow()
            self.marked = None
        if self.marked is None:
            self.marked = self.vv

    def _known_of(self, name):
        return self.vv if name == self.name else self.known.get(name, {})

    def _follow(self):
        """What is dead behind the fence is dropped, by the authority as by everyone who takes the fence over."""
        for key, record in list(self.records.items()):
            if self._may_go(record) and all(covers(self.fence, dot) for dot in record.dots()):
                self.truth.drop(self, key)
                self._forget(key)
                STATS["purged"] += 1

    def _may_go(self, record):
        """Dead, and no session that it came with is still open: its extra context would go with it."""
        return not record.alive and not record.is_stub and not record.extra

    def _forget(self, key):
        self.horizon = vv_max(self.horizon, self.context(key))
        del self.records[key]
        self.feed_at.pop(key, None)
