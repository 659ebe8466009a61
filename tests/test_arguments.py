"""Whatever a caller passes, nothing but an error of the tree comes out, and it names the object and a remedy."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

import holdfast
from holdfast import (
    Engine,
    Guard,
    HoldfastError,
    Hub,
    InvalidQuery,
    OpenConflict,
    Policy,
    Purge,
    Retention,
    Schema,
    Seams,
    SideFile,
    Take,
    UsageError,
    Value,
    VersionVector,
    restore_backup,
    salvage_file,
)
from holdfast.engine.storage.reading import head

from .nodes import meet, one_conflict, opened

LOOP: list = []
LOOP.append(LOOP)
DEEP: list = []
for _ in range(100_000):
    DEEP = [DEEP]


class Unspeakable:
    """An object that cannot even be shown."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


HOSTILE = {
    "none": None,
    "true": True,
    "zero": 0,
    "negative": -1,
    "huge": 2**70,
    "endless": 10**5_000,
    "float": 1.5,
    "nan": math.nan,
    "infinity": math.inf,
    "empty": "",
    "text": "x",
    "nul": "a\0b",
    "line": "a\nb",
    "surrogate": "\ud800",
    "long": "ü" * 1_000_000,
    "quotes": "'\"--",
    "bytes": b"x",
    "list": [],
    "texts": ["x"],
    "pairs": [("x", {})],
    "odd rows": [("x",)],
    "tuple": (1, 2, 3),
    "dict": {},
    "fields": {"x": 1},
    "wrong names": {5: 1},
    "loop": {"x": LOOP},
    "deep": {"x": DEEP},
    "set": {1},
    "class": Schema,
    "function": lambda *_: 1 // 0,
    "object": object(),
    "unspeakable": Unspeakable(),
    "generator": (n for n in range(2)),
    "path": Path("/no/such/folder/x"),
    "loop of paths": Path("/proc/self/fd/99999"),
}


async def _drain(changes):
    async with aclosing(changes), asyncio.timeout(0.01):
        async for _ in changes:
            pass


async def _watch(changes):
    try:
        await _drain(changes)
    except TimeoutError:
        return


async def _transact(engine, work):
    async with engine.transaction() as tx:
        found = work(tx)
        if asyncio.iscoroutine(found):
            await found


async def _open(folder, path=None, **options):
    async with Engine.open(folder / "o.db" if path is None else path, **options):
        pass


async def _snapshot(engine, **options):
    taken = await engine.snapshots.take(**options)
    await engine.snapshots.drop(taken.name)


async def _restore(engine, **options):
    taken = await engine.snapshots.take()
    try:
        await engine.snapshots.restore(taken.name, preview=True, **options)
    finally:
        await engine.snapshots.drop(taken.name)


HUB = "http://127.0.0.1:1"

