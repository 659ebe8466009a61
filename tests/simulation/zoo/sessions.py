"""Sessions over bad networks, when a rule of the protocol is broken."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

from holdfast.engine import facts, replica
from holdfast.engine.storage import feed
from holdfast.engine.storage.apply import Applied
from holdfast.errors import HoldfastError
from holdfast.transport import answering, frame, responder, session, sync
from holdfast.transport.progress import SyncReport

from .mutants import Patch, mutant


def _applied(batch) -> Applied:
    """As if a batch had been applied."""
    return Applied(
        checkpoint=batch.end,
        stretch=batch.end_stretch,
        moved=True,
        completed=batch.drained,
        taken=batch.drained,
        fresh=len(batch.delta),
        merged=0,
        unchanged=0,
        conflicts=0,
        need_whole=(),
        holes=0,
        foreign=0,
        suspect_ms=0,
        lsn=None,
    )


@mutant("a hub acknowledges before it has stored", "Promise 1; B20", "network")
def _(patch: Patch) -> None:
    async def add(self, effect) -> None:
        async def later() -> None:
            try:
                await self.replica.apply(effect.batch, effect.actor)
            except HoldfastError:
                return  # nobody is left to be told

        self.session.applied(effect.batch, _applied(effect.batch))
        self._task = asyncio.create_task(later())

    async def done(self) -> None:
        return

    patch.setattr(responder._Intake, "add", add)
    patch.setattr(responder._Intake, "done", done)
    patch.setattr(responder._Intake, "stop", done)


@mutant("a batch that could not be stored is acknowledged", "Promise 1; B21; B30", "disk")
def _(patch: Patch) -> None:
    original = replica.Replica.apply

    async def apply(self, batch, actor, **how):
        try:
            return await original(self, batch, actor, **how)
        except HoldfastError:
            return _applied(batch)

    patch.setattr(replica.Replica, "apply", apply)


@mutant("a session is called complete after its first exchange", "Promise 3; B25", "network")
def _(patch: Patch) -> None:
    def report(**said):
        return SyncReport(**{**said, "completed": True, "blockers": ()})

    patch.setattr(sync._Sync, "_done", lambda self, each: not each.renewed)
    patch.setattr(sync, "SyncReport", report)


@mutant("after a sync that failed no other gets its turn", "Promise 3; B25", "network")
def _(patch: Patch) -> None:
    @asynccontextmanager
    async def held(self, url):
        await self._node.sessions[url].acquire()
        yield
        self._node.sessions[url].release()

    patch.setattr(replica.Replica, "session", held)


@mutant("a vector note is resolved against whatever is held", "At scale; B10", "backups")
def _(patch: Patch) -> None:
    def resolve(note, held):
        return held.join(note.entries)

    for side in (session, answering):
        patch.setattr(side, "resolve", resolve)


@mutant("vectors are cut to their two highest entries", "At scale; B10", "network")
def _(patch: Patch) -> None:
    original = feed.vector_of

    def pruned(connection):
        vector = original(connection)
        return type(vector)(dict(sorted(vector.items(), key=lambda entry: -entry[1])[:2]))

    patch.setattr(facts, "vector_of", pruned)
    patch.setattr(feed, "vector_of", pruned)


@mutant("deletes are not passed on", "Writes; B15", "network")
def _(patch: Patch) -> None:
    patch.setattr(feed, "_BEHIND", feed._BEHIND.replace("WHERE r.lsn > ?", "WHERE r.live = 1 AND r.lsn > ?"))


@mutant("numbers beyond 2**53 are rounded on their way", "B17", "network")
def _(patch: Patch) -> None:
    original = feed._delta

    def rounded(*arguments, **options):
        delta = original(*arguments, **options)
        return replace(delta, doc=[doc.replace("9007199254740993", "9007199254740992") for doc in delta.doc])

    patch.setattr(feed, "_delta", rounded)


@mutant("the checksum of a frame is not compared", "B33; B38", "bits")
def _(patch: Patch) -> None:
    original = frame._checksum
    header = frame.decode_header

    def decode(data):
        read = header(data)
        return replace(read, crc=None)

    patch.setattr(frame, "decode_header", decode)
    patch.setattr(frame, "_checksum", lambda prefix, payload: _Any(original(prefix, payload)))


class _Any(int):
    """A checksum that fits every frame."""

    __hash__ = int.__hash__

    def __eq__(self, other) -> bool:
        return True

    def __ne__(self, other) -> bool:
        return False


@mutant("every request gets a new ticket, also one that comes again", "Sessions; B20", "echoes")
def _(patch: Patch) -> None:
    async def issue(self, actor, shown):
        def give(tx):
            peer = replica.find_peer(tx.connection, actor)
            peer.pending = tx.store.seams.entropy(8)
            replica.save_peer(tx, peer)
            return peer.pending

        return await self._node.write(give)

    patch.setattr(replica.Replica, "issue_ticket", issue)
