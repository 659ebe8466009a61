"""Executable specification of sealing: identities that are gone leave the vectors of a file, and may still come back.

Every file keeps *pasts*: vectors of identities that it takes to write no more. A vector at rest names the past that it
was kept over, and what is otherwise in it, lower or higher. So it is the same vector whichever identities a file has
retired, wrongly or not; no other node hears of a past, and nothing has to be true of who is in it.

Who decides *seals* a member that was left out: what it knew of it goes, its identity is retired. A seal forbids and
forgets nothing that anybody wrote: who returns says all of its vector, like a stranger, and is a member again.
"""

from __future__ import annotations

from .membership_model import Citizen
from .merge_model import STATS


class Sealer(Citizen):
    """A node whose vectors are short at rest, and whole only while they are used."""

    def __init__(self, name, truth):
        super().__init__(name, truth)
        self.pasts = ({},)  # by number; the last is that over which vectors are kept from now on
        self.sealed = frozenset()

    # -- short and whole vectors -------------------------------------------------------------------------------

    def kept(self, vector):
        """As it rests: the number of a past, and what is otherwise; 0 for an entry that is not there."""
        past = self.pasts[-1]
        names = vector.keys() | past.keys()
        apart = {n: vector.get(n, 0) for n in names if vector.get(n, 0) != past.get(n, 0)}
        return (len(self.pasts) - 1, apart) if len(apart) <= len(vector) else (0, vector)

    def restored(self, rest):
        number, apart = rest
        return {name: seq for name, seq in {**self.pasts[number], **apart}.items() if seq}

    def retire(self, names):
        """Identities go into a past, whether they write again or not; vectors that rest are not touched."""
        resting = self._all(self.kept)
        self._add_past({name: self.vv[name] for name in names if name in self.vv and name != self.name})
        self._set(self._all(self.restored, resting))
        STATS["retired"] += 1

    def _add_past(self, entries):
        self.pasts = (*self.pasts, {**self.pasts[-1], **entries})

    def _lay_down(self):
        """All that a node knows rests between two events."""
        self._set(self._all(self.restored, self._all(self.kept)))

    def _all(self, form, of=None):
        """Every vector of the file in a form."""
        vv, fence, horizon, marked, known, extra = of or (
            self.vv, self.fence, self.horizon, self.marked, self.known,
            {key: record.extra for key, record in self.records.items()},
        )  # fmt: skip
        return (
            form(vv), form(fence), form(horizon), None if marked is None else form(marked),
            {name: form(vector) for name, vector in known.items()}, {key: form(each) for key, each in extra.items()},
        )  # fmt: skip

    def _set(self, whole):
        self.vv, self.fence, self.horizon, self.marked, self.known, extra = whole
        for key, vector in extra.items():
            self.records[key].extra = vector

    # -- what a node does --------------------------------------------------------------------------------------

    def seal(self, name):
        """Of a member that was left out: nothing is kept but its entry in the vector, and that rests in the past."""
        if self.has_authority and name in self.decision.left_out:
            self._decide({n: vv for n, vv in self.decision.left_out.items() if n != name})
            self.known.pop(name, None)
            self.sealed |= {name}
            self.retire([name])
            STATS["sealed"] += 1

    def left_out(self):
        """With those that are sealed, until they are heard of again."""
        return super().left_out() | (self.sealed - self.known.keys() - {self.name})

    def pull(self, source, rng, may_cut):
        super().pull(source, rng, may_cut)
        self._lay_down()
        source._lay_down()

    def purge(self, members=None):
        super().purge(members)
        self._lay_down()

    def _begin(self, key):
        begun = super()._begin(key)
        self._lay_down()
        return begun
