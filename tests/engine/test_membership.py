"""Which space nodes are in: whoever has met stays together, records found, and what holds nothing yields."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import SpaceId
from holdfast.engine.membership import ALIASES_MAX, STRANGER, Bond, Membership, united

IDS = st.integers(0, 5).map(lambda n: SpaceId(f"{n:032x}"))
MEMBERS = st.one_of(
    IDS.map(Membership),
    st.builds(
        lambda ids, bond: Membership(ids[0], bond, tuple(sorted(ids[1:]))),
        st.lists(IDS, min_size=1, max_size=4, unique=True),
        st.sampled_from([Bond.LOOSE, Bond.BOUND]),
    ),
)
S, T = SpaceId("5" * 32), SpaceId("7" * 32)


@given(MEMBERS, MEMBERS, st.booleans())
def test_both_sides_come_to_the_same(ours, theirs, holds):
    if ours.bond is theirs.bond is Bond.FREE:
        theirs = STRANGER  # of two that are free, who is asked names its own
    one, other = united(ours, theirs, holds=holds), united(theirs, ours, holds=holds)
    if theirs is not STRANGER:
        assert one == other
    else:
        assert one is not None
        assert one.space == ours.space


@given(MEMBERS, MEMBERS, st.booleans())
def test_whoever_has_met_has_an_id_in_common_and_forgets_none(ours, theirs, holds):
    both = united(ours, theirs, holds=holds)
    if both is None:
        assert ours.bond is theirs.bond is Bond.BOUND
        assert not ours.ids & theirs.ids
    else:
        assert both.ids >= ours.ids | theirs.ids
        assert both.bond is not Bond.FREE
        assert united(both, both, holds=holds) == both


@given(MEMBERS, MEMBERS, st.booleans())
def test_an_id_of_records_never_yields_to_one_of_nothing(ours, theirs, holds):
    both = united(ours, theirs, holds=holds)
    if both is not None and ours.bond is Bond.BOUND > theirs.bond:
        assert both.space == ours.space


def test_two_spaces_with_records_do_not_mix():
    assert united(Membership(S, Bond.BOUND), Membership(T, Bond.BOUND), holds=True) is None


def test_who_held_nothing_when_they_met_is_found_again_in_another_space():
    """A hub and a new node agree on T; the hub goes on in S, with an old node. The new one has written meanwhile."""
    hub = united(Membership(T, Bond.LOOSE), Membership(S, Bond.BOUND), holds=True)
    assert hub == Membership(S, Bond.BOUND, (T,))
    assert united(Membership(T, Bond.BOUND), hub, holds=True) == hub


def test_other_ids_are_bounded():
    ids = [SpaceId(f"{n:032x}") for n in range(2 * ALIASES_MAX)]
    many = [Membership(half[0], Bond.LOOSE, tuple(half[1:])) for half in (ids[:ALIASES_MAX], ids[ALIASES_MAX:])]
    both = united(*many, holds=False)
    assert both is not None
    assert len(both.aliases) == ALIASES_MAX