CALLS = {
    # name -> call of (engine, open conflict, empty folder, hostile value)
    "engine[]": lambda e, c, d, x: e[x],
    "open path": lambda e, c, d, x: _open(d, d / x if isinstance(x, str) and "x" in x else x or 0),
    "open space": lambda e, c, d, x: _open(d, space=x),
    "open name": lambda e, c, d, x: _open(d, name=x),
    "open schemas": lambda e, c, d, x: _open(d, schemas=x),
    "open durability": lambda e, c, d, x: _open(d, durability=x),
    "open retention": lambda e, c, d, x: _open(d, retention=x),
    "open witness": lambda e, c, d, x: _open(d, witness=x),
    "open seams": lambda e, c, d, x: _open(d, seams=x),
    "open read_only": lambda e, c, d, x: _open(d, read_only=x),
    "put key": lambda e, c, d, x: e["t"].put(x, {}),
    "put fields": lambda e, c, d, x: e["t"].put("k", x),
    "put value": lambda e, c, d, x: e["t"].put("k", {"v": x}),
    "put if_version": lambda e, c, d, x: e["t"].put("k", {}, if_version=x),
    "put author": lambda e, c, d, x: e["t"].put("k", {}, author=x),
    "put note": lambda e, c, d, x: e["t"].put("k", {}, note=x),
    "update key": lambda e, c, d, x: e["t"].update(x, {"a": 1}),
    "update fields": lambda e, c, d, x: e["t"].update("k", x),
    "update value": lambda e, c, d, x: e["t"].update("k", {"v": x}),
    "update if_version": lambda e, c, d, x: e["t"].update("k", {}, if_version=x),
    "update upsert": lambda e, c, d, x: e["t"].update("k", {}, upsert=x),
    "update author": lambda e, c, d, x: e["t"].update("k", {}, author=x),
    "update note": lambda e, c, d, x: e["t"].update("k", {}, note=x),
    "delete key": lambda e, c, d, x: e["t"].delete(x),
    "delete if_version": lambda e, c, d, x: e["t"].delete("k", if_version=x),
    "delete author": lambda e, c, d, x: e["t"].delete("k", author=x),
    "delete note": lambda e, c, d, x: e["t"].delete("k", note=x),
    "put_many rows": lambda e, c, d, x: e["t"].put_many([("ok", {}), *x] if isinstance(x, list) else x),
    "put_many row": lambda e, c, d, x: e["t"].put_many([("ok", {}), x]),
    "put_many fields": lambda e, c, d, x: e["t"].put_many([("ok", {}), ("k", x)]),
    "put_many on_progress": lambda e, c, d, x: e["t"].put_many([], on_progress=x),
    "get": lambda e, c, d, x: e["t"].get(x),
    "get_many": lambda e, c, d, x: e["t"].get_many(x),
    "query": lambda e, c, d, x: e["t"].query(x),
    "query parameter": lambda e, c, d, x: e["t"].query("key = ?", x),
    "query limit": lambda e, c, d, x: e["t"].query(limit=x),
    "query of nothing": lambda e, c, d, x: e["none"].query(x),
    "pages": lambda e, c, d, x: _watch(e["t"].pages(x)),
    "pages size": lambda e, c, d, x: _watch(e["t"].pages(size=x)),
    "explain": lambda e, c, d, x: e["t"].explain(x),
    "explain parameter": lambda e, c, d, x: e["t"].explain("key = ?", x),
    "collection watch": lambda e, c, d, x: _watch(e["t"].watch(x)),
    "watch since": lambda e, c, d, x: _watch(e.watch(x)),
    "watch collection": lambda e, c, d, x: _watch(e.watch(0, collection=x)),
    "conflicts state": lambda e, c, d, x: e.conflicts(x),
    "conflicts collection": lambda e, c, d, x: e.conflicts(collection=x),
    "conflicts limit": lambda e, c, d, x: e.conflicts(limit=x),
    "conflict": lambda e, c, d, x: e.conflict(x),
    "reopen": lambda e, c, d, x: e.reopen(x),
    "ledger collection": lambda e, c, d, x: e.ledger(collection=x),
    "ledger key": lambda e, c, d, x: e.ledger(collection="t", key=x),
    "ledger limit": lambda e, c, d, x: e.ledger(limit=x),
    "log collection": lambda e, c, d, x: e.log(collection=x),
    "log key": lambda e, c, d, x: e.log(collection="t", key=x),
    "log limit": lambda e, c, d, x: e.log(limit=x),
    "verify": lambda e, c, d, x: e.verify(on_progress=x) if not callable(x) else None,
    "audit": lambda e, c, d, x: _watch(e.audit(collection=x)),
    "history key": lambda e, c, d, x: e["t"].history(x),
    "history limit": lambda e, c, d, x: e["t"].history("k", limit=x),
    "as_of": lambda e, c, d, x: e["t"].as_of(x),
    "as_of get": lambda e, c, d, x: e["t"].as_of(0).get(x),
    "as_of get_many": lambda e, c, d, x: e["t"].as_of(0).get_many(x),
    "revert keys": lambda e, c, d, x: e["t"].revert(x, 1),
    "revert moment": lambda e, c, d, x: e["t"].revert(["none"], x),
    "revert author": lambda e, c, d, x: e["t"].revert(["none"], 1, author=x),
    "revert note": lambda e, c, d, x: e["t"].revert(["none"], 1, note=x),
    "erase key": lambda e, c, d, x: e["t"].erase(x),
    "erase fields": lambda e, c, d, x: e["t"].erase("none", x),
    "erase author": lambda e, c, d, x: e["t"].erase("none", author=x),
    "erase note": lambda e, c, d, x: e["t"].erase("none", note=x),
    "undo lsn": lambda e, c, d, x: e.undo(x if x != 1 else None),
    "undo author": lambda e, c, d, x: e.undo(10**9, author=x),
    "undo note": lambda e, c, d, x: e.undo(10**9, note=x),
    "disown node": lambda e, c, d, x: e.disown(x, 0, preview=True),
    "disown since": lambda e, c, d, x: e.disown("a", x, preview=True),
    "disown note": lambda e, c, d, x: e.disown("a", 10**9, note=x),
    "snapshot name": lambda e, c, d, x: _snapshot(e, name=x),
    "snapshot note": lambda e, c, d, x: _snapshot(e, note=x),
    "snapshot on_progress": lambda e, c, d, x: _snapshot(e, on_progress=x) if not callable(x) else None,
    "snapshot find": lambda e, c, d, x: e.snapshots.find(x),
    "snapshot drop": lambda e, c, d, x: e.snapshots.drop(x),
    "snapshot restore": lambda e, c, d, x: e.snapshots.restore(x),
    "snapshot collection": lambda e, c, d, x: _restore(e, collection=x),
    "snapshot keys": lambda e, c, d, x: _restore(e, collection="t", keys=x),
    "backup target": lambda e, c, d, x: e.backup(d / x if isinstance(x, str) and "x" in x else x),
    "backup on_progress": lambda e, c, d, x: e.backup(d / "b.db", on_progress=x) if not callable(x) else None,
    "restore_backup backup": lambda e, c, d, x: restore_backup(x, d / "b.db"),
    "restore_backup target": lambda e, c, d, x: restore_backup(d / "none.db", x),
    "export_want": lambda e, c, d, x: e.export_want(d / x if isinstance(x, str) and "x" in x else x),
    "export_bundle": lambda e, c, d, x: e.export_bundle(d / x if isinstance(x, str) and "x" in x else x),
    "export_bundle want": lambda e, c, d, x: e.export_bundle(d / "b.bundle", want=x),
    "export_bundle on_records": lambda e, c, d, x: (
        e.export_bundle(d / "b.bundle", on_records=x) if not callable(x) else None
    ),
    "import_bundle": lambda e, c, d, x: e.import_bundle(x),
    "sync": lambda e, c, d, x: e.sync(x),
    "compare": lambda e, c, d, x: e.compare(x),
    "salvage_file": lambda e, c, d, x: salvage_file(d / x if isinstance(x, str) and "x" in x else x),
    "salvage_file seams": lambda e, c, d, x: salvage_file(d / "none.db", seams=x),
    "sync guard": lambda e, c, d, x: e.sync(HUB, guard=x),
    "import_bundle guard": lambda e, c, d, x: e.import_bundle(d / "none", guard=x),
    "Guard share": lambda e, c, d, x: Guard(share=x),
    "Guard least": lambda e, c, d, x: Guard(least=x),
    "open purge": lambda e, c, d, x: Engine.open(d / "other.db", purge=x),
    "Purge every_s": lambda e, c, d, x: Purge(every_s=x),
    "Purge silent_after_s": lambda e, c, d, x: Purge(silent_after_s=x),
    "members expire": lambda e, c, d, x: e.members.expire(x),
    "members restore": lambda e, c, d, x: e.members.restore(x),
    "members hand_over": lambda e, c, d, x: e.members.hand_over(x),
    "members seize": lambda e, c, d, x: e.members.seize(x),
    "sync on_progress": lambda e, c, d, x: e.sync(HUB, on_progress=x),
    "reached receipt": lambda e, c, d, x: e.reached(x, HUB),
    "reached hub": lambda e, c, d, x: e.reached(None, x),
    "tx get collection": lambda e, c, d, x: _transact(e, lambda tx: tx.get(x, "k")),
    "tx get key": lambda e, c, d, x: _transact(e, lambda tx: tx.get("t", x)),
    "tx put collection": lambda e, c, d, x: _transact(e, lambda tx: tx.put(x, "k", {})),
    "tx put key": lambda e, c, d, x: _transact(e, lambda tx: tx.put("t", x, {})),
    "tx put fields": lambda e, c, d, x: _transact(e, lambda tx: tx.put("t", "k", x)),
    "tx update key": lambda e, c, d, x: _transact(e, lambda tx: tx.update("t", x, {})),
    "tx update fields": lambda e, c, d, x: _transact(e, lambda tx: tx.update("t", "k", x)),
    "tx delete": lambda e, c, d, x: _transact(e, lambda tx: tx.delete("t", x)),
    "resolve": lambda e, c, d, x: c.resolve(x),
    "resolve Take": lambda e, c, d, x: c.resolve(Take(x)),
    "resolve Value": lambda e, c, d, x: c.resolve(Value(x)),
    "resolve note": lambda e, c, d, x: c.resolve(Take(0), note=x),
    "resolve author": lambda e, c, d, x: c.resolve(Take(0), author=x),
    "Schema name": lambda e, c, d, x: Schema(name=x),
    "Schema fields": lambda e, c, d, x: Schema(name="t", fields=x),
    "Schema resolver": lambda e, c, d, x: Schema(name="t", fields={"a": x}),
    "Schema indexes": lambda e, c, d, x: Schema(name="t", indexes=x),
    "Schema index": lambda e, c, d, x: Schema(name="t", indexes=[x]),
    "Schema default": lambda e, c, d, x: Schema(name="t", default=x),
    "Schema on_delete": lambda e, c, d, x: Schema(name="t", on_delete=x),
    "Schema version": lambda e, c, d, x: Schema(name="t", version=x),
    "Schema retention": lambda e, c, d, x: Schema(name="t", retention=x),
    "Retention age": lambda e, c, d, x: Retention(age=x),
    "Retention rows": lambda e, c, d, x: Retention(rows=x),
    "Retention bytes": lambda e, c, d, x: Retention(bytes=x),
    "Policy fields": lambda e, c, d, x: Policy(fields=x),
    "Policy default": lambda e, c, d, x: Policy(default=x),
    "Policy existence": lambda e, c, d, x: Policy(existence=x),
    "Hub url": lambda e, c, d, x: Hub(x),
    "Hub port": lambda e, c, d, x: Hub(f"http://127.0.0.1:{x}" if isinstance(x, str) else "http://127.0.0.1:99999"),
    "Hub token": lambda e, c, d, x: Hub(HUB, x),
    "Hub ca_file": lambda e, c, d, x: e.sync(Hub("https://127.0.0.1:1", ca_file=x)),
    "Seams time": lambda e, c, d, x: Seams(time=x),
    "Seams entropy": lambda e, c, d, x: Seams(entropy=x),
    "Seams storage": lambda e, c, d, x: Seams(storage=x),
    "Seams drift_ms_max": lambda e, c, d, x: Seams(drift_ms_max=x),
    "SideFile": lambda e, c, d, x: SideFile(x),
    "VersionVector.decode": lambda e, c, d, x: VersionVector.decode(x),
}

