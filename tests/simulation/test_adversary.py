"""Claims about hostile peers: every attack of the catalogue against real engines, as a request and as an answer."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.errors import HoldfastError
from holdfast.simulation.network.adversary import Adversary
from holdfast.simulation.network.attacks import ATTACKS, Outcome
from holdfast.transport.messages import Refuse

from .virtual import run

BY_NAME = {attack.name: attack for attack in ATTACKS}
HONEST = ("hub", "a", "b")
UNCHANGED = {Outcome.UNAFFECTED, Outcome.REFUSED, Outcome.REPORTED}
SAME_IDENTITY = UNCHANGED | {Outcome.WRITTEN}

KNOWN = {}
"""Defects of the engine that the catalogue has found and that stand."""


def cases():
    for attack in ATTACKS:
        for side in ("called", "answered"):
            if getattr(attack, side) is not None:
                reason = KNOWN.get((attack.name, side))
                marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
                yield pytest.param(attack, side, marks=marks, id=f"{side}: {attack.name}")


async def states(lab):
    """What honest nodes hold and who they are."""
    found = {name: await engine.status() for name, engine in lab.engines.items()}
    return {name: (s.digest, s.vector) for name, s in found.items()}, {n: s.incarnations for n, s in found.items()}


async def prepared(lab):
    """Three honest nodes that agree, with an operation that only the first edge has."""
    await lab.open(*HONEST)
    for name in HONEST:
        lab.network.quality(name, "mallory", latency_ms=(0, 0))
        lab.network.quality("mallory", name, latency_ms=(0, 0))
        for n in range(3):
            await lab.engines[name]["t"].put(f"{name}{n}", {"n": n})
    for _ in range(2):
        for edge in ("a", "b"):
            await lab.sync(edge, "hub")
    await lab.engines["a"]["t"].put("late", {"n": 9})


async def attacked(lab, attack, side):
    """Carry out an attack while the others go on; gives whether it was refused."""
    adversary = Adversary(lab.network, lab.choices)
    others = asyncio.ensure_future(lab.sync("b", "hub"))
    refused = False
    if side == "answered":
        await others
    async with asyncio.timeout(1):  # in which there is room for fifty exchanges
        if side == "called":
            reply = await adversary.call(attack, "hub", "a")
            refused = reply.error is not None or any(isinstance(message, Refuse) for message in reply.messages)
        else:
            posing = "hub" if attack.name == "checkpoint beyond another's feed" else "mallory"
            adversary.listen(attack, posing)
            try:
                await lab.sync("a", posing)
            except HoldfastError:
                refused = True
            assert adversary.answered
            lab.network.register("hub", lab._responder("hub"))
    assert (await others).completed
    return refused


async def healthy(lab):
    """Honest nodes write on, sync, agree, and hold all that they wrote; their files verify."""
    for name, engine in lab.engines.items():
        await engine["t"].put(f"after-{name}", {"n": 9})
    for _ in range(3):
        for edge in ("a", "b"):
            assert (await lab.sync(edge, "hub")).completed
    held, _ = await states(lab)
    assert held["hub"] == held["a"] == held["b"]
    wanted = ["late", *(f"after-{name}" for name in HONEST), *(f"{name}{n}" for name in HONEST for n in range(3))]
    for engine in lab.engines.values():
        assert (await engine.verify()).problems == ()
        assert [key for key in wanted if await engine["t"].get(key) is None] == []


@pytest.mark.parametrize(("attack", "side"), list(cases()))
def test_an_attack_comes_to_no_more_than_the_catalogue_says(tmp_path, attack, side):
    expected = getattr(attack, side)
    victim = "hub" if side == "called" else "a"

    async def test(lab):
        await prepared(lab)
        held, lives = await states(lab)
        refused = await attacked(lab, attack, side)
        held_then, lives_then = await states(lab)
        if expected in UNCHANGED:
            assert held_then == held
        if expected is Outcome.REFUSED:
            assert refused
        if expected is Outcome.REPORTED:
            assert (await lab.engines[victim].status()).holes == 1
        await asyncio.sleep(4_000)
        await healthy(lab)
        _, lives_after = await states(lab)
        if expected in SAME_IDENTITY:
            assert lives == lives_then == lives_after
        forged = [await engine["t"].get("forged") for engine in lab.engines.values()]
        if expected is Outcome.WRITTEN and attack.name != "never drained":
            assert all(record.fields == {"by": "mallory"} for record in forged)
        if expected in UNCHANGED:
            assert forged == [None] * 3

    run(tmp_path, test)


@pytest.mark.parametrize("seed", range(12))
def test_no_mutation_of_a_frame_is_taken_for_a_frame(tmp_path, seed):
    async def test(lab):
        await prepared(lab)
        held, _ = await states(lab)
        for name in ("mutated byte", "truncated", "garbage"):
            assert await attacked(lab, BY_NAME[name], "called")
        assert (await states(lab))[0] == held

    run(tmp_path, test, seed)


def test_a_request_of_another_that_is_replayed_costs_nothing(tmp_path):
    """Whoever repeats a request gets the ticket that was given before, so that of the node itself is still known."""
    lives = set()

    async def test(lab):
        await prepared(lab)
        for _ in range(4):
            await lab.engines["a"]["t"].put("late", {"n": 9})
            await lab.sync("a", "hub")
            await Adversary(lab.network, lab.choices).call(BY_NAME["replayed request"], "hub", "a")
        await healthy(lab)
        lives.add((await lab.engines["a"].status()).incarnations)

    run(tmp_path, test)
    assert lives == {1}


def test_a_stranger_tells_everybody_of_the_same_operation(tmp_path):
    """It once wrote it anew in each answer, so that nodes with equal vectors held different stamps."""

    async def test(lab):
        await prepared(lab)
        Adversary(lab.network, lab.choices).listen(BY_NAME["ordinary member"])
        for edge in ("a", "b"):
            await asyncio.sleep(60)
            await lab.sync(edge, "mallory")
        await healthy(lab)

    run(tmp_path, test)


def test_a_stamp_of_the_far_future_loses_to_whoever_has_seen_it(tmp_path):
    async def test(lab):
        await prepared(lab)
        await attacked(lab, BY_NAME["clock far in the future"], "called")
        await healthy(lab)
        receipt = await lab.engines["b"]["t"].put("forged", {"by": "b"})
        assert receipt.clock >> 16 < lab.wall.ms + 300_000
        await healthy(lab)
        for engine in lab.engines.values():
            assert (await engine["t"].get("forged")).fields == {"by": "b"}

    run(tmp_path, test)


def test_the_catalogue_says_what_every_attack_may_come_to():
    assert len(BY_NAME) == len(ATTACKS) >= 12
    assert all(attack.why and (attack.called or attack.answered) for attack in ATTACKS)
    assert {outcome for attack in ATTACKS for outcome in (attack.called, attack.answered)} == {None, *Outcome}
    assert {name for name, _ in KNOWN} <= set(BY_NAME)
