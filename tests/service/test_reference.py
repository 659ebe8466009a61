"""docs/reference/cli.md describes the command tree as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from holdfast.service.cli import main
from holdfast.service.program import EXIT_CODES

from ..sources import ROOT

TEXT = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^#+ `(holdfast [^`]+)`\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL))


def _contexts(context: click.Context) -> Iterator[click.Context]:
    for name, sub in context.command.commands.items():
        inner = click.Context(sub, info_name=name, parent=context)
        yield inner
        if isinstance(sub, click.Group):
            yield from _contexts(inner)


CONTEXTS = list(_contexts(click.Context(main, info_name="holdfast")))


def test_there_is_a_section_for_every_command_and_no_other():
    assert sorted(SECTIONS) == sorted(context.command_path for context in CONTEXTS)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.command_path)
def test_a_section_has_the_usage_the_help_and_every_option(context: click.Context):
    section = SECTIONS[context.command_path]
    assert f"`{' '.join(context.get_usage().removeprefix('Usage: ').split())}`" in section
    assert " ".join(context.command.help.split("\n\n")[0].split()) in section
    options = [param for param in context.command.params if isinstance(param, click.Option)]
    records = [option.get_help_record(context)[0].replace("|", "\\|") for option in options]
    assert not [record for record in records if record != "--json" and f"`{record}`" not in section]
    named = set(re.findall(r"^\| `(-[^` ]*)", section, re.MULTILINE))
    assert named == {record.split()[0] for record in records} - {"--json"}


def test_every_exit_code_is_described():
    assert not [code for code, meaning in EXIT_CODES if f"| {code} | {meaning} |" not in TEXT]
