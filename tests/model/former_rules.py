"""The rules of purging before decision 0025, kept to show that the generator finds their gap. Known to fail.

A record that comes back is *adopted* whole, its existence too, with the giver's context in place of the node's vector.
Whoever has purged it knew of writes that the giver's context does not, so a sibling that a purged delete had superseded
comes alive again.
"""

from __future__ import annotations

from .membership_model import Citizen
from .merge_model import EXISTS, STATS, Node, Record, covers, join, vv_leq, vv_max


class Adopted(Record):
    """A record whose context stands in place of the node's vv, not beside it, until it covers that vv."""

    def settle(self, vv):
        """Once its own context covers the node's vv, it is a record like any other."""
        if vv_leq(vv, self.extra):
            self.__class__, self.extra = Record, {}


class FormerCitizen(Citizen):
    shows_all = False  # for one session: no skipping, no omission

    def _begin(self, key):
        record, dot = Node._begin(self, key)
        if isinstance(record, Adopted):
            record.extra = {**record.extra, self.name: self.seq}
        return record, dot

    def purge(self, members=None):
        if not self.has_authority:
            return
        names = self.counted() if members is None else members
        known = [self.vv if name == self.name else self.known.get(name, {}) for name in names]
        stable = {node: min(vv.get(node, 0) for vv in known) for node in self.vv}
        for key, record in list(self.records.items()):
            dots = [dot for cell in record.cells.values() for dot in cell]
            if not record.alive and all(covers(stable, d) for d in dots) and vv_leq(record.extra, self.vv):
                self.fence = vv_max(self.fence, stable)
                self.truth.raise_fence(self, names)
                self.truth.drop(self, key)
                self._forget(key)
                STATS["purged"] += 1

    def pull(self, source, rng, may_cut):
        """Peers that do not cover each other's fence reconcile first, and then see everything once."""
        self.decision = max(self.decision, source.decision, key=lambda decision: decision.rank)
        behind = [not vv_leq(self.fence, source.vv), not vv_leq(source.fence, self.vv)]
        if behind[0]:
            source.reconcile(self)
        if behind[1]:
            self.reconcile(source)
        if any(behind):
            self.checkpoint[source.name] = 0
        for key in [k for k, r in self.records.items() if isinstance(r, Adopted) and k in source.records]:
            self._apply(key, source.records[key].cells, source)  # its checkpoint says nothing about these: ask for them
        source.shows_all, completed = any(behind), STATS["complete"]
        Node.pull(self, source, rng, may_cut)
        source.shows_all = False
        if STATS["complete"] > completed:
            self.roster = {**self.roster, **source.roster}
            self.fence = vv_max(self.fence, source.fence)
            self._follow()
            self._repair(source)

    def _follow(self):
        for key, record in list(self.records.items()):
            dots = [dot for cell in record.cells.values() for dot in cell]
            if not record.alive and not isinstance(record, Adopted) and all(covers(self.fence, d) for d in dots):
                self.truth.drop(self, key)
                self._forget(key)

    def delta(self, key, peer_vv):
        whole = self.shows_all or isinstance(self.records[key], Adopted)
        return Node.delta(self, key, {} if whole else peer_vv)

    def _apply(self, key, delta, source):
        """Where the record is absent it is judged whole: taken in and purged, or adopted with the giver's context."""
        given = source.records[key]
        if key not in self.records:
            if all(covers(self.vv, dot) for dot in given.cells[EXISTS]):
                return
            if isinstance(given, Adopted) or any(covers(self.vv, dot) for cell in given.cells.values() for dot in cell):
                self._adopt(key, given, source.context(key))
                return
            Node._apply(self, key, delta, source)
            return
        special = isinstance(given, Adopted) or isinstance(self.records[key], Adopted)
        context = vv_max(self.context(key), source.context(key))
        Node._apply(self, key, delta, source)
        if special and key in self.records:  # neither vv speaks for this record, so none may be added to its context
            self.records[key] = Adopted(self.records[key].cells, context)

    def _adopt(self, key, record, context):
        self.records[key] = Adopted({n: dict(c) for n, c in record.cells.items()}, context)
        self._touch(key)

    def context(self, key):
        record = self.records.get(key)
        return record.extra if isinstance(record, Adopted) else Node.context(self, key)

    def reconcile(self, other):
        """What the other side lacks although it has taken in its whole frontier was deleted there."""
        for key in [k for k in self.records if k not in other.records]:
            if all(covers(other.vv, dot) for dot in self.records[key].cells[EXISTS]):
                self._forget(key)

    def _repair(self, other):
        """Equal vectors, no extra contexts, different cells: exchange whole records, and keep what one side lacks."""
        records = [record for node in (self, other) for record in node.records.values()]
        if self.vv != other.vv or any(r.extra and not isinstance(r, Adopted) for r in records):
            return
        if self._shown() == other._shown():
            return
        for one, two in ((self, other), (other, self)):
            for key in one.records.keys() | two.records.keys():
                mine, theirs = one.records.get(key), two.records.get(key)
                if mine is None:
                    one._adopt(key, theirs, two.context(key))
                elif theirs is not None:
                    cells = join(mine.cells, one.context(key), theirs.cells, two.context(key))
                    if cells != mine.cells:
                        kind = Adopted if isinstance(mine, Adopted) else Record
                        one.records[key] = kind(cells, vv_max(mine.extra, two.context(key)))
                        one._touch(key)

    def _shown(self):
        return {key: record.visible() for key, record in self.records.items() if record.alive}
