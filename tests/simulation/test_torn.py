"""What is left of writes that were not synced."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.simulation.disk.torn import SECTOR, Cut, Fate, Written, after_power_cut


class Scripted:
    """Draws that are written down beforehand, then zeros."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def draw(self, stream, n):
        value = self.draws.pop(0) if self.draws else 0
        assert 0 <= value < n
        return value


class Bounded:
    """Numbers taken modulo the bound that is asked for."""

    def __init__(self, numbers):
        self.numbers = iter(numbers)

    def draw(self, stream, n):
        return next(self.numbers, 0) % n


def shown(steps):
    """A file's content and its unsynced changes after steps from a synced content."""
    content, changes = bytearray(b"s" * 1_000), []
    for at, (kind, place, length) in enumerate(steps):
        size = len(content)
        if kind:
            new = bytes([at + 1]) * length
            changes.append(Written(place, bytes(content[place : place + length]), new, size))
            content.extend(bytes(max(0, place - size)))
            content[place : place + length] = new
        else:
            changes.append(Cut(place, bytes(content[place:]), size))
            content[place:] = bytes(max(0, place - size))
    return bytes(content), changes


STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 3_000), st.integers(1, 2_000)), max_size=8)


@given(STEPS)
def test_all_kept_is_what_the_system_showed_and_all_lost_what_was_synced(steps):
    content, changes = shown(steps)
    assert after_power_cut(content, changes, Scripted(*[Fate.KEPT] * bool(changes)), "d") == content
    assert after_power_cut(content, changes, Scripted(*[Fate.LOST] * bool(changes)), "d") == b"s" * 1_000


@given(STEPS.filter(bool), st.lists(st.integers(0, 10**6), max_size=60))
def test_each_byte_is_one_that_stood_there_at_some_time(steps, numbers):
    content, changes = shown(steps)
    left = after_power_cut(content, changes, Bounded(numbers), "d")
    could = [{0, b"s"[0]} if at < 1_000 else {0} for at in range(len(left))]
    for change in changes:
        if isinstance(change, Written):
            for at in range(change.offset, min(len(left), change.offset + len(change.new))):
                could[at].add(change.new[0])
    assert all(byte in could[at] for at, byte in enumerate(left))


def test_a_write_is_torn_at_a_border_of_sectors():
    content, changes = shown([(True, 100, 1_500)])
    # Torn is the third of three fates of a write; the borders inside it are at 512, 1024 and 1536.
    for drawn, kept in enumerate((0, SECTOR, 2 * SECTOR, 3 * SECTOR)):
        left = after_power_cut(content, changes, Scripted(Fate.ANY, 2, drawn), "d")
        if not kept:
            assert left == b"s" * 1_000
        else:
            assert left[:kept] == b"s" * 100 + b"\1" * (kept - 100)
            assert left[kept:] == (b"s" * 1_000)[kept:]


def test_a_later_write_may_be_there_without_an_earlier_one():
    content, changes = shown([(True, 0, 10), (True, 600, 10), (True, 2_000, 10)])
    left = after_power_cut(content, changes, Scripted(Fate.ALL_BUT_ONE, 0), "d")
    assert (left[0:10], left[600:610], left[2_000:]) == (b"s" * 10, b"\2" * 10, b"\3" * 10)
    left = after_power_cut(content, changes, Scripted(Fate.IN_ORDER, 2), "d")
    assert (left[0:10], left[600:610], len(left)) == (b"\1" * 10, b"\2" * 10, 1_000)


def test_without_changes_nothing_is_drawn():
    assert after_power_cut(b"abc", [], None, "d") == b"abc"
