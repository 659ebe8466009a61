"""A crash is not a shutdown: nothing of the dead runs, then or later, and nothing warns."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
import weakref
from contextlib import asynccontextmanager, contextmanager

import pytest

from holdfast.errors import SimulationDeadlock
from holdfast.simulation.kernel import graveyard
from holdfast.simulation.kernel.life import current_node

from ..gate import first
from .loops import loop_of


@pytest.fixture
def seen(monkeypatch):
    """What ran, and what Python complained about in places where nobody can catch it."""
    notes = []
    monkeypatch.setattr(sys, "unraisablehook", notes.append)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
        gc.collect()
    notes += caught
    assert notes == []


class Resource:
    """Something large that only the dead hold."""

    def __init__(self, seen):
        self.seen = seen

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        self.seen.append("__aexit__")
        await asyncio.sleep(0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.seen.append("__exit__")


@contextmanager
def inner(seen):
    try:
        yield
    finally:
        seen.append("generator inside a generator")


@contextmanager
def outer(seen):
    with inner(seen):
        try:
            yield
        except GeneratorExit:
            seen.append("caught GeneratorExit")
            raise


@asynccontextmanager
async def served(seen):
    try:
        with outer(seen):
            yield
    finally:
        seen.append("async context manager")
        await asyncio.sleep(1)


async def numbers(seen):
    try:
        for number in range(10):
            await asyncio.sleep(1)
            yield number
    finally:
        seen.append("async generator")


class Pollable:
    """An awaitable that hides a coroutine behind `__await__`."""

    def __init__(self, coro):
        self.coro = coro

    def __await__(self):
        return self.coro.__await__()


async def deep(seen, depth, resource):
    async with resource, served(seen):
        try:
            with outer(seen), resource:
                if depth:
                    await Pollable(deep(seen, depth - 1, resource))
                else:
                    await asyncio.get_running_loop().create_future()
        finally:
            seen.append("finally")
            await asyncio.sleep(1)


async def iterate(seen):
    async for _ in numbers(seen):
        await asyncio.sleep(5)


async def half_read(seen, kept):
    kept.append(numbers(seen))
    await anext(kept[0])
    await asyncio.sleep(100)


async def many_ways(seen, resource):
    """One of everything that asyncio can be suspended in."""
    unstarted = deep(seen, 0, resource)
    child = asyncio.create_task(deep(seen, 1, resource))
    child.add_done_callback(lambda _: seen.append("done-callback"))
    asyncio.get_running_loop().call_later(3, seen.append, "timer")
    tasks = [
        asyncio.create_task(iterate(seen)),
        asyncio.create_task(half_read(seen, [])),
        asyncio.create_task(asyncio.to_thread(seen.append, "executor")),
    ]
    never_run = asyncio.create_task(deep(seen, 2, resource))
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        group.create_task(deep(seen, 1, resource))
        await asyncio.wait([*tasks, never_run, asyncio.shield(child)], timeout=40)
    del unstarted


async def crash_at(loop, when_us, seen, resource):
    loop.spawn("a", many_ways(seen, resource))
    await asyncio.sleep(when_us / 1_000_000)
    loop.abandon("a")


# Before the first step, in the middle of starting, before the executor, and when all is suspended.
@pytest.mark.parametrize("when_us", first(2, [3, 1_500_000, 0, 8, 20, 40]))
def test_a_crash_runs_no_code_of_the_dead_and_leaves_no_warning(seen, when_us):
    notes = seen if when_us < 50 else []  # the executor has run by then
    resource = Resource(notes)
    with loop_of() as loop:
        loop.run_until_complete(crash_at(loop, when_us, notes, resource))
        before = list(notes)
        loop.run_until_complete(asyncio.sleep(1000))
        gc.collect()
        assert notes == before
    gc.collect()
    assert notes == before
    assert set(notes) <= {"executor"}


def test_without_the_mark_the_dead_would_clean_up(monkeypatch):
    # So that the test above cannot pass because there is nothing to run.
    monkeypatch.setattr(graveyard, "_mark", lambda target: None)
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: None)
    notes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with loop_of() as loop:
            loop.run_until_complete(crash_at(loop, 1_500_000, notes, Resource(notes)))
            notes.clear()
        gc.collect()
    assert {"finally", "__exit__", "generator inside a generator", "async context manager"} <= set(notes)


def test_where_objects_cannot_be_marked_the_dead_are_kept(seen, monkeypatch):
    monkeypatch.setattr(graveyard, "_can_mark", lambda: False)
    monkeypatch.setattr(graveyard, "_unburied", kept := [])
    resource = Resource(seen)
    freed = weakref.ref(resource)
    with loop_of() as loop:
        loop.run_until_complete(crash_at(loop, 40, seen, resource))
    del resource
    gc.collect()
    assert freed() is not None
    again = graveyard.Graveyard()
    again.keep(kept.pop())
    monkeypatch.undo()
    again.bury()
    assert freed() is None


def test_the_end_of_the_world_frees_what_the_dead_held(seen):
    resource = Resource(seen)
    freed = weakref.ref(resource)
    with loop_of() as loop:
        loop.run_until_complete(crash_at(loop, 40, seen, resource))
        del resource
        gc.collect()
        assert freed() is not None
    assert freed() is None


def test_worlds_that_were_dropped_do_not_pile_up():
    worlds = []
    for _ in range(2 * graveyard.COLLECT_WORLDS):
        with loop_of() as loop:
            loop.itself = loop
            loop.run_until_complete(asyncio.sleep(1))
            worlds.append(weakref.ref(loop))
        del loop
    assert sum(world() is None for world in worlds) >= graveyard.COLLECT_WORLDS


def test_what_still_runs_at_the_end_of_the_world_is_abandoned_too(seen):
    with loop_of() as loop:
        loop.spawn("a", many_ways(seen, Resource(seen)))
        loop.create_task(deep(seen, 1, Resource(seen)))
        loop.run_until_complete(asyncio.sleep(0.00002))


def test_who_waits_for_the_dead_is_not_woken():
    with loop_of() as loop:
        answer = loop.create_future()

        async def answering():
            await asyncio.sleep(1)
            answer.set_result("answer")

        async def asking():
            async with asyncio.timeout(10):
                return await answer

        async def world():
            loop.spawn("a", answering())
            asked = loop.spawn("b", asking())
            await asyncio.sleep(0.5)
            loop.abandon("a")
            await asked

        with pytest.raises(TimeoutError):
            loop.run_until_complete(world())
        assert 10 <= loop.time() < 10.001


def test_the_dead_are_not_woken_by_the_living():
    ran = []
    with loop_of() as loop:
        event = asyncio.Event()

        async def waiting():
            await event.wait()
            ran.append(current_node.get())

        async def world():
            loop.spawn("a", waiting())
            loop.spawn("b", waiting())
            await asyncio.sleep(1)
            loop.abandon("a")
            event.set()
            await asyncio.sleep(1)

        loop.run_until_complete(world())
    assert ran == ["b"]


def test_a_new_life_of_the_same_name_is_another_life():
    ran = []

    async def life(number):
        while True:
            await asyncio.sleep(1)
            ran.append(number)

    async def world(loop):
        loop.spawn("a", life(1))
        await asyncio.sleep(1.5)
        loop.abandon("a")
        loop.spawn("a", life(2))
        await asyncio.sleep(2.5)

    with loop_of() as loop:
        loop.run_until_complete(world(loop))
    assert ran == [1, 2, 2]


def test_a_node_that_abandons_itself_ends_with_its_step():
    ran = []

    async def crashing(loop):
        try:
            loop.abandon("a")
            ran.append("same step")
            await asyncio.sleep(0)
            ran.append("next step")
        finally:
            ran.append("finally")

    with loop_of() as loop:
        loop.spawn("a", crashing(loop))
        loop.run_until_complete(asyncio.sleep(1))
    assert ran == ["same step"]


def test_living_async_generators_that_are_dropped_are_closed_in_their_own_node():
    closed = []

    async def stream():
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            closed.append(current_node.get())

    async def reading():
        async for _ in stream():
            break

    with loop_of() as loop:
        loop.run_until_complete(loop.spawn("a", reading()))
        loop.run_until_complete(asyncio.sleep(2))
    assert closed == ["a"]


def test_a_world_in_which_nothing_is_left_to_happen_names_who_waits_and_where():
    async def stuck():
        await asyncio.Event().wait()

    with loop_of() as loop:
        loop.spawn("hub", stuck())
        with pytest.raises(SimulationDeadlock, match=r"hub: .*stuck#\d+ at .*test_abandon\.py:\d+"):
            loop.run_until_complete(loop.create_future())
