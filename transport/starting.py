"""Begins a node that holds nothing with the hub's starter instead of its feed: fetches, checks and takes it in.

Knows nothing of tables. Invariants: whatever is wrong with a starter, or with the disk's room for it, costs no more
than the time it took: the node goes by the feed; a way that was cut goes on at the byte where it was; and before
anything is taken in its digest, its pages and every record in it have been checked.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from holdfast.engine.starters import Beginning
from holdfast.engine.storage.migrations import FORMAT, OLDEST_FORMAT
from holdfast.errors import DamagedFile, DiskFull, FileUnreadable, LinkCut, NewerFormat, NotADatabase, OlderFormat

from .links.link import Link
from .links.offers import Offer, Offers
from .part import HEAD_BYTES, Head, head_of, open_part, unpack
from .progress import OnProgress, SyncProgress

_log = logging.getLogger(__name__)

ASKED_MAX: Final = 90
"""How often a hub that draws its starter is asked for it before the feed is read instead."""

ASK_AGAIN_S: Final = 1.0

TRIES_MAX: Final = 2
"""Downloads of which what came was damaged, after which the feed is read instead."""

ROOM: Final = 3
"""Times the unpacked size that must be free: unpacked, in the log of the file, and in the file."""

BUFFER_BYTES: Final = 64 * 1024

_NOT_USABLE: Final = (DamagedFile, NotADatabase, NewerFormat, OlderFormat)


async def start(beginning: Beginning, link: Link, on_progress: OnProgress | None = None) -> int:
    """Begin with the peer's starter, if the node holds nothing and the peer has one; gives how many records came.

    Raises:
        LinkError: The way failed; the next time it goes on from there.
        SpaceMismatch: It is of another space.
        DiskFull, FileUnreadable: What came could not be kept.
    """
    if not isinstance(link, Offers):
        return 0
    async with beginning.lock:
        if not await beginning.is_blank():
            return 0
        return await _Start(beginning, link, link.url, on_progress).run()


@dataclass(slots=True)
class _Start:
    beginning: Beginning
    offers: Offers
    url: str
    on_progress: OnProgress | None

    async def run(self) -> int:
        for _ in range(TRIES_MAX):
            head = await self._fetched()
            if head is None:
                break
            try:
                return await self._taken(head)
            except _NOT_USABLE as error:
                _log.warning("the starter of %s is not used: %s", self.url, error)
                await self._drop()
        await self._drop()
        return 0

    async def _fetched(self) -> Head | None:
        """The whole starter, in its part; None if the feed is to be read instead."""
        for _ in range(ASKED_MAX):
            known, have = head_of(self.beginning.part)
            if known is not None and have == known.size:
                return known
            async with self.offers.starter(known.etag if known else "", have) as offer:
                if isinstance(offer, Offer):
                    return await self._received(offer, known, have)
            if offer is None:
                return None
            await asyncio.sleep(ASK_AGAIN_S)
        return None

    async def _received(self, offer: Offer, known: Head | None, have: int) -> Head | None:
        head = Head(etag=offer.etag, size=offer.size, raw_bytes=offer.raw_bytes)
        if known is not None and (head != known or offer.start != have):
            _log.info("the hub gives another starter by now: it is read from its start (%s bytes were here)", have)
            have = 0
        if offer.start != have:
            raise LinkCut("the starter goes on elsewhere", subject=self.url, remedy="Sync again.")
        if not OLDEST_FORMAT <= offer.format <= FORMAT:
            _log.info("the hub's starter has format %s, this version reads up to %s", offer.format, FORMAT)
            return None
        if not self._has_room(offer):
            return None
        with _kept(self.beginning):
            await self._receive(offer, head, have)
        return head

    async def _receive(self, offer: Offer, head: Head, have: int) -> None:
        file = await asyncio.to_thread(open_part, self.beginning.part, head, have)
        buffer = bytearray()
        try:
            while chunk := await offer.read():
                buffer += chunk
                have += len(chunk)
                if have > head.size:
                    raise LinkCut("more came than was announced", subject=self.url, remedy="Sync again.")
                if len(buffer) >= BUFFER_BYTES or have == head.size:
                    await asyncio.to_thread(file.write, bytes(buffer))
                    buffer.clear()
                    self._tell(head, have)
        finally:  # what came before a cut is kept
            await asyncio.to_thread(_close, file, bytes(buffer))
        if have < head.size:
            raise LinkCut("the starter ended early", subject=self.url, remedy="Sync again: it goes on from there.")

    async def _taken(self, head: Head) -> int:
        """What has come, unpacked, checked and taken in."""
        try:
            with _kept(self.beginning):
                self.beginning.clear()
                await asyncio.to_thread(unpack, self.beginning.part, head, self.beginning.path)
            starter = await self.beginning.check()
            taken = await self.beginning.take(starter, self.url)
        finally:
            self.beginning.clear()
        await self._drop()
        return starter.records if taken else 0

    def _has_room(self, offer: Offer) -> bool:
        free = shutil.disk_usage(self.beginning.part.parent).free
        needed = offer.size - offer.start + ROOM * offer.raw_bytes + HEAD_BYTES
        if free < needed:
            _log.warning("no room for the starter of %s: %s bytes are free, it needs %s", self.url, free, needed)
        return free >= needed

    async def _drop(self) -> None:
        with _kept(self.beginning):
            await asyncio.to_thread(self.beginning.part.unlink, missing_ok=True)

    def _tell(self, head: Head, have: int) -> None:
        if self.on_progress:
            self.on_progress(SyncProgress(sent=0, received=0, starter_bytes=have, starter_size=head.size))


def _close(file: BinaryIO, rest: bytes) -> None:
    with file:
        file.write(rest)


@contextmanager
def _kept(beginning: Beginning) -> Iterator[None]:
    """What the system says of the file that keeps what comes, as errors of the tree; those of the link pass."""
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        subject = str(beginning.part)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            remedy = "Free space and sync again: what has come is kept, and it goes on from there."
            raise DiskFull("no space left for the starter", subject=subject, remedy=remedy) from error
        what = f"the starter cannot be kept: {error.strerror or error}"
        raise FileUnreadable(what, subject=subject, remedy="Check folder and rights.") from error
