"""The conflict inbox on the command line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast import Engine, Manual, Schema, Take

from .commands import holdfast, make_conflict, ok

TASKS = Schema(name="tasks", fields={"title": Manual()})


@dataclass(frozen=True)
class First:
    """An application's own rule."""

    name: str = "first"
    version: int = 3

    def resolve(self, conflict):
        return Take(0)


@pytest.fixture
def disputed(tmp_path: Path) -> Path:
    """A file with an open conflict about tasks/t1 title."""
    return make_conflict(tmp_path, TASKS)


def _only(path: Path, state: str = "open") -> dict:
    (item,) = ok("conflicts", path, "list", "--state", state, "--json").value
    return item


def test_open_conflicts_are_listed(disputed: Path):
    text = ok("conflicts", disputed).out
    assert '"A" | "B"' in text
    assert _only(disputed)["id"] in text
    assert ok("conflicts", disputed, "--json").value == [_only(disputed)]
    assert ok("conflicts", disputed, "--state", "settled", "--json").value == []
    ok("put", disputed, "other", "k", "{}")
    assert ok("conflicts", disputed, "list", "--collection", "other").err == "No open conflicts.\n"


def test_a_conflict_is_shown_with_the_numbers_to_take(disputed: Path):
    item = _only(disputed)
    assert ok("conflicts", disputed, "show", item["id"], "--json").value == item
    assert {sibling["value"]: sibling["take"] for sibling in item["siblings"]} == {"A": 0, "B": 1}
    assert (item["field"], item["kind"], item["rule"]) == ("title", "update-update", "manual/1")
    assert item["record"] == {"site": "north"}
    assert "manual/1" in ok("conflicts", disputed, "show", item["id"]).out


@pytest.mark.parametrize(
    ("decision", "fields"),
    [
        (("--take", "0"), {"title": "A", "site": "north"}),
        (("--value", '"C"'), {"title": "C", "site": "north"}),
        (("--value", "null"), {"title": None, "site": "north"}),
        (("--delete",), {"site": "north"}),
    ],
)
def test_a_decision_is_what_readers_see(disputed: Path, decision, fields):
    ok("conflicts", disputed, "resolve", _only(disputed)["id"], *decision, "--note", "phoned", "--author", "ann")
    assert ok("get", disputed, "tasks", "t1", "--json").value["fields"] == fields
    assert ok("conflicts", disputed, "--json").value == []
    decided = _only(disputed, "decided")
    assert decided["note"] == "phoned"
    assert ok("log", disputed, "--limit", 1, "--json").value[0]["author"] == "ann"
    lost = {entry["value"] for entry in ok("ledger", disputed, "--json").value}
    assert lost == {"A", "B"} - {fields.get("title")}
    assert '"B"' in ok("ledger", disputed).out


def test_a_conflict_can_be_reopened(disputed: Path):
    number = _only(disputed)["id"]
    ok("conflicts", disputed, "resolve", number, "--take", 1)
    assert "reopened" in ok("conflicts", disputed, "reopen", number).out
    assert ok("conflicts", disputed, "reopen", number, "--json").value["state"] == "open"


@pytest.mark.parametrize(
    "decision", [(), ("--take", "0", "--delete"), ("--value", "1", "--take", "0"), ("--value", "x")]
)
def test_exactly_one_decision_is_taken(disputed: Path, decision):
    refused = holdfast("conflicts", disputed, "resolve", _only(disputed)["id"], *decision, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage-error")


def test_what_is_not_there_cannot_be_decided(disputed: Path):
    for words in (("show", "0" * 16), ("reopen", "0" * 16), ("resolve", "0" * 16, "--take", "0")):
        refused = holdfast("conflicts", disputed, *words, "--json")
        assert (refused.code, refused.error["code"]) == (2, "no-such-conflict")
    refused = holdfast("conflicts", disputed, "resolve", _only(disputed)["id"], "--take", "7", "--json")
    assert (refused.code, refused.error["code"]) == (2, "invalid-decision")


def test_the_applications_rules_stay_in_force(disputed: Path):
    """The command declares no schema; an open conflict must not be settled by default rules because of that."""
    ok("put", disputed, "other", "k", "{}")
    assert _only(disputed)["rule"] == "manual/1"
    assert ok("verify", disputed, "--json").value["ok"]


def test_a_rule_that_is_not_here_leaves_conflicts_to_the_application(tmp_path: Path):
    own = Schema(name="tasks", fields={"title": First()})
    path = make_conflict(tmp_path, own)
    assert _only(path, "settled")["rule"] == "first/3"
    ok("update", path, "tasks", "t1", '{"site": "south"}')
    assert ok("verify", path, "--json").value["ok"]

    async def reopened() -> object:
        async with Engine.open(path, schemas=[own]) as engine:
            assert (await engine.verify()).ok
            return (await engine["tasks"].get("t1")).fields

    assert asyncio.run(reopened()) == {"title": "A", "site": "south"}
    assert _only(path, "settled")["rule"] == "first/3"


def test_a_file_behind_its_command_is_put_in_its_place(disputed: Path):
    for words in (("list", disputed), ("show", disputed, "0")):
        refused = holdfast("conflicts", *words, "--json")
        assert refused.error["message"] == f"FILE comes first: main conflicts {disputed} {words[0]}"
