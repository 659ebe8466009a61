"""Files that many tests of the command line begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from .commands import ok


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database of the space "plant" with the records tasks/t1 and tasks/t2."""
    path = tmp_path / "edge.db"
    ok("init", path, "--space", "plant", "--name", "pump-7")
    ok("put", path, "tasks", "t1", '{"title": "Check valve", "n": 1}')
    ok("put", path, "tasks", "t2", '{"title": "日本 \U0001f600", "n": 2.0}')
    return path
