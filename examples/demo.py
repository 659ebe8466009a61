"""Holdfast's main job on one page: devices write offline, meet through a hub, and agree. Nothing is lost.

A real hub and three devices run as processes of their own; the network between them is a wire in this process that can
be cut. The devices load data, are cut off, edit the same records, and one is killed with SIGKILL in the middle of a
sync. After they have met again the accounting decides: this process kept a journal of every write that a device
acknowledged, and exits 1 if one is not accounted for or two files differ.

    python examples/demo.py                                    a small set of stations, some seconds
    python examples/demo.py --data my.jsonl --concurrent 100   any JSON Lines file whose objects have a "key"
    python examples/demo.py --keep DIR                         keeps files and journal
    python examples/demo.py --audit DIR                        accounts again for what was kept

Read demo_edge.py first: it is the application, and shows how the library is used. This file is the story;
demo_audit.py holds the rules of the accounting.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from demo_audit import Audit, audit, read_file
from demo_edits import Data, Edit, Plan, asked_field, make_plan
from demo_fleet import Edge, EdgeError, HubProcess, running_hub
from demo_journal import Journal
from demo_kill import NOTES, missing_at, stalled_sync, write_until_killed
from demo_lines import BrokenLineError, Line, read_edits, read_records
from demo_network import Wire
from demo_page import Page
from demo_tables import print_audit, print_conflicts, print_syncs
from holdfast import HoldfastError

NAMES = ("north", "south", "island")
STATIONS = Path(__file__).parent / "data" / "stations.jsonl"
ROUNDS_MAX = 4


@dataclass
class Fleet:
    """Everything that the chapters of the story work with."""

    page: Page
    journal: Journal
    hub: HubProcess
    edges: list[Edge]
    collection: str
    asked: list[str]

    def __post_init__(self) -> None:
        self.north, self.south, self.island = self.edges

    def name_of(self, actor: str) -> str:
        """Who has this identity."""
        return next((edge.name for edge in self.edges if edge.actor == actor), actor)


async def load(fleet: Fleet, file: Path) -> None:
    """The first device loads the file; the hub brings it to the others."""
    page = fleet.page
    text = f"north loads {file.name} in transactions; the hub passes it on to south and island."
    with page.chapter("All devices get the data", text):
        started = time.perf_counter()
        loaded = await fleet.north.order("load", file=str(file), collection=fleet.collection)
        page.say(f"     north loaded {loaded['records']:,} records in {time.perf_counter() - started:.1f} s")
        await meet(fleet, *fleet.edges)
        await agree(fleet)


async def meet(fleet: Fleet, *edges: Edge) -> list[Line]:
    """The devices sync, one after the other."""
    reports = [await edge.order("sync") for edge in edges]
    print_syncs(fleet.page, [edge.name for edge in edges], reports)
    return reports


async def agree(fleet: Fleet) -> None:
    """Sync until all devices hold the same; this ends a round, in which all writes are known to all."""
    for _ in range(ROUNDS_MAX):
        states = [await edge.order("status") for edge in fleet.edges]
        vector, digest = states[0]["vector"], states[0]["digest"]
        if all((state["vector"], state["digest"]) == (vector, digest) for state in states):
            fleet.page.say(f"     all devices hold the same: digest {digest}")
            fleet.journal.round += 1
            return
        for edge in fleet.edges:
            await edge.order("sync")
    raise EdgeError(f"the devices do not agree after {ROUNDS_MAX} rounds")


async def work_offline(fleet: Fleet, plan: Plan) -> None:
    """The network is cut, and every device goes on."""
    page = fleet.page
    text = "Every wire is cut. A sync says so at once and changes nothing; reading and writing go on as before."
    with page.chapter("The network is cut, and all sides write", text):
        for edge in fleet.edges:
            edge.wire.cut()
        page.say(f"     a sync now ends with: {', '.join(sorted({await fails_to_sync(edge) for edge in fleet.edges}))}")
        started = time.perf_counter()
        refused = await asyncio.gather(*(write(edge, fleet.collection, plan.edits[edge.name]) for edge in fleet.edges))
        count, seconds = sum(map(len, plan.edits.values())), time.perf_counter() - started
        page.say(f"     {count:,} edits in {seconds:.1f} s, each on disk before it was acknowledged")
        if any(refused):
            page.say(f"     {sum(refused)} were refused, such as an update of a record that is not there")
        for edge in fleet.edges:
            # So that each has something to tell, however small the data is.
            await edge.order("put", collection=NOTES, key=f"{edge.name}-alone", fields={"text": "no network here"})
        page.say(f"     {sum(plan.contested.values())} records were edited on two or three sides at once:")
        page.table(("records", "edits"), [(number, kind) for kind, number in sorted(plan.contested.items())])


async def fails_to_sync(edge: Edge) -> str:
    """A device tries to sync although its wire is cut; gives the code of the error."""
    try:
        await edge.order("sync")
    except EdgeError as error:
        return error.code
    raise EdgeError(f"{edge.name} reached the hub although its wire is cut")


async def write(edge: Edge, collection: str, edits: list[Edit]) -> int:
    """A device makes its edits; gives how many it refused."""
    orders = []
    for edit in edits:
        fields = {} if edit.op == "delete" else {"fields": edit.fields}
        orders.append(edge.order(edit.op, collection=collection, key=edit.key, **fields))
    errors = [error for error in await asyncio.gather(*orders, return_exceptions=True) if isinstance(error, EdgeError)]
    for error in errors:
        if not error.code:  # it did not refuse, it broke down
            raise error
    return len(errors)


async def kill_in_the_middle(fleet: Fleet) -> None:
    """One device meets the hub; the next one's wire stalls on the way, and the device is killed."""
    page, island = fleet.page, fleet.island
    text = (
        "The wires are mended. north meets the hub. Then island's wire stalls in the middle of its sync; its "
        "application goes on writing, until SIGKILL ends it without a warning."
    )
    with page.chapter("island is killed in the middle of a sync", text):
        for edge in fleet.edges:
            edge.wire.mend()
        (report,) = await meet(fleet, fleet.north)
        # Both have about as many edits to tell, so half of what north sent is in the middle for island.
        before = island.acknowledged
        sync = await stalled_sync(island, report["bytes_sent"] // 4)
        page.say(f"     island's sync: {island.sent:,} records were on their way, and the hub did not answer yet")
        page.say(f"     {island.wire.passed:,} bytes had passed, {island.wire.held:,} had not")
        notes = await write_until_killed(island)
        page.say(f"     meanwhile {notes:,} more writes were acknowledged; then the process was killed")
        await asyncio.gather(sync, return_exceptions=True)
        island.wire.cut()
        missing = await missing_at(fleet.hub, island, before)
        page.say(f"     {missing:,} of its {before:,} earlier writes had not reached the hub, nor had the new ones")


async def come_back(fleet: Fleet) -> None:
    """The killed device starts again with the file as it was left, and all meet."""
    page, island = fleet.page, fleet.island
    text = "island starts again on the file that the kill left. A sync goes on from what both sides have on disk."
    with page.chapter("island comes back, and all devices meet", text):
        island.wire.mend()
        await island.start(fleet.hub.token, fleet.collection, fleet.asked)
        page.say(f"     island is back, {'under a new identity' if island.renewed else 'and is who it was'}")
        await meet(fleet, island, fleet.south, fleet.north)
        await agree(fleet)


async def settle(fleet: Fleet) -> None:
    """Look at the conflicts, decide some, and let the decisions travel."""
    page = fleet.page
    asked = " and ".join([*map(repr, fleet.asked), "deletes"])
    text = (
        f"As the schema says, conflicts about {asked} wait for a decision and show one side meanwhile. In other fields "
        "the last writer wins; who lost is listed, too."
    )
    with page.chapter("The conflicts, and some decisions", text):
        found = await fleet.south.order("conflicts")
        print_conflicts(page, found, fleet.name_of)
        waiting = [item for item in found if item["state"] == "open"]
        count = await decide(fleet, waiting[::2])
        page.say(f"     {count} of {len(waiting)} open ones were decided, on all devices; the others stay open")
        await meet(fleet, *fleet.edges)
        await agree(fleet)
        await fleet.north.order("deliver", collection=NOTES, key="last", fields={"text": "all is in order"})
        page.say("     a last write of north returned when the hub had it on its disk, too")
        await agree(fleet)


async def decide(fleet: Fleet, items: list[Line]) -> int:
    """Settle conflicts, in turns on all devices and in all ways."""
    for number, item in enumerate(items):
        edge = fleet.edges[number % len(fleet.edges)]
        if item["field"] is None and number % 2:
            await edge.order("drop", conflict=item["id"], note="it was sold")
        elif item["field"] is None or number % 3:
            await edge.order("resolve", conflict=item["id"], take=number % 2, note="asked the keeper")
        else:
            values = " / ".join(str(sibling["value"]) for sibling in item["siblings"])
            await edge.order("resolve", conflict=item["id"], value=values, note="both are right")
    return len(items)


async def account(directory: Path, page: Page) -> Audit:
    """Open the four files and compare them with the journal."""
    text = "Hub and devices have stopped. Their files are opened read-only and compared with the journal."
    with page.chapter("The accounting", text):
        journal = Journal.read(directory / "journal.jsonl")
        (hub_file,) = (directory / "hub" / "spaces").glob("*.db")
        files = [await read_file(directory / f"{name}.db", name) for name in NAMES]
        result = audit(journal, [*files, await read_file(hub_file, "hub")])
        print_audit(page, result)
    return result


async def run(arguments: argparse.Namespace, directory: Path, page: Page) -> None:
    """The story from the first process to the last."""
    data: Data = dict(read_records(arguments.data))
    if not data:
        raise BrokenLineError(f"{arguments.data}: it holds no records")
    given = read_edits(arguments.edits) if arguments.edits else None
    plan = make_plan(data, given, NAMES, arguments.concurrent, Random(arguments.seed))  # noqa: S311 - a seed is wanted
    journal = Journal(directory / "journal.jsonl")
    asked = asked_field(data)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(running_hub(directory / "hub"))
        wires = [await stack.enter_async_context(Wire.between(hub.address)) for _ in NAMES]
        edges = [Edge(name, directory / f"{name}.db", wire, journal) for name, wire in zip(NAMES, wires, strict=True)]
        collection = arguments.data.name.partition(".")[0]
        fleet = Fleet(page, journal, hub, edges, collection, [asked] if asked else [])
        for edge in edges:
            stack.push_async_callback(edge.stop)
            await edge.start(hub.token, collection, fleet.asked)
        page.say(
            f"A hub and the devices {', '.join(NAMES)} run as processes; seed {arguments.seed}, files in {directory}"
        )
        await load(fleet, arguments.data)
        await work_offline(fleet, plan)
        await kill_in_the_middle(fleet)
        await come_back(fleet)
        await settle(fleet)


async def main(arguments: argparse.Namespace) -> int:
    """Run the demonstration, or account again for one that was kept; gives the exit code."""
    page = Page(silent=arguments.json)
    directory = arguments.audit or arguments.keep or Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    try:
        if not arguments.audit:
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                print(f"{directory} is not empty: name another directory", file=sys.stderr)
                return 2
            await run(arguments, directory, page)
        result = await account(directory, page)
    except (BrokenLineError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except (EdgeError, HoldfastError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        if not (arguments.keep or arguments.audit):
            shutil.rmtree(directory, ignore_errors=True)
    if arguments.json:
        print(json.dumps(result.as_json(), ensure_ascii=True, indent=2))
    return 0 if result.passed else 1


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=STATIONS, help='JSON Lines (.gz too), each object with a "key"')
    parser.add_argument("--edits", type=Path, help="JSON Lines: op (put, update, delete), key, fields; some by default")
    parser.add_argument("--concurrent", type=int, default=40, help="records that several devices edit at once")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds make equal edits")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep files and journal in this new directory")
    parser.add_argument("--audit", type=Path, metavar="DIR", help="only account for a run that was kept")
    parser.add_argument("--json", action="store_true", help="print the outcome of the accounting as JSON, and no story")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parse())))