WALKED = {
    *("Engine", "Collection", "Transaction", "OpenConflict", "Schema", "Policy", "Hub", "Seams", "SideFile"),
    *("VersionVector", "Take", "Value", "Past", "Snapshots", "restore_backup", "salvage_file", "Guard", "Retention"),
    *("Members", "Purge"),
}
GIVEN = {
    # What Holdfast hands out, and values that are looked at where they are used.
    *(
        "BulkReport",
        "BundleReport",
        "Causality",
        "Change",
        "CompareReport",
        "Conflict",
        "ConflictKind",
        "DisownReport",
        "Document",
        "Dot",
        "EraseReport",
        "HistoryStatus",
        "LedgerEntry",
        "LogEntry",
        "PeerStatus",
    ),
    *("Member", "PurgeReport", "Unreadable"),
    *("RestoreReport", "Revision", "SalvageReport", "Snapshot", "TrimReport", "UndoReport"),
    *("Receipt", "Status", "SyncProgress", "SyncReport", "Testimony", "VerifyReport", "Version"),
    *("Defer", "Delete", "Leave", "Remove", "NO_RECORD", "__version__"),
    # Ports, and rules that only the engine asks.
    *("Resolver", "Witness", "AskOnDelete", "DeleteWins", "FirstWriterWins", "LastWriterWins", "Manual", "MultiValue"),
    "UpdateWins",
}


