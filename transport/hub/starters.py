"""The starters that a hub keeps: drawn when somebody first asks, packed, and given to all who ask for some time.

Knows nothing of HTTP, nor of what stands in a starter. Invariants: at most one is drawn of a space at a time, off the
event loop; each is named by the digest of its bytes, which never change; no more than so many are kept, and none is
drawn where the disk has no room to spare; one that nobody may start from any more, as behind an erasure, is deleted. A
starter that cannot be had is no failure: nodes go by the feed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol

import zstandard

from holdfast.clocks import TimeSource
from holdfast.engine.starters import Position
from holdfast.engine.storage.drafts import begin
from holdfast.engine.storage.migrations import FORMAT
from holdfast.errors import HoldfastError

from .limits import Limits

_log = logging.getLogger(__name__)

LEVEL: Final = 3
"""zstd level: higher ones pack a tenth better at three times the work."""

PER_SPACE: Final = 2
"""Starters of one space that are kept: the newest, and the one before, which a slow client may be reading."""

ROOM: Final = 3
"""Times the size of the space's file that must be free before a starter is drawn."""

AGAIN_S: Final = 300.0
"""After a failure nobody tries again for so long."""

DIGEST_BYTES: Final = 16
_PIECE: Final = 1 << 20


class Source(Protocol):
    """What the shelf needs of the node of a space."""

    async def worth(self) -> int:
        """How many records a starter would hold; 0 while it may not be the start of others."""
        ...

    async def behind(self, position: Position) -> int | None:
        """How many records who starts there still has to read; None if nobody may start there any more."""
        ...

    async def draw(self, target: Path) -> Position:
        """Write a starter to a new file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A starter on the shelf.

    Attributes:
        path: Its bytes, packed.
        etag: Their digest.
        size, raw_bytes: How many they are, and how many unpacked.
        format: The format of the file that they hold.
        made_ms: When it was drawn (milliseconds since 1970).
        position: Which state it is.
    """

    path: Path
    etag: str
    size: int
    raw_bytes: int
    format: int
    made_ms: int
    position: Position


