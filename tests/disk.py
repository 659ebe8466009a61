"""A disk that is small enough to be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 4 MiB, mounted at a new folder `place`."""
    place.mkdir()
    if os.geteuid() != 0 or told("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)):
        pytest.skip("no right to mount a small file system")
    try:
        yield place
    finally:
        told("umount", "-l", str(place))


def fill(place: Path, *, leave: int = 0) -> Path:
    """Take all the space but so many bytes."""
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        room = os.statvfs(place)
        file.write(b"x" * max(0, room.f_bavail * room.f_frsize - leave))
    return ballast


def told(*command: str) -> int:
    """Run a command of the system; its exit code."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 1
