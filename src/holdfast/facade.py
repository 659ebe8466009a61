"""The public engine: the local node, and the links to other nodes.

Imports what most processes never use, and the network parts, on first use. Invariant: nothing here is logic; it joins
`engine` and `transport`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.engine.arguments import check_callable, check_count, check_path, check_remarks
from holdfast.engine.documents import shown
from holdfast.engine.node import Node
from holdfast.errors import NotReached, ReadOnlyToken, Unauthorized, Unreachable, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from holdfast.engine.disowning import DisownReport
    from holdfast.engine.guard import Guard, Watch
    from holdfast.engine.history import UndoReport
    from holdfast.engine.members import Members, PurgeReport
    from holdfast.engine.retention import TrimReport
    from holdfast.engine.snapshots import Snapshots
    from holdfast.engine.storage.write import Receipt
    from holdfast.transport.bundle import BundleReport
    from holdfast.transport.comparing import CompareReport
    from holdfast.transport.links.address import Hub
    from holdfast.transport.links.link import Link
    from holdfast.transport.progress import OnProgress, SyncReport


class Engine(Node):
    """A replica of a space in a local file: always readable and writable, in sync when a network allows.

    ``async with Engine.open("edge.db", space="plant") as engine`` opens it; ``engine["tasks"]`` is a collection.
    """

    async def sync(
        self,
        hub: Hub | str,
        *,
        guard: Guard | None = None,
        starter: bool = True,
        on_progress: OnProgress | None = None,
    ) -> SyncReport:
        """Sync with a hub until both have all that the other has; one that runs with the same hub is waited for.

        A file that holds nothing begins with a copy of what the hub holds, where the hub holds much: see `bootstrap`.

        Args:
            hub: Where, and with which token; a bare URL means no token.
            guard: How much may be deleted or rewritten here; None for anything.
            starter: Whether a file that holds nothing may begin so; False to read the feed in any case.
            on_progress: Called with what has been sent and received so far.

        Raises:
            LinkError: The hub was not reached, or let nobody in; what was exchanged stays, the next sync goes on.
            ProtocolError: The hub refused the session.
            SyncHeld: The guard holds what the hub sent; what came before, below that share, stays.
            StorageError: The file failed.
        """
        watch = _watching(guard)
        with _loading():
            from holdfast.engine.replica import Replica
            from holdfast.engine.starters import Beginning
            from holdfast.transport.starting import start
            from holdfast.transport.sync import sync

        address = _address(hub)
        check_callable(on_progress, "on_progress")
        async with self._linked(address) as link:
            started = await start(Beginning(self), link, on_progress) if starter else 0
            report = await sync(Replica(self, watch), link, on_progress)
            return replace(report, received=report.received + started, started=started)

    async def compare(self, hub: Hub | str) -> CompareReport:
        """Compare what stands here with what stands at a hub, by sums over ranges of keys; changes nothing here.

        Args:
            hub: Where, and with which token; a bare URL means no token.

        Raises:
            LinkError, ProtocolError, StorageError: As `sync`.
        """
        with _loading():
            from holdfast.engine.replica import Replica
            from holdfast.transport.comparing import report_on

        async with self._linked(_address(hub)) as link:
            return await report_on(Replica(self), link)

    async def bootstrap(self, hub: Hub | str, *, on_progress: OnProgress | None = None) -> SyncReport:
        """Begin this file, which holds nothing yet, with the hub's starter, and sync what came since.

        A cut download goes on at the byte where it was; what came is checked before any of it is taken in. Where the
        hub has no starter, or this disk no room for it, the feed is read instead, as by any sync.

        Args:
            hub: Where, and with which token.
            on_progress: Called with what has come so far.

        Raises:
            UsageError: The file holds something already: sync it.
            LinkError, ProtocolError, StorageError: As `sync`.
        """
        with _loading():
            from holdfast.engine.starters import Beginning

        if not await Beginning(self).is_blank():
            raise UsageError(
                "the file holds something already", subject=str(self.path), remedy="Sync it, or name a new file."
            )
        return await self.sync(hub, on_progress=on_progress)

    @property
    def snapshots(self) -> Snapshots:
        """What the file held at some moments, to look at and to go back to."""
        from holdfast.engine.snapshots import Snapshots

        return Snapshots(self)

    @property
    def members(self) -> Members:
        """Who takes part in the space, and who decides that."""
        from holdfast.engine.members import Members

        return Members(self)

    async def purge(self) -> PurgeReport:
        """Let go for good what was deleted, as far as all that count have heard of it; hubs do it by themselves."""
        from holdfast.engine.members import purge

        return await purge(self)

    async def backup(self, target: str | Path, *, on_progress: Callable[[float], None] | None = None) -> None:
        """Copy the file as it stands to a file that is not there yet; see `backups.back_up`."""
        from holdfast.engine.backups import back_up

        await back_up(self, target, on_progress)

    async def undo(self, lsn: int, *, author: str = "", note: str = "", preview: bool = False) -> UndoReport:
        """Take back what one transaction changed here, its own or one that came, by ordinary operations.

        What was changed since stays, and is reported. Of more than 100 records a snapshot is taken first.

        Args:
            lsn: The transaction, as receipts, the log and the history name it.
            author: Who undoes, for the log.
            note: Why, for the log.
            preview: Only say what would be done.
        """
        from holdfast.engine.history import undo

        check_count(lsn, "lsn", least=1)
        check_remarks(author, note, "undo")
        return await undo(self, lsn, author, note, preview=preview)

    async def trim(self) -> TrimReport:
        """Trim the log to its retention now; otherwise it is done behind commits.

        Returns:
            How many rows went, and of how many a stub is left: no peer has stored the operation yet.
        """
        from holdfast.engine.retention import TrimReport
        from holdfast.engine.storage.trimming import trim

        report, more = TrimReport(), True
        while more:
            part = await self.write(trim)
            more = part.more
            report = TrimReport(deleted=report.deleted + part.deleted, stubs=report.stubs + part.stubs)
        return report

    async def disown(
        self, node: str, since: int | datetime, *, preview: bool = False, author: str = "", note: str = ""
    ) -> DisownReport:
        """Take back what a misbehaving node has changed since a moment, where it still shows: see `DisownReport`.

        Args:
            node: Its label, or at least 8 characters of the beginning of its identity.
            since: An lsn of this node, or a time with its zone; its changes then read as they read at that moment.
            preview: Only say what would be done.
            author: Who does, for the log.
            note: Why, for the log.
        """
        from holdfast.engine.disowning import disown

        check_remarks(author, note, "disown")
        return await disown(self, node, since, preview=preview, author=author, note=note)

    async def export_want(self, target: str | Path) -> None:
        """Write what this node holds to a file that is not there yet: another node makes a bundle by it.

        Raises:
            UsageError, DiskFull, FileUnreadable: There is no such file now.
        """
        with _loading():
            from holdfast.engine.replica import Replica
            from holdfast.transport.bundle import export_want

        await export_want(Replica(self), check_path(target, "target"))

    async def export_bundle(
        self, target: str | Path, *, want: str | Path | None = None, on_records: Callable[[int], None] | None = None
    ) -> BundleReport:
        """Write what the maker of a want-list lacks to a file; anybody may carry it, and it may be imported anywhere.

        Args:
            target: A file that is not there yet.
            want: The want-list of a node; None for everything.
            on_records: Called with the number of records written so far.

        Raises:
            UsageError: The target is there already.
            SpaceMismatch, MalformedFrame, IncompatibleProtocol: The want-list is of another space, or is none.
            DiskFull, FileUnreadable: There is no bundle.
        """
        with _loading():
            from holdfast.engine.replica import Replica
            from holdfast.transport.bundle import export_bundle

        check_callable(on_records, "on_records")
        asked = None if want is None else check_path(want, "want")
        return await export_bundle(Replica(self), check_path(target, "target"), asked, on_records)

    async def import_bundle(
        self, source: str | Path, *, guard: Guard | None = None, on_records: Callable[[int], None] | None = None
    ) -> BundleReport:
        """Take in a bundle: as a sync in one direction. One that was ended early is run again and goes on.

        Args:
            source: The bundle.
            guard: How much may be deleted or rewritten here; None for anything.
            on_records: Called with the number of records taken in so far.

        Raises:
            IncompatibleBundle: It leaves out what this node does not hold, or this node made it; nothing was taken in.
            SpaceMismatch, MalformedFrame, IncompatibleProtocol: It is of another space, is none, or is damaged.
            SyncHeld: The guard holds it; what came before, below that share, stays.
            FileUnreadable, StorageError: A file failed.
        """
        watch = _watching(guard)
        with _loading():
            from holdfast.engine.replica import Replica
            from holdfast.transport.bundle import import_bundle

        check_callable(on_records, "on_records")
        return await import_bundle(Replica(self, watch), check_path(source, "source"), on_records)

    @asynccontextmanager
    async def _linked(self, address: Hub) -> AsyncIterator[Link]:
        link = self._link(address)
        try:
            yield link
        except Unauthorized as error:
            if address.token:
                raise
            raise Unauthorized(
                "the hub asks for a token, and none was given",
                subject=address.url,
                remedy="Pass one: Hub(url, token=...).",
                typed="Put one that `holdfast hub token add` printed into HOLDFAST_TOKEN.",
            ) from error
        finally:
            await link.close()

    def _link(self, hub: Hub) -> Link:
        """The way to a hub."""
        with _loading():
            import zstandard  # noqa: F401 - frames load it when they need it, which would be in the middle of a session

            from holdfast.transport.links.http import HttpLink

        return HttpLink(hub, self.space)

    async def reached(self, receipt: Receipt, hub: Hub | str) -> None:
        """Return when the hub has this write durably: asks it, in a sync, and believes nothing it said earlier.

        Args:
            receipt: Of the write.
            hub: Which hub.

        Raises:
            ReadOnlyToken: The token may not write, so the write cannot get there.
            NotReached: A session was completed and the hub still has not stored it.
            LinkError, ProtocolError, StorageError: As `sync`.
        """
        with _loading():
            from holdfast.engine.replica import Replica
            from holdfast.engine.storage.write import Receipt as Written

        url = _address(hub).url
        if not isinstance(receipt, Written):
            raise UsageError(f"this is no receipt: {shown(receipt)}", subject="receipt", remedy="Pass that of a write.")
        replica = Replica(self)
        report = await self.sync(hub)  # what was stored before may be of a hub that has lost it
        if await replica.has_reached(receipt, url):
            return
        subject = f"{receipt.collection}/{receipt.key}"
        if any("may only read" in blocker for blocker in report.blockers):
            raise ReadOnlyToken("the token may only read", subject=subject, remedy="Use a token with rights rw.")
        raise NotReached(
            "the hub has not stored the write", subject=subject, remedy="; ".join(report.blockers) or "Sync again."
        )


def _watching(guard: object) -> Watch | None:
    """What watches one sync under a guard, if there is one."""
    if guard is None:
        return None
    with _loading():
        from holdfast.engine.guard import Guard, Watch

    if not isinstance(guard, Guard):
        raise UsageError(
            f"guard is {shown(guard)}",
            subject="guard",
            remedy="Pass Guard(share=...), or leave it out.",
            typed="Pass --hold-above SHARE, or leave it out.",
        )
    return Watch(guard)


@contextmanager
def _loading() -> Iterator[None]:
    """What the network needs is loaded on first use, and a process that may open nothing more cannot load it."""
    try:
        yield
    except (OSError, ImportError) as error:
        if isinstance(error, ModuleNotFoundError):
            raise
        raise Unreachable(
            f"what a sync needs cannot be loaded: {error}",
            subject="this process",
            remedy="Raise its limit of open files (ulimit -n), or sync once while there are some. Local work goes on.",
        ) from error


def _address(hub: object) -> Hub:
    """The hub as an address; raises UsageError, InvalidUrl."""
    with _loading():
        from holdfast.transport.links.address import Hub as Address

    if isinstance(hub, str):
        return Address(hub)
    if not isinstance(hub, Address):
        raise UsageError(
            f"this is no hub: {shown(hub)}",
            subject="hub",
            remedy="Pass Hub(url, token=...), or its address as text.",
            typed="Pass its address: https://hub.example:8787.",
        )
    return hub
