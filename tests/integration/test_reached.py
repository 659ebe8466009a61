"""`reached` asks the hub: what was stored earlier says nothing of a hub that is down, was replaced or put back."""

from __future__ import annotations

import shutil

import pytest

from holdfast.errors import NotReached, ReadOnlyToken, Unreachable
from holdfast.transport.links.memory import MemoryLink

from ..nodes import link_to, opened

URL = "http://127.0.0.1:9"


def reach(node, hub, **options):
    """Let the node meet `hub` by the address, or nobody."""

    def link(_):
        found = link_to(hub, **options) if hub else MemoryLink(_nobody, url=URL)
        found.url = URL
        return found

    node._link = link


async def _nobody(_chunks):
    raise Unreachable("nobody answers", subject=URL, remedy="Try again.")
    yield b""


async def test_a_hub_that_is_down_has_not_been_asked(tmp_path):
    async with opened(tmp_path / "e.db", space="s") as e, opened(tmp_path / "hub.db", space="s") as hub:
        receipt = await e["t"].put("k", {})
        reach(e, hub)
        await e.reached(receipt, URL)
        await e.reached(receipt, URL)
        reach(e, None)
        with pytest.raises(Unreachable):
            await e.reached(receipt, URL)


async def test_a_hub_that_was_replaced_or_put_back_gets_the_write_again(tmp_path):
    async with opened(tmp_path / "e.db", space="s") as e:
        async with opened(tmp_path / "hub.db", space="s") as hub:
            await e["t"].put("base", {})
            reach(e, hub)
            await e.sync(URL)
        for suffix in ("", "-witness"):
            shutil.copy(tmp_path / f"hub.db{suffix}", tmp_path / f"backup{suffix}")
        async with opened(tmp_path / "hub.db") as hub:
            reach(e, hub)
            receipt = await e["t"].put("precious", {})
            await e.reached(receipt, URL)
        for suffix in ("", "-witness"):
            shutil.copy(tmp_path / f"backup{suffix}", tmp_path / f"hub.db{suffix}")
        for place in ("hub.db", "new.db"):
            async with opened(tmp_path / place, space="s", seed="restored") as hub:
                reach(e, hub)
                assert await hub["t"].get("precious") is None
                await e.reached(receipt, URL)
                assert await hub["t"].get("precious") is not None


async def test_a_token_that_may_only_read_says_so_after_asking(tmp_path):
    async with opened(tmp_path / "e.db", space="s") as e, opened(tmp_path / "hub.db", space="s") as hub:
        receipt = await e["t"].put("k", {})
        reach(e, hub, rights="r")
        with pytest.raises(ReadOnlyToken):
            await e.reached(receipt, URL)
        assert not issubclass(ReadOnlyToken, NotReached)
