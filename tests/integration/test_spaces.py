"""Whose space id counts: that of records; and nodes that met while they held nothing stay together."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress

import pytest

from holdfast.clocks import SpaceId
from holdfast.engine.membership import Bond
from holdfast.engine.replica import Replica
from holdfast.errors import SpaceMismatch
from holdfast.transport.answering import Responder
from holdfast.transport.effects import Introduce

from ..gate import first
from ..nodes import assert_equal, heal, meet, opened
from .side import Side, begin, perform, sync


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("rights", ["rw", "r"])
async def test_an_empty_node_that_comes_first_shuts_nobody_out_of_a_rebuilt_hub(tmp_path, rights, writes):
    async with opened(tmp_path / "old.db", space="s") as old, opened(tmp_path / "new.db", space="s") as new:
        await old["t"].put("k", {"v": 1})
        async with opened(tmp_path / "lost.db", space="s") as lost:
            await meet(old, lost)
        space = (await old.status()).space_id
        async with opened(tmp_path / "hub.db", space="s") as hub:
            assert (await meet(new, hub, rights=rights)).blockers == ()
            if writes:
                await new["t"].put("unsynced", {})
            await heal(hub, old, new)
            await assert_equal(hub, old, new)
            assert await hub["t"].count() == 1 + writes
            assert {(await node.status()).space_id for node in (hub, old, new)} == {space}


async def test_a_new_node_with_data_and_an_empty_hub_agree_on_the_hubs_id(tmp_path):
    async with opened(tmp_path / "a.db", space="s") as a, opened(tmp_path / "hub.db", space="s") as hub:
        before = (await hub.status()).space_id
        await meet(a, hub)
        await a["t"].put("k", {})
        await meet(a, hub)
        assert (await a.status()).space_id == (await hub.status()).space_id == before
        async with opened(tmp_path / "b.db", space="s") as b:
            await meet(b, hub)
            assert (await b.status()).space_id == before
            await assert_equal(a, b, hub)


async def test_the_error_names_both_ids_and_a_remedy_that_loses_nothing(tmp_path):
    async with (
        opened(tmp_path / "a.db", space="s") as a,
        opened(tmp_path / "b.db", space="s") as b,
        opened(tmp_path / "one.db", space="s") as one,
        opened(tmp_path / "two.db", space="s") as two,
    ):
        await a["t"].put("k", {})
        await b["t"].put("l", {})
        await meet(a, one)
        await meet(b, two)
        with pytest.raises(SpaceMismatch) as caught:
            await meet(b, one)
        text = f"{caught.value} {caught.value.remedy}"
        for node in (a, b):
            assert (await node.status()).space_id in text
        assert "Keep this file" in text
        assert "empty file" not in text


async def test_an_empty_space_can_be_given_an_id_and_a_full_one_cannot(tmp_path):
    async with opened(tmp_path / "old.db", space="s") as old, opened(tmp_path / "one.db", space="s") as one:
        await old["t"].put("k", {})
        await meet(old, one)
        space = SpaceId((await old.status()).space_id)
        async with opened(tmp_path / "two.db", space="s") as two, opened(tmp_path / "new.db", space="s") as new:
            await Replica(two).fix_space(space)
            await new["t"].put("l", {})
            await meet(new, two)
            await heal(two, old, new)
            await assert_equal(two, old, new)
            with pytest.raises(SpaceMismatch, match=space):
                await Replica(two).fix_space(SpaceId("0" * 32))
            await Replica(two).fix_space(space)


async def test_a_hub_that_an_empty_node_has_met_can_still_be_given_an_id(tmp_path):
    async with opened(tmp_path / "hub.db", space="s") as hub, opened(tmp_path / "new.db", space="s") as new:
        await meet(new, hub)
        await Replica(hub).fix_space(SpaceId("5e" * 16))
        await new["t"].put("k", {})
        await meet(new, hub)
        assert {(await node.status()).space_id for node in (hub, new)} == {"5e" * 16}


def bonds(*sides):
    return [side.facts().membership.bond for side in sides]


def test_of_two_sessions_at_once_neither_undoes_what_the_other_has_agreed_on():
    """Both have read what an empty hub is a member of, and each belongs to another space."""
    hub, one, two = Side("hub"), Side("one"), Side("two")
    for node in (one, two):
        node.write(node.name, {})
        sync(node, Side(f"hub of {node.name}"))
        node.connection.execute("UPDATE peer SET url = NULL")
    answers = [Responder("rw"), Responder("rw")]
    effects = []
    for node, answer in zip((one, two), answers, strict=True):
        (introduce,) = answer.receive(begin(node).opening()[0].message)
        assert isinstance(introduce, Introduce)
        effects.append(answer.introduced(hub.facts(actor=introduce.actor), gave=True))
    perform(hub, answers[0], effects[0])
    with pytest.raises(SpaceMismatch, match="by now"):
        perform(hub, answers[1], effects[1])
    assert hub.facts().membership.space == one.facts().membership.space


@pytest.mark.parametrize("seed", first(12, range(40)))
def test_nodes_that_met_while_they_held_nothing_end_in_one_space(seed):
    """Whoever they meet in between, and in whatever order they write."""
    draw = random.Random(seed)
    sides = [Side(f"n{n}") for n in range(5)]
    met = [(a, b) for a, b in itertools.combinations(sides, 2) if draw.random() < 0.5]
    draw.shuffle(met)
    for pair in met:
        asks, answers = draw.sample(pair, 2)
        meet_at(asks, answers)
    assert Bond.BOUND not in bonds(*sides)
    for step in range(20):
        if draw.random() < 0.4:
            draw.choice(sides).write(f"k{step}", {})
        else:
            with suppress(SpaceMismatch):
                meet_at(*draw.sample(sides, 2))
    for _ in range(3):
        for pair in met:
            meet_at(*draw.sample(pair, 2))
    groups = {side.name: {side.name} for side in sides}
    for a, b in met:
        both = groups[a.name] | groups[b.name]
        groups |= dict.fromkeys(both, both)
    for a, b in itertools.combinations(sides, 2):
        if b.name in groups[a.name]:
            meet_at(a, b)


def meet_at(asks, answers):
    asks.connection.execute("UPDATE peer SET url = NULL")
    asks.connection.execute("UPDATE peer SET url = 'list://hub' WHERE actor = ?", (answers.actor,))
    sync(asks, answers)
