"""Stories of purging that fleets rarely tell: one for each mutant that no fleet was seen to catch.

Each is a function that fails by an AssertionError where a rule is broken.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from holdfast.engine.delta import FeedBatch
from holdfast.engine.storage.absence import absent_here, apply_absences, question, read_absences
from holdfast.engine.storage.feed import read_batch

from ..model.observer import Observer
from .purging_member import EngineMember

Story = Callable[[EngineMember, EngineMember, EngineMember, EngineMember], None]


def _pull(node: EngineMember, source: EngineMember) -> None:
    node.pull(source, random.Random(0), may_cut=False)


def _purge(hub: EngineMember, key: str) -> None:
    """Delete a record where nobody else counts, and let it go."""
    for name in sorted(hub.roster):
        hub.expire(name)
    hub.delete(key)
    hub.purge()
    hub.purge()
    assert key not in hub.records


def _is_whole(node: EngineMember) -> bool:
    cells = node.records["x"].cells
    return bool(cells.get("f")) and bool(cells.get("g"))


def _tell_of_update(hub: EngineMember, near: EngineMember, away: EngineMember) -> None:
    """The hub's update reaches one alone; it is purged, and the other, who changed another field, hears of that."""
    hub.put("x", "fg")
    _pull(away, hub)
    hub.update("x", "g")
    _pull(near, hub)
    _purge(hub, "x")
    away.update("x", "f")
    _pull(away, hub)
    assert away.records["x"].alive


def what_two_forgot_a_third_remembers(
    hub: EngineMember, near: EngineMember, away: EngineMember, _: EngineMember
) -> None:
    """What both a hub and who brings it a record again have forgotten, they do not claim to remember."""
    _tell_of_update(hub, near, away)
    _pull(hub, away)
    _pull(near, hub)
    assert _is_whole(near)


def a_put_has_seen_what_was_forgotten(
    hub: EngineMember, near: EngineMember, away: EngineMember, _: EngineMember
) -> None:
    """A put on a dead record has seen all that its node took in: nothing of that comes back."""
    _tell_of_update(hub, near, away)
    away.delete("x")
    away.put("x", "fg")
    _pull(near, away)
    assert [*near.records["x"].cells["g"]] == [("B", away.seq)]


def a_vector_comes_with_what_was_forgotten(
    hub: EngineMember, near: EngineMember, away: EngineMember, _: EngineMember
) -> None:
    """Who has a vector from a node that has forgotten takes what comes back whole."""
    hub.put("x", "fg")
    _pull(away, hub)
    _purge(hub, "x")
    _pull(near, hub)
    away.update("x", "f")
    _pull(near, away)
    assert _is_whole(near)


def a_fence_that_was_met_is_no_vector(
    hub: EngineMember, near: EngineMember, away: EngineMember, _: EngineMember
) -> None:
    """Who has only heard of a fence says nothing of what lies behind it: a live record stays."""
    hub.put("x", "fg")
    _pull(away, hub)
    hub.put("y", "fg")
    _purge(hub, "y")
    near._meet_fence(hub)
    _pull(away, near)
    assert [key for key, record in away.records.items() if record.alive] == ["x"]


def who_heard_of_absences_has_met_the_fence(
    hub: EngineMember, near: EngineMember, away: EngineMember, third: EngineMember
) -> None:
    """A session is cut behind its absences: what then comes from below that fence has returned."""
    hub.put("x", "fg")
    for node in (near, away, third):
        _pull(node, hub)
    near.update("x", "g")
    _pull(hub, near)
    _pull(third, hub)
    _purge(hub, "x")
    near._meet_fence(hub)
    near._hear(hub.file, random.Random(0))
    assert not near.records
    away.update("x", "f")
    _pull(near, away)
    _pull(third, near)
    assert _is_whole(third)


