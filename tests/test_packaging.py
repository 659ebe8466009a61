"""Claims about the package: folders, links, the setuptools map and the wheel tell one story."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .sources import FOLDERS, LINKS, ROOT, all_files, product_files, pyproject, tree

SETUPTOOLS = pyproject()["tool"]["setuptools"]


def _import_name(file: Path) -> str:
    """`engine/storage/connection.py` -> `holdfast.engine.storage`: the package that a file lies in."""
    folder = file.parent
    inside = () if folder == Path("src/holdfast") else folder.parts
    return ".".join(("holdfast", *inside))


def test_every_link_is_relative_and_leads_to_the_folder_of_its_name():
    assert {name: str((LINKS / name).readlink()) for name in FOLDERS} == {name: f"../../{name}" for name in FOLDERS}


def test_the_map_has_one_entry_for_every_link():
    expected = {"holdfast": "src/holdfast"} | {f"holdfast.{name}": name for name in FOLDERS}
    assert SETUPTOOLS["package-dir"] == expected


def test_every_folder_with_modules_is_a_listed_package():
    assert sorted({_import_name(file) for file in product_files()}) == SETUPTOOLS["packages"]


def test_every_package_has_an_init():
    missing = {file.parent for file in product_files() if not (ROOT / file.parent / "__init__.py").exists()}
    assert not missing


def test_coverage_measures_every_folder():
    coverage = pyproject()["tool"]["coverage"]
    assert sorted(coverage["run"]["source"]) == sorted(["src/holdfast", *FOLDERS])
    assert sorted(coverage["paths"]) == sorted(["holdfast", *FOLDERS])


def test_ruff_checks_every_folder_once():
    excluded = pyproject()["tool"]["ruff"]["extend-exclude"]
    assert sorted(excluded) == [f"src/holdfast/{name}" for name in FOLDERS]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy so that the build leaves nothing in the tree."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("src", *FOLDERS):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignore)
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True, timeout=100)
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path):
    def installed(file: Path) -> str:
        return "/".join((*_import_name(file).split("."), file.name))

    found = [file for folder in FOLDERS for kind in ("*.sql", "*.html") for file in (ROOT / folder).rglob(kind)]
    data = [file.relative_to(ROOT) for file in found]
    expected = {installed(file) for file in (*product_files(), *data)} | {"holdfast/py.typed"}
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected


def test_every_package_of_the_wheel_can_be_imported(wheel: Path, tmp_path: Path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import importlib
for name in {SETUPTOOLS["packages"]!r}:
    module = importlib.import_module(name)
    assert module.__file__.startswith({str(tmp_path)!r}), module.__file__
"""
    subprocess.run([sys.executable, "-I", "-c", script], check=True, timeout=60)


def _imports(file: Path) -> list[tuple[int, int, str]]:
    """The imports of a file as (line, level, module)."""
    found = []
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, 0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.level, node.module or ""))
    return found


def test_nobody_imports_a_folder_by_its_bare_name():
    bare = [
        f"{file}:{line}: import {module}"
        for file in all_files()
        for line, level, module in _imports(file)
        if level == 0 and module.split(".")[0] in FOLDERS
    ]
    assert not bare


def test_imports_are_relative_inside_a_folder():
    absolute = [
        f"{file}:{line}: {module}"
        for file in product_files()
        for line, level, module in _imports(file)
        if file.parts[0] in FOLDERS and level == 0 and f"{module}.".startswith(f"holdfast.{file.parts[0]}.")
    ]
    assert not absolute


def test_imports_are_absolute_across_folders():
    leaving = [
        f"{file}:{line}: {'.' * level}{module}"
        for file in product_files()
        for line, level, module in _imports(file)
        if file.parts[0] in FOLDERS and level > len(file.parents) - 1
    ]
    assert not leaving
