"""Files that appear under their name whole, or not at all.

Knows nothing of what is written. Invariant: what stood under the name stays; a draft that was given up is gone.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from holdfast.engine.storage.copying import sync
from holdfast.engine.storage.drafts import begin
from holdfast.errors import DiskFull, FileUnreadable, HoldfastError


@asynccontextmanager
async def written(target: Path) -> AsyncIterator[BinaryIO]:
    """A file to write to, which becomes `target` at the end of the block, durably.

    Raises:
        UsageError: The target is there already.
        FileLocked: Somebody else is writing it.
        DiskFull, FileUnreadable: It cannot be written.
    """
    try:
        draft = await asyncio.to_thread(begin, target)
        try:
            with await asyncio.to_thread(draft.path.open, "wb") as file:
                yield file
                await asyncio.to_thread(_finish, file, target)
        finally:
            await asyncio.to_thread(draft.end)
    except OSError as error:
        raise _fault(error, target) from error


def _finish(file: BinaryIO, target: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    Path(file.name).rename(target)
    sync(target.parent)


def _fault(error: OSError, target: Path) -> HoldfastError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("no space left on the device", subject=str(target), remedy="Free space; nothing of it is left.")
    what = f"it cannot be written: {error.strerror or error}"
    return FileUnreadable(what, subject=str(target), remedy="Check folder and rights.")