def test_every_public_name_is_walked_or_given():
    errors = {
        name
        for name in holdfast.__all__
        if isinstance(getattr(holdfast, name), type) and issubclass(getattr(holdfast, name), HoldfastError)
    }
    assert set(holdfast.__all__) == errors | WALKED | GIVEN
    assert not WALKED & GIVEN


async def _error(call, *world):
    """What comes out of a call; None if it went well."""
    try:
        done = CALLS[call](*world)
        if asyncio.iscoroutine(done):
            async with asyncio.timeout(20):
                await done
    except Exception as error:  # noqa: BLE001 - what it is is the question
        return error
    return None


@dataclass
class World:
    """A node with an open conflict to make calls at: the same for every call, until one of them writes."""

    folder: Path
    stack: AsyncExitStack
    node: Engine | None = None
    conflict: OpenConflict | None = None
    begun: int = 0
    made: int = 0

    async def lsn(self) -> int:
        assert self.node is not None
        return await self.node.readers.run(head)

    async def ready(self) -> tuple[Engine, OpenConflict]:
        if self.node is None or await self.lsn() != self.begun:
            await self.renew()
        assert self.node is not None
        assert self.conflict is not None
        return self.node, self.conflict

    async def renew(self) -> None:
        self.made += 1
        folder = self.folder / str(self.made)
        folder.mkdir()
        other = await self.stack.enter_async_context(opened(folder / "a.db", space="s"))
        self.node = await self.stack.enter_async_context(opened(folder / "b.db", space="s"))
        for node in (other, self.node):
            await node["t"].put("k", {"v": node.label})
        await meet(other, self.node)
        await meet(other, self.node)
        self.conflict = await one_conflict(self.node, "settled")
        self.begun = await self.lsn()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with AsyncExitStack() as stack:
        yield World(tmp_path_factory.mktemp("world"), stack)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("call", CALLS)
