"""Claims about the meter: it counts what the sockets carry, and the product's own counters say the same."""

from __future__ import annotations

from benchmarks.hub import hub_process
from benchmarks.meter import metered
from benchmarks.records import generate
from benchmarks.replica import meet, put


async def test_the_counters_of_a_sync_report_are_the_bytes_on_the_socket(tmp_path):
    async with hub_process(tmp_path) as hub, metered(hub.address) as meter:
        space = hub.add_space()
        through = space.through(meter.url)
        await put(tmp_path / "giver.db", space.name, generate(300))
        for file in ("giver.db", "fresh.db", "fresh.db"):
            up, down = meter.bytes_up, meter.bytes_down
            meeting = await meet(tmp_path / file, space.name, through)
            assert (meeting.bytes_sent, meeting.bytes_received) == (meter.bytes_up - up, meter.bytes_down - down)
            assert meeting.bytes_sent > 100
