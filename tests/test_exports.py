"""Claims about the public API: it is what `holdfast.__all__` lists, and importing it costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast
from holdfast import errors

from .sources import tree

# What an edge device should only load when it is used.
HEAVY = {"aiohttp", "aiosqlite", "anyio", "asyncio", "click", "msgpack", "pycrdt", "sqlite3", "zstandard"}


def test_the_list_names_nothing_twice():
    assert len(holdfast.__all__) == len(set(holdfast.__all__))


def test_every_listed_name_exists():
    assert not [name for name in holdfast.__all__ if getattr(holdfast, name, None) is None]


def test_every_error_is_exported():
    tree_of_errors = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    assert tree_of_errors <= set(holdfast.__all__)


def test_what_is_loaded_lazily_is_listed_and_known_to_type_checkers():
    typed = {
        alias.name
        for node in tree(Path("src/holdfast/__init__.py")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert typed == set(holdfast._LAZY)
    assert typed <= set(holdfast.__all__)


def test_a_lazy_name_is_imported_on_first_use_and_then_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(holdfast._LAZY, "Fraction", "fractions")
    from fractions import Fraction

    assert holdfast.Fraction is Fraction
    assert vars(holdfast).pop("Fraction") is Fraction


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'holdfast' has no attribute 'Enigne'"):
        _ = holdfast.Enigne


def test_dir_shows_the_whole_api():
    assert set(holdfast.__all__) <= set(dir(holdfast))


def test_importing_holdfast_loads_nothing_heavy():
    script = "import sys; before = set(sys.modules); import holdfast; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(run.stdout.split())
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}
    assert {name for name in loaded if name.startswith("holdfast")} == {"holdfast", "holdfast.errors"}


@pytest.mark.parametrize("command", [["-m", "holdfast"], ["-c", "from holdfast.service.cli import main; main()"]])
def test_the_program_tells_its_version(command: list[str]):
    run = subprocess.run(
        [sys.executable, *command, "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert holdfast.__version__ in run.stdout
