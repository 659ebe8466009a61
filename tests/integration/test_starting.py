"""Nodes that begin with a hub's starter over HTTP: cut, killed, damaged, replaced, refused, on a full disk."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest
import zstandard

from holdfast import Engine, Hub
from holdfast.engine.replica import Replica
from holdfast.engine.starters import Beginning, Offering
from holdfast.errors import DiskFull, FileUnreadable, LinkCut, LinkError, UsageError
from holdfast.transport.hub.app import make_app
from holdfast.transport.hub.limits import Limits
from holdfast.transport.hub.registry import HubRegistry
from holdfast.transport.hub.server import listening
from holdfast.transport.part import HEAD_BYTES
from holdfast.transport.responder import respond

from ..chaos.proxy import Proxy, Weather
from ..disk import fill, small_disk
from ..nodes import assert_equal
from ..service.commands import started as process

LIMITS = Limits(starter_records_min=1_000)
RECORDS = 4_000
SECRET = "Ada Lovelace of St James's Square"


@dataclass
class Served:
    """A hub that runs here, with a space that holds much."""

    url: str
    registry: HubRegistry
    token: str
    reader: str
    engines: list[Engine]

    @property
    def hub(self) -> Engine:
        return self.engines[0]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.partition("//")[2].rpartition(":")
        return host, int(port)

    @property
    def folder(self):
        return self.registry.directory / "starters"

    def at(self, url: str | None = None) -> Hub:
        return Hub(url or self.url, token=self.token)


@asynccontextmanager
async def served(directory, *, records=RECORDS, limits=LIMITS, offering=Offering):
    registry = HubRegistry.init(directory)
    if not registry.spaces():
        registry.add_space("plant")
    (_, token), (_, reader) = registry.add_token("plant", "rw"), registry.add_token("plant", "r")
    engines = []

    async def opened(name, path):
        engines.append(await Engine.open(path, space=name, name="hub", durability="normal"))
        return engines[-1]

    def answer(engine, chunks, *, rights):
        return respond(Replica(engine), chunks, rights=rights)

    app = make_app(registry, opened, answer, offering=offering, limits=limits)
    async with listening(app, "127.0.0.1", 0) as url:
        found = Served(url, registry, token, reader, engines)
        if records:
            chance = random.Random(1)
            async with node(directory / "giver.db") as giver:
                rows = ((f"k{n}", {"n": n, "id": f"{chance.getrandbits(128):032x}"}) for n in range(records))
                await giver["t"].put_many(rows)
                await giver.sync(found.at())
        yield found


def node(path):
    return Engine.open(path, space="plant", durability="normal")


async def begun(engine, hub):
    """The node, once it has begun with a starter and nothing is left of that."""
    report = await engine.sync(hub)
    assert report.completed
    assert not Beginning(engine).part.exists()
    assert not Beginning(engine).path.exists()
    return report


@asynccontextmanager
async def trio(tmp_path, **options):
    one, two = node(tmp_path / "n.db"), node(tmp_path / "m.db")
    async with served(tmp_path / "hub", **options) as found, one as first, two as second:
        yield found, first, second


async def test_a_node_that_holds_nothing_begins_with_the_starter_and_goes_on(tmp_path):
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one, node(tmp_path / "m.db") as two:
        report = await begun(one, found.at())
        assert (report.started, report.received, report.sent) == (RECORDS, RECORDS, 0)
        await one["t"].update("k7", {"n": "one"})
        assert (await one.sync(found.at())).sent == 1
        report = await begun(two, found.at())  # of the same starter, and what came since
        assert (report.started, report.received) == (RECORDS, RECORDS + 1)
        assert len([*found.folder.glob("*.zst")]) == 1
        await assert_equal(found.hub, one, two)
        assert (await one.status()).incarnations == 1
        assert found.hub.renewed is None
        idle = await one.sync(found.at())
        assert (idle.round_trips, idle.started, idle.received) == (1, 0, 0)


async def test_whoever_may_only_read_begins_so_as_well(tmp_path):
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one:
        report = await one.sync(Hub(found.url, token=found.reader))
        assert report.started == RECORDS
        assert (await one.status()).digest == (await found.hub.status()).digest


async def test_a_stranger_gets_nothing(tmp_path):
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one:
        with pytest.raises(LinkError):
            await one.sync(Hub(found.url, token="hf_" + "x" * 43))
        assert not found.folder.exists()


@pytest.mark.parametrize("records", [0, 500])
async def test_a_space_that_holds_little_is_read_by_its_feed(tmp_path, records):
    async with served(tmp_path / "hub", records=records) as found, node(tmp_path / "n.db") as one:
        report = await begun(one, found.at())
        assert (report.started, report.received) == (0, records)
        assert not found.folder.exists()


async def test_a_hub_that_has_no_starters_is_read_by_its_feed(tmp_path):
    async with served(tmp_path / "hub", offering=None) as found, node(tmp_path / "n.db") as one:
        report = await begun(one, found.at())
        assert (report.started, report.received) == (0, RECORDS)


async def test_who_wants_the_feed_gets_it(tmp_path):
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one:
        assert (await one.sync(found.at(), starter=False)).started == 0
        with pytest.raises(UsageError):
            await one.bootstrap(found.at())
        await assert_equal(found.hub, one)


async def test_a_download_that_is_cut_at_any_byte_goes_on_there(tmp_path):
    chance = random.Random(5)
    async with served(tmp_path / "hub") as found, node(tmp_path / "first.db") as first:
        await begun(first, found.at())
        (packed,) = found.folder.glob("*.zst")
        size = packed.stat().st_size
        async with Proxy.before(found.address) as proxy:
            for turn in range(4):
                async with node(tmp_path / f"n{turn}.db") as one:
                    before, cuts = proxy.bytes_down, 0
                    for _ in range(4):
                        proxy.down = Weather(cut_after=chance.randrange(1, size // 6))
                        with pytest.raises(LinkCut):
                            await one.sync(found.at(proxy.url))
                        cuts += 1
                    proxy.down = Weather()
                    report = await begun(one, found.at(proxy.url))
                    assert report.started == RECORDS
                    # Each byte of it came once, but for what was on its way when the connection was reset.
                    assert proxy.bytes_down - before < size + cuts * 70_000
                    assert (await one.status()).digest == (await first.status()).digest


async def test_a_process_that_is_killed_while_it_downloads_goes_on(tmp_path):
    async with served(tmp_path / "hub") as found, Proxy.before(found.address) as proxy:
        file = tmp_path / "n.db"
        part = file.with_name("n.db-starter.part")
        proxy.down = Weather(bytes_per_s=40_000)
        env = {"HOLDFAST_TOKEN": found.token, "PATH": "/usr/bin:/bin"}
        had = 0
        for _ in range(2):
            with process("bootstrap", file, proxy.url, "--space", "plant", env=env) as running:
                async with asyncio.timeout(30):
                    while not part.exists() or part.stat().st_size <= had + HEAD_BYTES:  # noqa: ASYNC110 - a file
                        await asyncio.sleep(0.01)
                running.send_signal(signal.SIGKILL)
                assert await asyncio.to_thread(running.wait) == -signal.SIGKILL
            proxy.cut()
            had = part.stat().st_size
        proxy.down = Weather()
        before = proxy.bytes_down
        async with node(file) as one:
            assert (await begun(one, found.at(proxy.url))).started == RECORDS
            (packed,) = found.folder.glob("*.zst")
            assert proxy.bytes_down - before < packed.stat().st_size - had + 20_000
            await assert_equal(found.hub, one)
            assert one.renewed is None


async def test_what_was_damaged_on_the_way_or_here_is_fetched_anew(tmp_path):
    async with served(tmp_path / "hub") as found, Proxy.before(found.address) as proxy, node(tmp_path / "n.db") as one:
        proxy.down = Weather(cut_after=60_000)
        with pytest.raises(LinkCut):
            await one.sync(found.at(proxy.url))
        part = Beginning(one).part
        data = bytearray(part.read_bytes())
        assert len(data) > HEAD_BYTES + 10_000
        data[HEAD_BYTES + 5_000] ^= 1
        part.write_bytes(data)
        assert (await begun(one, found.at())).started == RECORDS
        await assert_equal(found.hub, one)


async def test_a_starter_that_is_damaged_at_the_hub_is_drawn_anew(tmp_path, caplog):
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one, node(tmp_path / "m.db") as two:
        await begun(one, found.at())
        (packed,) = found.folder.glob("*.zst")
        data = bytearray(packed.read_bytes())
        data[len(data) // 2] ^= 1
        packed.write_bytes(data)
        assert (await begun(two, found.at())).started == RECORDS
        assert f"{packed.name} is damaged" in caplog.text
        await assert_equal(found.hub, one, two)


async def test_what_was_erased_is_in_no_starter(tmp_path):
    """One that was drawn before was kept for a day, and given to whoever asked."""
    async with trio(tmp_path) as (found, one, two):
        await one["t"].put("secret", {"name": SECRET})
        await one.sync(found.at(), starter=False)
        async with Proxy.before(found.address) as proxy:
            proxy.down = Weather(cut_after=60_000)
            with pytest.raises(LinkCut):
                await two.sync(found.at(proxy.url))
        (drawn,) = found.folder.glob("*.zst")
        assert SECRET.encode() in zstandard.ZstdDecompressor().decompress(drawn.read_bytes())
        await one["t"].erase("secret")
        await one.sync(found.at())
        async with asyncio.timeout(20):
            while [*found.folder.iterdir()]:  # noqa: ASYNC110 - it is deleted behind the answer
                await asyncio.sleep(0.01)
        assert (await begun(two, found.at())).started
        (drawn,) = found.folder.glob("*.zst")
        assert SECRET.encode() not in zstandard.ZstdDecompressor().decompress(drawn.read_bytes())
        assert (await begun(one, found.at())).completed
        assert drawn.exists()  # it holds the erasure
        await assert_equal(found.hub, one, two)


async def test_what_was_erased_while_the_hub_was_down_is_in_no_starter(tmp_path):
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one:
        await begun(one, found.at())
        file, (drawn,) = found.hub.path, found.folder.glob("*.zst")
    async with node(file) as hub:
        await hub["t"].erase("k1")
    async with served(tmp_path / "hub", records=0) as found, node(tmp_path / "m.db") as two:
        assert (await begun(two, found.at())).started
        assert not drawn.exists()
        await assert_equal(found.hub, two)


@pytest.mark.parametrize("head", [b"", b"{}", b"x" * 400, b'{"etag": "x", "size": 3, "raw_bytes": 1}'.ljust(300)])
async def test_a_part_that_says_nothing_is_begun_anew(tmp_path, head):
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one:
        Beginning(one).part.write_bytes(head)
        assert (await begun(one, found.at())).started == RECORDS


async def test_a_starter_that_was_replaced_meanwhile_is_begun_anew(tmp_path, caplog):
    caplog.set_level("INFO", "holdfast")
    async with trio(tmp_path) as (found, one, two), Proxy.before(found.address) as proxy:
        proxy.down = Weather(cut_after=60_000)
        with pytest.raises(LinkCut):
            await one.sync(found.at(proxy.url))
        shutil.rmtree(found.folder)  # as if others had been drawn since
        await begun(two, found.at())
        await two["t"].put_many((f"more{n}", {"n": n}) for n in range(RECORDS // 2))
        await two.sync(found.at())
        shutil.rmtree(found.folder)
        report = await begun(one, found.at())
        assert report.started == RECORDS + RECORDS // 2
        assert "another starter by now" in caplog.text
        await assert_equal(found.hub, one, two)


async def test_a_slow_client_goes_on_with_the_one_before(tmp_path):
    async with trio(tmp_path) as (found, one, two), Proxy.before(found.address) as proxy:
        proxy.down = Weather(cut_after=60_000)
        with pytest.raises(LinkCut):
            await one.sync(found.at(proxy.url))
        (old,) = found.folder.glob("*.zst")
        await two.sync(found.at(), starter=False)
        await two["t"].put_many((f"more{n}", {"n": n}) for n in range(RECORDS // 2))
        await two.sync(found.at())
        async with node(tmp_path / "o.db") as other:
            assert (await begun(other, found.at())).started == RECORDS + RECORDS // 2
        assert len([*found.folder.glob("*.zst")]) == 2
        assert old.exists()
        report = await begun(one, found.at())
        assert (report.started, report.received) == (RECORDS, RECORDS + RECORDS // 2)
        await assert_equal(found.hub, one, two)


async def test_starters_are_kept_over_a_restart_and_bounded(tmp_path):
    limits = replace(LIMITS, starter_behind=0.0)
    async with served(tmp_path / "hub", limits=limits) as found, node(tmp_path / "n.db") as one:
        await begun(one, found.at())
        (kept,) = found.folder.glob("*.zst")
    async with served(tmp_path / "hub", records=0, limits=limits) as found, node(tmp_path / "m.db") as two:
        assert (await begun(two, found.at())).started == RECORDS
        assert [*found.folder.glob("*.zst")] == [kept]
        for n in range(3):
            await two["t"].put(f"more{n}", {"n": n})
            await two.sync(found.at())
            async with node(tmp_path / f"o{n}.db") as other:
                assert (await begun(other, found.at())).started == RECORDS + n + 1
        assert len([*found.folder.glob("*.zst")]) == len([*found.folder.glob("*.json")]) == 2
        assert not [*found.folder.glob("*.part*")]


async def test_a_hub_that_was_put_back_does_not_offer_what_it_has_forgotten(tmp_path):
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one:
        await begun(one, found.at())
        file = found.hub.path
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    async with served(tmp_path / "hub", records=0) as found, node(tmp_path / "m.db") as two:
        assert (await begun(two, found.at())).received == 0
        async with node(tmp_path / "n.db") as one:
            assert (await one.sync(found.at())).sent == RECORDS
            await two.sync(found.at())
            await assert_equal(found.hub, one, two)


async def test_a_client_waits_while_a_starter_is_drawn(tmp_path):
    """The hub answers at once that it is drawing; syncs of others go on meanwhile."""
    drawing, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Offering):
        async def draw(self, target):
            drawing.set()
            await go_on.wait()
            return await super().draw(target)

    limits = replace(LIMITS, starter_wait_s=0.01)
    async with trio(tmp_path, limits=limits, offering=Slow) as (found, one, two):
        beginning = asyncio.create_task(begun(one, found.at()))
        await drawing.wait()
        await two["t"].put("mine", {"n": 1})
        assert (await two.sync(found.at())).completed
        assert not beginning.done()
        go_on.set()
        assert (await beginning).started == RECORDS + 1
        await assert_equal(found.hub, one, two)


async def test_for_those_who_come_at_once_one_is_drawn(tmp_path):
    drawn = []

    class Counted(Offering):
        async def draw(self, target):
            drawn.append(target)
            await asyncio.sleep(0)
            return await super().draw(target)

    async with served(tmp_path / "hub", offering=Counted) as found, AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(tmp_path / f"n{number}.db")) for number in range(5)]
        reports = await asyncio.gather(*(begun(one, found.at()) for one in nodes))
        assert [report.started for report in reports] == [RECORDS] * 5
        assert len(drawn) == 1
        await assert_equal(found.hub, *nodes)


async def test_what_is_written_meanwhile_stays(tmp_path):
    """The file holds something once the starter is there: it goes by the feed, and nothing is lost."""
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one:
        wrote = []

        def on_progress(seen):
            if seen.starter_size and not wrote:
                wrote.append(asyncio.ensure_future(one["t"].put("mine", {"n": 1})))

        report = await one.sync(found.at(), on_progress=on_progress)
        await wrote[0]
        await one.sync(found.at())
        assert report.completed
        assert (await one["t"].get("mine")).fields == {"n": 1}
        await assert_equal(found.hub, one)
        assert not Beginning(one).part.exists()


async def test_a_disk_without_room_reads_the_feed_and_one_that_fills_up_says_so(tmp_path, monkeypatch):
    async with served(tmp_path / "hub") as found:
        with small_disk(tmp_path / "small") as small:
            async with Engine.open(small / "n.db", space="plant") as one:
                ballast = fill(small, leave=200_000)
                monkeypatch.setattr("holdfast.transport.starting.ROOM", 0)  # others fill the disk meanwhile
                monkeypatch.setattr("holdfast.transport.starting.HEAD_BYTES", -(10**9))
                with pytest.raises((DiskFull, FileUnreadable)):
                    await one.sync(found.at())
                assert await Beginning(one).is_blank()
                ballast.unlink()
                monkeypatch.undo()
                assert (await begun(one, found.at())).completed
                await assert_equal(found.hub, one)


async def test_the_hub_draws_none_where_its_disk_has_no_room(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("holdfast.transport.hub.starters.ROOM", 1 << 50)
    async with served(tmp_path / "hub") as found, node(tmp_path / "n.db") as one:
        report = await begun(one, found.at())
        assert (report.started, report.received) == (0, RECORDS)
        assert "no starter of" in caplog.text


async def test_the_command_says_what_came(tmp_path):
    async with served(tmp_path / "hub") as found:
        env = {"HOLDFAST_TOKEN": found.token, "PATH": "/usr/bin:/bin"}
        with process("bootstrap", tmp_path / "n.db", found.url, "--space", "plant", "--json", env=env) as running:
            out, err = await asyncio.to_thread(running.communicate)
        assert running.returncode == 0, err
        assert json.loads(out)["started"] == RECORDS
        with process("bootstrap", tmp_path / "n.db", found.url, "--json", env=env) as running:
            _, err = await asyncio.to_thread(running.communicate)
        assert running.returncode == 2
        assert "holds something already" in err.decode()
