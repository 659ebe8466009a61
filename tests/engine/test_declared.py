"""What a file remembers of its declarations."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import AskOnDelete, Engine, LastWriterWins, Manual, MultiValue, Schema, Take
from holdfast.engine.declared import Absent, declaration, has_absent_rules, schema_from

TASKS = Schema(
    name="tasks",
    fields={"title": Manual(), "tags": MultiValue()},
    indexes=["site", ("site", "title")],
    on_delete=AskOnDelete(),
    version=3,
)


class Own:
    """An application's own rule."""

    name = "own/rule"
    version = 7

    def resolve(self, conflict):
        return Take(0)


def test_a_schema_that_is_read_back_is_the_one_that_was_declared():
    again = schema_from("tasks", declaration(TASKS))
    assert again.fingerprint() == TASKS.fingerprint()
    assert (again.columns, again.index_fields) == (TASKS.columns, TASKS.index_fields)
    assert not has_absent_rules(again.policy)


def test_a_rule_whose_code_is_not_here_is_named_and_not_guessed():
    schema = Schema(name="tasks", fields={"title": Own()})
    again = schema_from("tasks", declaration(schema))
    assert again.fields["title"] == Absent("own/rule", 7)
    assert again.policy.fingerprint() == schema.policy.fingerprint()
    assert has_absent_rules(again.policy)


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_program_that_declares_nothing_can_keep_what_was_declared(tmp_path: Path, read_only: bool):
    path = tmp_path / "a.db"
    async with Engine.open(path, schemas=[TASKS]) as engine:
        await engine["tasks"].put("t1", {"site": "north"})
    async with Engine.open(path, read_only=read_only, schemas=None) as engine:
        assert engine.schemas["tasks"].fingerprint() == TASKS.fingerprint()
        assert [found.key for found in await engine["tasks"].query("site = ?", "north")] == ["t1"]


async def test_what_an_application_declares_no_more_is_not_kept(tmp_path: Path):
    path = tmp_path / "a.db"
    other = Schema(name="other", default=LastWriterWins())
    async with Engine.open(path, schemas=[TASKS, other]):
        pass
    async with Engine.open(path, schemas=[other]):
        pass
    async with Engine.open(path, schemas=None) as engine:
        assert list(engine.schemas) == ["other"]
