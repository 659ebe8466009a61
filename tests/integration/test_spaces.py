"""Whose space id a hub takes: one that holds nothing is bound by nobody who holds nothing."""

from __future__ import annotations

import pytest

from holdfast.clocks import SpaceId
from holdfast.engine.replica import Replica
from holdfast.errors import SpaceMismatch

from ..nodes import assert_equal, heal, meet, opened


@pytest.mark.parametrize("rights", ["rw", "r"])
async def test_an_empty_node_that_comes_first_shuts_nobody_out_of_a_rebuilt_hub(tmp_path, rights):
    async with opened(tmp_path / "old.db", space="s") as old, opened(tmp_path / "new.db", space="s") as new:
        await old["t"].put("k", {"v": 1})
        async with opened(tmp_path / "lost.db", space="s") as lost:
            await meet(old, lost)
        async with opened(tmp_path / "hub.db", space="s") as hub:
            assert (await meet(new, hub, rights=rights)).blockers == ()
            await new["t"].put("unsynced", {})
            await heal(hub, old, new)
            await assert_equal(hub, old, new)
            assert {(await node.status()).space_id for node in (hub, old, new)} == {(await old.status()).space_id}


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
