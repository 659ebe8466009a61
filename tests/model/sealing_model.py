"""Executable specification of sealing: identities that are gone leave the vectors, and may still come back.

A *seal* is an operation that says: "who covers me has taken in this identity up to this number". That is true without
asking anybody, because a vector only ever takes in whole vectors: whoever covers the seal has taken in all that its
author had. So a vector that covers the seal needs no entry for the identity. One row per seal stays in the roll of
every node; vectors at rest, on the wire and in contexts name only those who are not sealed.

A seal forgets nothing and forbids nothing. Who returns under a sealed identity has operations beyond the sealed number
or has none: the first get an ordinary entry again, the second are covered.
"""

from __future__ import annotations

from .membership_model import Citizen
from .merge_model import STATS, covers


class Sealer(Citizen):
    """A node whose vectors are short at rest, and whole only while they are used."""

    def __init__(self, name, truth):
        super().__init__(name, truth)
        self.roll = {}  # the seal's dot -> (identity, number)

    # -- short and whole vectors -------------------------------------------------------------------------------

    def short(self, vector):
        """Without the entries that a seal in it implies."""
        implied = self._implied(vector)
        return {name: seq for name, seq in vector.items() if seq > implied.get(name, 0)}

    def whole(self, vector):
        return {**vector, **{name: max(seq, vector.get(name, 0)) for name, seq in self._implied(vector).items()}}

    def _implied(self, vector):
        implied = {}
        for dot, (name, seq) in sorted(self.roll.items(), key=lambda row: row[1][1]):
            if self._covers(vector, dot):
                implied[name] = max(seq, implied.get(name, 0))
        return implied

    def _covers(self, vector, dot):
        """A seal's author may be sealed itself: then its own seal speaks for it."""
        if covers(vector, dot):
            return True
        later = [seal for seal, (name, seq) in self.roll.items() if name == dot[0] and seq >= dot[1] and seal != dot]
        return any(self._covers(vector, seal) for seal in later)

    def _rewrite(self, form):
        self.vv, self.fence, self.horizon = form(self.vv), form(self.fence), form(self.horizon)
        self.known = {name: form(vector) for name, vector in self.known.items()}
        if self.marked:
            self.marked = form(self.marked)
        for record in self.records.values():
            record.extra = form(record.extra)

    def _using_whole_vectors(self, act, *peers):
        for node in (self, *peers):
            node._rewrite(node.whole)
        try:
            return act()
        finally:
            for node in (self, *peers):
                node._rewrite(node.short)

    # -- what a node does --------------------------------------------------------------------------------------

    def seal(self, name):
        """An operation, on a member that was left out. It takes no further part; whoever wants to return joins anew."""

        def operation():
            self.seq += 1
            self.roll = {**self.roll, (self.name, self.seq): (name, self.vv.get(name, 0))}
            self.vv = {**self.vv, self.name: self.seq}

        if self.has_authority and name in self.decision.left_out:
            self._using_whole_vectors(operation)
            self._decide({n: vv for n, vv in self.decision.left_out.items() if n != name})
            self.known.pop(name, None)
            STATS["sealed"] += 1

    def left_out(self):
        """With those that are sealed, as far as this node has taken in."""
        gone = {name for dot, (name, _) in self.roll.items() if self._covers(self.vv, dot)}
        return (super().left_out() | gone) - {self.name}

    def pull(self, source, rng, may_cut):
        self.roll = source.roll = {**self.roll, **source.roll}  # in the handshake: the rows that the other side lacks
        self._using_whole_vectors(lambda: super(Sealer, self).pull(source, rng, may_cut), source)

    def purge(self, members=None):
        self._using_whole_vectors(lambda: super(Sealer, self).purge(members))

    def _begin(self, key):
        self._rewrite(self.whole)
        try:
            return super()._begin(key)
        finally:
            self._rewrite(self.short)

    def context(self, key):
        return self.whole(super().context(key))