def what_comes_after_the_question(hub: EngineMember, near: EngineMember, away: EngineMember, _: EngineMember) -> None:
    """While one that was away is told what is absent, another one brings it a record of that: it hears of that too."""
    hub.put("x", "fg")
    _pull(away, hub)
    _purge(hub, "x")
    mine, theirs = near.file, hub.file
    near._meet_fence(hub)
    batch = read_batch(theirs.connection, start=0, held=mine.vector)
    assert not near._apply_batch(theirs, batch, follows=True).completed
    asked = question(mine.connection)
    _pull(near, away)
    said = read_absences(theirs.connection, asked.sums)
    with mine.store.transaction() as tx:
        apply_absences(tx, said, absent_here(mine.connection, said))
    end = {"start": batch.end, "start_stretch": batch.end_stretch, "end": batch.end, "end_stretch": batch.end_stretch}
    last = FeedBatch(
        feed=batch.feed, drained=True, vector=batch.vector, fence=batch.fence, horizon=batch.horizon, **end
    )
    assert not near._apply_batch(theirs, last, follows=True, heard=asked.asked).completed
    assert near.records["x"].alive
    _pull(near, hub)
    assert not near.records


def existence_is_known_of_what_is_absent(
    hub: EngineMember, near: EngineMember, away: EngineMember, third: EngineMember
) -> None:
    """Of two siblings the one that was deleted and purged here does not come back with the other."""
    hub.put("x", "fg")
    third.put("x", "fg")
    for source in (hub, third):
        _pull(away, source)
    _purge(hub, "x")
    _pull(hub, away)
    assert hub.records["x"].alive
    third.delete("x")
    _pull(hub, third)
    assert not hub.records["x"].alive


def _cut_behind_x(hub: EngineMember, near: EngineMember, away: EngineMember, third: EngineMember) -> None:
    """A record that was deleted and purged, and a fence, reach one in sessions that are cut."""
    _pull(away, third)
    away.delete("x")
    away.put("z", "fg")
    _pull(hub, away)
    _purge(hub, "x")
    batch = read_batch(away.file.connection, start=0, held=near.file.vector, records_max=1)
    assert not near._apply_batch(away.file, batch, follows=True).completed
    assert near.records["x"].extra
    near._meet_fence(hub)


def what_waits_for_its_context_stays(
    hub: EngineMember, near: EngineMember, away: EngineMember, third: EngineMember
) -> None:
    """A dead record whose context the vector does not cover speaks for what that tells of."""
    third.put("x", "fg")
    _cut_behind_x(hub, near, away, third)
    near._follow()
    _pull(near, third)
    assert not near.records["x"].alive


def a_stub_speaks_for_its_context(
    hub: EngineMember, near: EngineMember, away: EngineMember, third: EngineMember
) -> None:
    """An absence empties a record that came in a session that was cut: what that told of stays dead."""
    third.put("x", "fg")
    _cut_behind_x(hub, near, away, third)
    near._hear(hub.file, random.Random(0))
    assert not near.records
    _pull(near, third)
    assert not any(record.alive for record in near.records.values())


def a_stub_remembers_no_cells(hub: EngineMember, near: EngineMember, away: EngineMember, third: EngineMember) -> None:
    """The same, and it comes back with an update: whole, also what the context tells of."""
    third.put("x", "fg")
    _cut_behind_x(hub, near, away, third)
    third.update("x", "f")
    near._hear(hub.file, random.Random(0))
    assert not near.records
    _pull(near, third)
    assert _is_whole(near)


STORIES: dict[str, Story] = {
    "what both have forgotten counts as remembered": what_two_forgot_a_third_remembers,
    "who covers the fence remembers, whatever he says that he forgot": what_two_forgot_a_third_remembers,
    "a put on a dead record keeps what was forgotten of it": a_put_has_seen_what_was_forgotten,
    "the horizon stays at home": a_vector_comes_with_what_was_forgotten,
    "an absence speaks for the fence": a_fence_that_was_met_is_no_vector,
    "the fence is not met before absences": who_heard_of_absences_has_met_the_fence,
    "an absent record is taken whole, its existence too": existence_is_known_of_what_is_absent,
    "a record with an unsettled extra context is dropped": what_waits_for_its_context_stays,
    "no stub stands for what was emptied": a_stub_speaks_for_its_context,
    "the context of a stub is not that of what comes in its place": a_stub_speaks_for_its_context,
    "the horizon leaves out the extra context of what goes": a_stub_remembers_no_cells,
    "what came since the question was asked counts as asked for": what_comes_after_the_question,
}
"""By the mutant that each is to catch."""


def tell(story: Story) -> None:
    """Let a story happen to a hub and three others."""
    truth = Observer()
    members = [EngineMember(name, truth) for name in "HABC"]
    for member in members:
        member.found("HABC")
    try:
        story(*members)
    finally:
        for member in members:
            member.file.close()
