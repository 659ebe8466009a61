"""Claims about the documents: their links lead somewhere, and the public API is described."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import holdfast

from .sources import ROOT, documents

LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#+\s+(.*?)\s*#*$", re.MULTILINE)
PUBLIC = [name for name in holdfast.__all__ if not name.startswith("__")]


def _prose(file: Path) -> str:
    return FENCE.sub("", (ROOT / file).read_text(encoding="utf-8"))


def _anchors(file: Path) -> set[str]:
    """The anchors of a document as hosting sites make them from its headings."""
    titles = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(_prose(file)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _problem(file: Path, target: str) -> str | None:
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    path, _, anchor = target.partition("#")
    goal = (ROOT / file.parent / path).resolve() if path else ROOT / file
    if not goal.is_relative_to(ROOT) or not goal.exists():
        return f"{file}: {target} leads nowhere"
    if anchor and goal.suffix == ".md" and anchor not in _anchors(goal.relative_to(ROOT)):
        return f"{file}: {target} names no heading"
    return None


@pytest.mark.parametrize("file", documents(), ids=str)
def test_every_link_leads_somewhere(file: Path):
    problems = [_problem(file, target) for target in LINK.findall(CODE.sub("", _prose(file)))]
    assert not [problem for problem in problems if problem]


def test_every_public_name_is_in_the_reference():
    reference = "\n".join(_prose(file) for file in documents() if file.is_relative_to("docs/reference"))
    assert not [name for name in PUBLIC if not re.search(rf"`(?:holdfast\.)?{name}\b", reference)]


def test_every_error_is_in_the_reference_with_its_code():
    reference = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    classes = [getattr(holdfast, name) for name in PUBLIC]
    codes = [kind.code for kind in classes if inspect.isclass(kind) and issubclass(kind, holdfast.HoldfastError)]
    assert not [code for code in codes if f"`{code}`" not in reference]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_class_and_function_has_a_docstring(name: str):
    thing = getattr(holdfast, name)
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return
    members = vars(thing).items() if inspect.isclass(thing) else ()
    public = {key: value for key, value in members if not key.startswith("_")}
    described = {key: value for key, value in public.items() if inspect.isroutine(value) or isinstance(value, property)}
    assert inspect.getdoc(thing)
    assert not [f"{name}.{key}" for key, value in described.items() if not inspect.getdoc(value)]