class Shelf:
    """The starters of all spaces of a hub.

    Args:
        folder: Where they are kept; made when the first is drawn.
        limits: Bounds.
        clock: Wall time: a starter's age is told over restarts.
    """

    def __init__(self, folder: Path, limits: Limits, clock: TimeSource) -> None:
        self._folder = folder
        self._clock = clock
        self._limits = limits
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._making: dict[str, asyncio.Task[Kept | None]] = {}
        self._failed: dict[str, float] = {}
        self._stems = {path.name.rpartition("-")[0] for path in folder.glob("*-*.zst")}

    async def find(self, space: Path, source: Source, wanted: str) -> Kept | None:
        """The starter of a space (by its file) that somebody has begun to read, else a good one, else none.

        Raises:
            TimeoutError: It is being drawn, and not ready yet: ask again.
        """
        async with self._looking[space.stem]:  # of those who come at once, one begins to draw
            kept = await self._standing(space.stem, source)
            for one in kept:
                if one.etag == wanted:
                    return one
            task = self._making.get(space.stem)
            if task is None:
                if kept and await self._is_good(kept[0], source):
                    return kept[0]
                if not await self._is_wanted(space, source):
                    return None
                task = self._making[space.stem] = asyncio.create_task(self._make(space, source))
        async with asyncio.timeout(self._limits.starter_wait_s):
            return await asyncio.shield(task)

    async def weed(self, space: Path, source: Source) -> None:
        """Delete those of a space that nobody may start from any more; to be called when something has come to it."""
        if space.stem not in self._stems:
            return
        try:
            async with self._looking[space.stem]:
                if not await self._standing(space.stem, source):
                    self._stems.discard(space.stem)
        except (HoldfastError, OSError) as error:  # it is looked at again before it is given
            _log.warning("the starters of %s could not be looked through: %s", space.name, error)

    async def drop(self, kept: Kept) -> None:
        """Delete one that was found damaged."""
        _log.warning("the starter %s is damaged: it is deleted, and another is drawn", kept.path.name)
        await asyncio.to_thread(_delete, kept.path)

    async def close(self) -> None:
        """Wait for what is being drawn: its thread would outlive the loop."""
        await asyncio.gather(*self._making.values())

    async def _standing(self, stem: str, source: Source) -> list[Kept]:
        """Those of a space that may be given, newest first; the others are deleted."""
        found = await asyncio.to_thread(self._kept, stem)
        standing = [kept for kept in found if await source.behind(kept.position) is not None]
        for kept in found:
            if kept not in standing:
                await asyncio.to_thread(_delete, kept.path)
        return standing

    async def _is_good(self, kept: Kept, source: Source) -> bool:
        if self._clock.now_ms() - kept.made_ms > self._limits.starter_age_s * 1_000:
            return False
        behind = await source.behind(kept.position)
        return behind is not None and behind <= self._limits.starter_behind * kept.position.records

    async def _is_wanted(self, space: Path, source: Source) -> bool:
        last = self._failed.get(space.stem)
        if last is not None and asyncio.get_running_loop().time() - last < AGAIN_S:
            return False
        return await source.worth() >= self._limits.starter_records_min

    async def _make(self, space: Path, source: Source) -> Kept | None:
        try:
            await asyncio.to_thread(self._prepare, space)
            return await self._drawn(space.stem, source)
        except (HoldfastError, OSError) as error:
            self._failed[space.stem] = asyncio.get_running_loop().time()
            _log.warning("no starter of %s: nodes that hold nothing read the feed instead: %s", space.name, error)
            return None
        finally:
            del self._making[space.stem]

    def _prepare(self, space: Path) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        needed = ROOM * space.stat().st_size
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise OSError(f"{free} bytes are free, {needed} are needed")

    async def _drawn(self, stem: str, source: Source) -> Kept:
        raw = await asyncio.to_thread(begin, self._folder / f"{stem}.raw")
        try:
            position = await source.draw(raw.path)
            return await asyncio.to_thread(self._put, stem, raw.path, position)
        finally:
            await asyncio.to_thread(raw.end)

    def _put(self, stem: str, raw: Path, position: Position) -> Kept:
        draft = begin(self._folder / f"{stem}.zst")
        try:
            etag = _pack(raw, draft.path)
            path = self._folder / f"{stem}-{etag}.zst"
            kept = Kept(
                path=path,
                etag=etag,
                size=draft.path.stat().st_size,
                raw_bytes=raw.stat().st_size,
                format=FORMAT,
                made_ms=self._clock.now_ms(),
                position=position,
            )
            self._stems.add(stem)
            draft.path.rename(path)
            _card(path).write_text(json.dumps(_as_json(kept)), encoding="utf-8")
        finally:
            draft.end()
        self._tidy(stem)
        return kept

    def _kept(self, stem: str = "*") -> list[Kept]:
        """Those of a space, or all, newest first; one whose card cannot be read was never finished."""
        found = []
        for path in self._folder.glob(f"{stem}-*.zst"):
            with suppress(OSError, ValueError, TypeError, KeyError):
                found.append(_from_json(path, json.loads(_card(path).read_text(encoding="utf-8"))))
        return sorted(found, key=lambda kept: kept.made_ms, reverse=True)

    def _tidy(self, stem: str) -> None:
        kept = self._kept()
        own = [one for one in kept if one.path.name.startswith(f"{stem}-")]
        staying = {one.path for one in kept[: self._limits.starters_max]} - {one.path for one in own[PER_SPACE:]}
        for path in self._folder.glob("*.zst"):
            if path not in staying:
                _delete(path)


def _delete(path: Path) -> None:
    _card(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _pack(raw: Path, target: Path) -> str:
    """Pack a file; gives the digest of what was written."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    packer = zstandard.ZstdCompressor(level=LEVEL)
    with raw.open("rb") as source, target.open("r+b") as packed:
        for piece in packer.read_to_iter(source, size=raw.stat().st_size, write_size=_PIECE):
            digest.update(piece)
            packed.write(piece)
        packed.flush()
        os.fsync(packed.fileno())
    return digest.hexdigest()


def _card(path: Path) -> Path:
    """What says what a starter is; it is written last."""
    return path.with_suffix(".json")


def _as_json(kept: Kept) -> dict[str, Any]:
    position = asdict(kept.position) | {"stretch": kept.position.stretch.hex()}
    return asdict(kept) | {"path": kept.path.name, "position": position}


def _from_json(path: Path, card: dict[str, Any]) -> Kept:
    position = Position(**card["position"] | {"stretch": bytes.fromhex(card["position"]["stretch"])})
    kept = Kept(**card | {"path": path, "position": position})
    if path.stat().st_size != kept.size:
        raise ValueError("it was cut short")
    return kept
