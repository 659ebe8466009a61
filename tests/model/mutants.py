"""Rules of the purging model, each broken in one place. The generator must find every one of them, and soon."""

from __future__ import annotations

from dataclasses import replace

from .fleets import Fleet, RestlessFleet
from .membership_model import Citizen
from .merge_model import EXISTS, Node
from .purging_model import NOTHING, Kept, State, join
from .sealing_model import Sealer


class PurgesWithoutKnowledge(Citizen):
    """What is dead here is purged whatever the others are known to have."""

    def _known_of(self, name):
        return self.vv


class PurgesAtOnce(Citizen):
    """The fence is where the purging node stands, not where all have been."""

    def purge(self, members=None):
        if self.marked is not None:
            self.marked = self.vv
        super().purge([self.name])


class EveryonePurges(Citizen):
    """Each node leaves out whom it can't reach, and purges what the rest have."""

    has_authority = True


class DeleteClearsCells(Citizen):
    def delete(self, key):
        super().delete(key)
        if key in self.records and not self.records[key].alive:
            self.records[key].cells = {EXISTS: self.records[key].cells[EXISTS]}


class RebornKeepsHiddenCells(Citizen):
    def put(self, key, fields):
        hidden = {}
        if key in self.records and not self.records[key].alive:
            hidden = {n: dict(c) for n, c in self.records[key].cells.items() if n in ("count", "set")}
        super().put(key, fields)
        self.records[key].cells.update(hidden)


class FenceNotTakenOver(Citizen):
    """Who has followed one purge says nothing of it to the next."""

    def _meet_fence(self, fence):
        pass

    def _complete(self, source):
        fence = self.fence
        super()._complete(source)
        self.fence = fence


class FenceTakenOverLate(Citizen):
    """Only a completed session moves the fence; what an absence has emptied by then is not behind it."""

    def _meet_fence(self, fence):
        pass


class AbsentJoinedInParts(Citizen):
    """The vector speaks for the cells of what is absent."""

    def look(self, key):
        state = super().look(key)
        return state if state.cells else replace(state, forgotten=NOTHING)


class AbsentTakenWhole(Citizen):
    """The gap of the former rules: existence is adopted like the other cells."""

    def _apply(self, key, delta, theirs):
        mine = self.look(key)
        if not mine.cells and not all(mine.knows(dot) for dot in theirs.cells[EXISTS]):
            delta = theirs.cells
            self.records[key] = Kept({n: dict(c) for n, c in delta.items()}, theirs.taken_in)
        super()._apply(key, delta, theirs)


class ReturnsAsOrdinary(Citizen):
    """A record that comes back does not carry what was forgotten of it."""

    def _still_forgotten(self, mine, theirs):
        return NOTHING


class ForgetsOnlyTheFence(Citizen):
    """What a node has dropped is taken to lie behind the fence, though it had seen more of it."""

    def _forget(self, key):
        super()._forget(key)
        self.horizon = self.fence


class NotContagious(Citizen):
    """Who has not forgotten a record passes it on like any other."""

    def _returned(self, mine, theirs, forgotten):
        return bool(forgotten)


class ReturnedIsSkipped(Citizen):
    """The frontier is taken to tell the cells."""

    def delta(self, key, peer_vv):
        return Node.delta(self, key, peer_vv)


class HolderStaysOrdinary(Citizen):
    """An absence removes what it covers, but leaves the rest as it was ("others stay as they are")."""

    def _apply_absence(self, key, source):
        if not join(self.look(key), State({}, source.vv, self._all_of(source))):
            super()._apply_absence(key, source)

    def _all_of(self, source):
        return source.look("").forgotten


class NoAbsences(Citizen):
    """Who was away hears only of what is there."""

    def _apply_absence(self, key, source):
        pass


class AbsenceSpeaksForTheFence(Citizen):
    """The fence is claimed to be taken in, though a session that was cut has only told of it."""

    def _apply_absence(self, key, source):
        twin = source.image()
        twin.vv = source.fence
        super()._apply_absence(key, twin)


class NoStub(Citizen):
    """An emptied record takes its extra context with it."""

    def _empty(self, key, extra):
        super()._empty(key, {})


class UnsettledMayGo(Citizen):
    """A dead record is dropped together with a context that the vector does not cover."""

    def _may_go(self, record):
        return not record.alive and not record.is_stub


class FollowsBeyondTheFence(Citizen):
    """What is dead goes when a fence arrives, whether it lies behind it or not."""

    def _follow(self):
        fence, self.fence = self.fence, self.vv
        super()._follow()
        self.fence = fence


class JoinsUnannounced(Citizen):
    """A sponsor tells nobody."""

    def _enroll(self, name, sponsor):
        super()._enroll(name, sponsor)
        self.roster = {n: by for n, by in self.roster.items() if n != name}


class PastClaimsAtLeast(Sealer):
    """What is lower than in the past is left out of a vector at rest: the past would claim for it."""

    def kept(self, vector):
        number, apart = super().kept(vector)
        return number, {name: seq for name, seq in apart.items() if seq > self.pasts[number].get(name, 0)}


class RestsOverTheLastPast(Sealer):
    """A vector is read over the past of today, not over the one that it names."""

    def restored(self, rest):
        number, apart = rest
        return super().restored((number and -1, apart))


class PastGrowsInPlace(Sealer):
    """A past is changed instead of followed by another."""

    def _add_past(self, entries):
        self.pasts[-1].update(entries)


class SealForgetsTheEntry(Sealer):
    """The sealed identity leaves the vector for good: nothing says that its operations were taken in."""

    def seal(self, name):
        super().seal(name)
        if name in self.sealed:
            self.vv = {n: seq for n, seq in self.vv.items() if n != name}


class SealedKnowsAll(Sealer):
    """A sealed member that is heard of again counts as one that has all."""

    def _known_of(self, name):
        return self.vv if name in self.sealed else super()._known_of(name)


CAUGHT_AT = {
    PurgesWithoutKnowledge: (Fleet, 6),
    PurgesAtOnce: (Fleet, 26),
    EveryonePurges: (Fleet, 12),
    JoinsUnannounced: (Fleet, 3),
    DeleteClearsCells: (Fleet, 3),
    RebornKeepsHiddenCells: (Fleet, 2),
    FollowsBeyondTheFence: (Fleet, 4),
    UnsettledMayGo: (RestlessFleet, 217),
    FenceNotTakenOver: (RestlessFleet, 199),
    NoAbsences: (Fleet, 124),
    AbsenceSpeaksForTheFence: (RestlessFleet, 217),
    HolderStaysOrdinary: (Fleet, 940),
    AbsentJoinedInParts: (Fleet, 3),
    AbsentTakenWhole: (Fleet, 3),
    ReturnsAsOrdinary: (Fleet, 3),
    NotContagious: (Fleet, 3),
    ReturnedIsSkipped: (Fleet, 1),
}
"""The first seed, counted from 0, that shows each mutant."""

RARELY_CAUGHT = (FenceTakenOverLate, ForgetsOnlyTheFence, NoStub)
"""Broken corners of corners: not seen in 1,500 fleets of either kind, or once in 2,500."""

SEALS_CAUGHT_AT: dict[type[Sealer], int] = {
    PastClaimsAtLeast: 171,
    RestsOverTheLastPast: 669,
    PastGrowsInPlace: 25,
    SealForgetsTheEntry: 20,
    SealedKnowsAll: 396,
}
"""The same for the rules of seals, in sealing fleets."""
