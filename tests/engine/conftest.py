"""What the tests of nodes share: an open node, and a fleet of two around a hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from holdfast import Engine

from ..nodes import opened


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[Engine]:
    """One node in an empty file."""
    async with opened(tmp_path / "node.db", space="plant") as engine:
        yield engine


@pytest_asyncio.fixture
async def trio(tmp_path: Path) -> AsyncIterator[tuple[Engine, Engine, Engine]]:
    """Two nodes and the hub between them, all empty."""
    async with (
        opened(tmp_path / "a.db", space="plant", name="a") as a,
        opened(tmp_path / "b.db", space="plant", name="b") as b,
        opened(tmp_path / "hub.db", space="plant", name="hub") as hub,
    ):
        yield a, b, hub
