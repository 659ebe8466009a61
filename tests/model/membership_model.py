"""Executable specification of membership: who counts for a purge, who may purge, and how that changes hands.

Nothing here is needed for safety: a node that nobody counts, and a second authority, are met by the rules of
purging_model.py like any node that was away. Membership decides only *when* it is worth to purge: early enough that
tombstones do not pile up, late enough that nobody who syncs now and then has to reconcile.

  roster     who takes part, with the sponsor of each: grows by operations, and travels with the vector.
  decision   who purges in which term, and who is left out of stability: one value, made by the authority alone, copied
             in every handshake, the later one wins. A node that hears of a later term does not purge any more.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

from .merge_model import STATS, vv_leq
from .purging_model import Member


@dataclass(frozen=True)
class Decision:
    term: int = 0
    number: int = 0
    authority: str = ""
    left_out: dict = field(default_factory=dict)  # name -> the vector it was known to have when it was left out

    @property
    def rank(self):
        return self.term, self.number, self.authority


class Citizen(Member):
    def __init__(self, name, truth):
        super().__init__(name, truth)
        self.roster = {}
        self.decision = Decision()

    # -- joining -----------------------------------------------------------------------------------------------

    def found(self, names):
        """The first members know each other and the authority from the start."""
        self.roster, self.decision = dict.fromkeys(names, ""), Decision(1, 0, names[0])

    def sponsor(self, name):
        """An operation, stored before the first batch leaves: who knows this node's vector counts the new one."""
        self._enroll(name, self.name)
        self.truth.joined[name] = (self.name, self.seq)
        return type(self)(name, self.truth)

    def _enroll(self, name, sponsor):
        self.seq += 1
        self.vv = {**self.vv, self.name: self.seq}
        self.roster = {**self.roster, name: sponsor}

    def image(self):
        """The file, as a backup or a clone has it. What stands in it has left the node."""
        self.shared_seq = self.seq
        twin = copy.copy(self)
        twin.records = {key: copy.copy(record) for key, record in self.records.items()}
        for record in twin.records.values():
            record.cells = {name: dict(cell) for name, cell in record.cells.items()}
        twin.feed_at, twin.checkpoint, twin.known = dict(self.feed_at), dict(self.checkpoint), dict(self.known)
        return twin

    def reopened(self, name):
        """The same file under a new incarnation: nothing that was keyed by the old one is used again."""
        twin = self.image()
        twin.known[self.name] = self.vv
        twin.name, twin.seq, twin.shared_seq, twin.marked = name, 0, 0, None
        twin._enroll(name, "")
        self.truth.nodes[name] = twin
        return twin

    def left_out(self):
        return set(self.decision.left_out) - {self.name}

    # -- sessions ----------------------------------------------------------------------------------------------

    def pull(self, source, rng, may_cut):
        self.decision = max(self.decision, source.decision, key=lambda decision: decision.rank)
        super().pull(source, rng, may_cut)

    def _complete(self, source):
        self.roster = {**self.roster, **source.roster}
        super()._complete(source)

    # -- decisions ---------------------------------------------------------------------------------------------

    def is_appointed(self):
        return self.decision.authority == self.name

    @property
    def has_authority(self):
        return self.is_appointed()

    def _decide(self, left_out):
        self.decision = replace(self.decision, number=self.decision.number + 1, left_out=left_out)

    def expire(self, name):
        """Leave a silent member out of stability."""
        if self.has_authority and name in self.counted() and name != self.name:
            self._decide({**self.decision.left_out, name: self.known.get(name, {})})

    def restore(self, name):
        """Count a member again, returned or not; before the next purge this undoes its expiry as if it had not been."""
        if self.has_authority:
            self._decide({n: vv for n, vv in self.decision.left_out.items() if n != name})

    def hand_over(self, heir):
        """In one session: the heir takes over term and list, and this node stops before the heir begins."""
        if self.has_authority:
            self.marked = None
            self.decision = heir.decision = Decision(self.decision.term + 1, 0, heir.name, self.decision.left_out)
            heir.roster = {**heir.roster, **self.roster}

    def seize(self):
        """The authority is lost, or so it seems: a later term, which leaves the old authority out."""
        old = self.decision
        if not self.has_authority:
            left_out = {**old.left_out, old.authority: self.known.get(old.authority, {})}
            left_out.pop(self.name, None)
            self.decision = Decision(old.term + 1, 0, self.name, left_out)

    # -- purging -----------------------------------------------------------------------------------------------

    def counted(self):
        return sorted({self.name, *self.roster} - self.left_out())

    def purge(self, members=None):
        if self.has_authority:
            self._count_again()
            super().purge(self.counted() if members is None else members)
        else:
            self.marked = None

    def _count_again(self):
        """Who has been heard of since it was left out, and covers the fence, counts again by itself."""
        for name, then in self.decision.left_out.items():
            now = self.known.get(name, {})
            if now != then and vv_leq(self.fence, now):
                self.restore(name)
                STATS["counted again"] += 1
