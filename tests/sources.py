"""The repository as the tests about the repository see it: its folders, its modules and their syntax trees.

It must not import Holdfast, because what it looks at may be broken.
"""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LINKS = ROOT / "src" / "holdfast"

# The folders that make up the package, each importable as holdfast.<folder>.
FOLDERS = tuple(sorted(link.name for link in LINKS.iterdir() if link.is_symlink()))


@cache
def pyproject() -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def product_files() -> tuple[Path, ...]:
    """Every Python file of the package, relative to the root."""
    found = [*LINKS.glob("*.py"), *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))]
    return tuple(sorted(file.relative_to(ROOT) for file in found))


@cache
def all_files() -> tuple[Path, ...]:
    """Every Python file of the repository, relative to the root."""
    around = [file for folder in ("tests", "examples", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    return tuple(sorted({*product_files(), *(file.relative_to(ROOT) for file in around)}))


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file that is named relative to the root."""
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), filename=str(file))


@cache
def documents() -> tuple[Path, ...]:
    """Every document of the repository, relative to the root."""
    found = [*ROOT.glob("*.md"), *(file for folder in ("docs", *FOLDERS) for file in (ROOT / folder).rglob("*.md"))]
    return tuple(sorted(file.relative_to(ROOT) for file in found))