async def test_nothing_but_errors_of_the_tree_comes_out(tmp_path, world, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    node, conflict = await world.ready()
    refused = 0
    for name, value in HOSTILE.items():
        before = await world.lsn()
        error = await _error(call, node, conflict, tmp_path, value)
        if error is None:
            continue
        refused += 1
        assert isinstance(error, HoldfastError), (name, error)
        assert error.subject, name
        assert error.remedy, name
        assert 0 < len(str(error).encode()) < 8_000, name
        assert "put_many" in call or await world.lsn() == before, name
    assert refused >= 1 or call in ("open read_only", "update upsert")
    assert (await node.verify()).problems == ()


@pytest.mark.parametrize("durability", ["Full", "FULL", "ful", "", None, 1])
async def test_a_misspelled_durability_is_refused(tmp_path, durability):
    with pytest.raises(UsageError, match="full, normal"):
        await Engine.open(tmp_path / "n.db", durability=durability)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("state", ["opne", "", "OPEN", 5])
async def test_a_state_that_no_conflict_has_is_refused(tmp_path, state):
    async with opened(tmp_path / "n.db") as node:
        with pytest.raises(UsageError, match="open, settled, decided, overwritten"):
            await node.conflicts(state)


@pytest.mark.parametrize("limit", [-1, 1.5, "a", True, 2**70])
async def test_a_limit_that_is_no_number_of_things_is_refused(tmp_path, limit):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {})
        for call in (node["t"].query, node.conflicts, node.log, node.ledger):
            with pytest.raises(UsageError, match="limit"):
                await call(limit=limit)
        assert await node["t"].query(limit=0) == []
        assert len(await node["t"].query(limit=2**63 - 1)) == 1


async def test_a_row_that_is_refused_is_named_by_its_number(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        with pytest.raises(UsageError, match="row 2 is not a pair"):
            await node["t"].put_many([("a", {}), ("b",)])
        for rows in ("ab", {"a": {}}, 5, None):
            with pytest.raises(UsageError, match="pairs"):
                await node["t"].put_many(rows)
        assert await node["t"].count() == 0


async def test_an_error_that_quotes_a_lone_surrogate_can_be_printed(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("k", {})
        with pytest.raises(InvalidQuery) as caught:
            await node["t"].query("key = '\ud800'")
    assert "\\ud800" in str(caught.value)
    assert str(caught.value).encode().decode() == str(caught.value)


async def test_a_watch_does_not_wait_for_what_this_file_never_gave_out(tmp_path):
    """A file that was restored: the application's place is ahead of it, and what comes would be taken for old."""
    async with opened(tmp_path / "n.db") as node:
        receipt = await node["t"].put("k", {"n": 1})
        for watch in (node.watch, node["t"].watch):
            for since in (receipt.lsn + 1, 10**9):
                with pytest.raises(UsageError, match=f"ends at lsn {receipt.lsn}.*beginning"):
                    await anext(watch(since))
        changes = node.watch(receipt.lsn)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        await node["t"].put("l", {})
        assert (await waiting).key == "l"
        await changes.aclose()
