"""Kills a device in the middle of a sync, and shows that it was the middle.

Knows nothing of the story. Invariant: what is returned was measured outside of the device: on its wire, in the
journal, and in the hub's file.
"""

from __future__ import annotations

import asyncio
import signal

from demo_audit import read_file
from demo_fleet import Edge, EdgeError, HubProcess
from demo_lines import Line

NOTES = "notes"
NOTES_ORDERED = 400
NOTES_BEFORE_KILL = 20
"""The kill comes when so many of the ordered writes were acknowledged, so it hits the device while it writes."""

STALL_S_MAX = 30


async def stalled_sync(edge: Edge, after: int) -> asyncio.Future[Line]:
    """Start a sync whose wire stalls after so many bytes; return when it hangs."""
    edge.wire.stall_after(after)
    sync, stalled = edge.order("sync"), asyncio.ensure_future(edge.wire.stalled.wait())
    await asyncio.wait({sync, stalled}, timeout=STALL_S_MAX, return_when=asyncio.FIRST_COMPLETED)
    stalled.cancel()
    if sync.done() or not edge.wire.stalled.is_set():
        raise EdgeError(f"the sync of {edge.name} did not hang in the middle")
    return sync


async def write_until_killed(edge: Edge) -> int:
    """The device writes notes, and is killed while it does; gives how many it acknowledged."""
    before = edge.acknowledged
    orders = [
        edge.order("put", collection=NOTES, key=f"{edge.name}-{number}", fields={"text": f"note {number}"})
        for number in range(NOTES_ORDERED)
    ]
    await asyncio.gather(*orders[:NOTES_BEFORE_KILL])
    code = await edge.kill()
    await asyncio.gather(*orders, return_exceptions=True)
    if code != -signal.SIGKILL:
        raise EdgeError(f"{edge.name} ended by itself, with {code}")
    return edge.acknowledged - before


async def missing_at(hub: HubProcess, edge: Edge, before: int) -> int:
    """How many of the writes that a device had made when its sync began the hub has not taken in.

    The hub's file is read beside the hub that runs.

    Args:
        hub: The hub.
        edge: The device that was killed.
        before: How many writes it had acknowledged when its sync began.
    """
    taken_in = (await read_file(hub.file, "hub")).vector.get(edge.actor, 0)
    if taken_in >= before:
        raise EdgeError(f"the hub has all writes of {edge.name}: its sync was over before the kill")
    return before - taken_in
