"""Claims about the sources that no other tool makes: sizes, names, prose, and who may touch time and randomness."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .sources import ROOT, all_files, product_files, tree

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

# Names that say nothing about what is inside.
VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

# The world outside: a simulation replaces it, so it enters as an argument and only a seam may take it from Python.
WORLD_MODULES = {"random", "secrets", "socket", "threading", "time", "uuid"}
WORLD_NAMES = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "os.getrandom",
    "os.urandom",
}

# The seams, and what each may take. An entry for a folder holds for the files below it.
SEAMS = {
    "engine/seams.py": {"os.urandom", "random", "time"},  # the real clock and the real entropy
    "engine/storage/connection.py": {"threading", "time"},  # the storage thread, and how long a lock is waited for
    "simulation/kernel/choices.py": {"random"},  # seeded generators, nothing else
    "simulation/kernel/loop.py": {"threading"},  # to know a foreign thread when it calls
    "simulation/kernel/closing.py": {"threading"},  # signals are handled in the main thread
    "simulation/kernel/patience.py": {"threading"},  # a timer of the process belongs to its main thread
    "simulation/runs/stopwatch.py": {"time"},  # how long a run took, outside its world
    "transport/links/": {"socket"},  # the links are the only place that knows addresses
}


def _functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_too_long():
    lines = {str(file): len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in product_files()}
    assert not {file: count for file, count in lines.items() if count > FILE_LINES_MAX}


def test_no_function_is_too_long():
    too_long = [
        f"{file}:{function.lineno}: {function.name}"
        for file in product_files()
        for function in _functions(file)
        if function.end_lineno - function.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not too_long


def test_every_module_says_what_it_is():
    # An empty __init__.py makes a test folder a package and has nothing to say.
    assert not [str(file) for file in all_files() if tree(file).body and not ast.get_docstring(tree(file))]
    assert not [str(file) for file in product_files() if not tree(file).body]


def test_no_module_has_a_vague_name():
    assert not [str(file) for file in product_files() if VAGUE_NAMES & {file.stem, *file.stem.split("_")}]


def test_no_work_is_left_for_later():
    mark = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X)\b")
    files = [*all_files(), *(file.relative_to(ROOT) for file in (ROOT / "engine").rglob("*.sql"))]
    assert not [str(file) for file in files if mark.search((ROOT / file).read_text(encoding="utf-8"))]


def _runtime(node: ast.AST) -> Iterator[ast.AST]:
    """Like `ast.walk`, without what only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from _runtime(child)


def _aliases(module: ast.Module) -> Iterator[tuple[str, str]]:
    """The imported names of a module as (name here, full name)."""
    for node in _runtime(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def world_of(source: str) -> set[str]:
    """What a module takes from the world outside: modules of WORLD_MODULES and names of WORLD_NAMES."""
    module = ast.parse(source)
    aliases = dict(_aliases(module))
    taken = {name.split(".")[0] for name in aliases.values()} & WORLD_MODULES
    for node in _runtime(module):
        if isinstance(node, ast.Name | ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            taken |= {f"{aliases.get(first, first)}.{rest}".rstrip(".")} & WORLD_NAMES
    return taken


def _allowed(file: Path) -> set[str]:
    return {name for place, names in SEAMS.items() if file.as_posix().startswith(place) for name in names}


def test_only_seams_touch_time_randomness_threads_and_sockets():
    taken = {file: world_of((ROOT / file).read_text(encoding="utf-8")) for file in product_files()}
    assert not {str(file): names - _allowed(file) for file, names in taken.items() if names - _allowed(file)}


@pytest.mark.parametrize(
    ("source", "taken"),
    [
        ("import time", {"time"}),
        ("from time import monotonic as clock", {"time"}),
        ("import random as r", {"random"}),
        ("import os\nos.urandom(8)", {"os.urandom"}),
        ("from os import urandom as entropy\nentropy(8)", {"os.urandom"}),
        ("from datetime import datetime, UTC\ndatetime.now(UTC)", {"datetime.datetime.now"}),
        ("import datetime as dt\ndt.datetime.now(dt.UTC)", {"datetime.datetime.now"}),
        ("from datetime import datetime\ndatetime.fromtimestamp(0)", set()),
        ("import os\nos.fsync(3)", set()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from random import Random", set()),
    ],
)
def test_the_search_for_the_world_outside_sees_through_spelling(source: str, taken: set[str]):
    assert world_of(source) == taken
