"""A bad resolver harms nobody: the conflict stays open and the total order decides."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.clocks import Dot, Timestamp
from holdfast.resolvers import (
    TOTAL_ORDER,
    Conflict,
    Defer,
    Delete,
    LastWriterWins,
    Leave,
    Manual,
    Resolver,
    Settlement,
    Take,
    Value,
    Version,
    encode,
    settle,
)
from holdfast.resolvers.settle import MESSAGE_CHARS_MAX

from .strategies import ACTORS, conflict_of, conflicts


@dataclass
class Scripted:
    """Answers what the test says, legal or not."""

    answer: Callable[[Conflict], Any]
    name: Any = "scripted"
    version: Any = 3

    def resolve(self, conflict: Conflict) -> Any:
        return self.answer(conflict)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class Nameless:
    def resolve(self, conflict: Conflict) -> Take:
        return Take(0)


def raising(error: BaseException) -> Callable[[Conflict], Any]:
    def answer(conflict: Conflict) -> Any:
        raise error

    return answer


def endless(conflict: Conflict) -> Any:
    return endless(conflict)


def mutating_then_raising(conflict: Conflict) -> Any:
    vandalise(conflict)
    raise LookupError("after the damage")


def vandalise(conflict: Conflict) -> None:
    """Change all that Python lets a resolver change."""
    for sibling in conflict.siblings:
        if isinstance(sibling.value, list | dict):
            sibling.value.clear()
        object.__setattr__(sibling, "text", "666")
        object.__setattr__(sibling, "deleted", not sibling.deleted)
    cast("dict[str, Any]", conflict.record).clear()
    object.__setattr__(conflict, "siblings", ())


def answering(answer: Any) -> Callable[[Conflict], Any]:
    return lambda conflict: answer


SELF_CONTAINED: list[Any] = []
SELF_CONTAINED.append(SELF_CONTAINED)

BAD_ANSWERS: dict[str, Callable[[Conflict], Any]] = {
    "raises": raising(ValueError("boom")),
    "raises-without-text": raising(Unspeakable()),
    "raises-group": raising(ExceptionGroup("several", [ValueError("boom")])),
    "recurses": endless,
    "mutates-and-raises": mutating_then_raising,
    "nan": answering(Value(math.nan)),
    "infinity": answering(Value([math.inf])),
    "key-not-text": answering(Value(cast("Any", {1: 2}))),
    "integer-too-large": answering(Value(2**63)),
    "lone-surrogate": answering(Value("\ud800")),
    "set": answering(Value(cast("Any", {1, 2}))),
    "tuple": answering(Value(cast("Any", (1, 2)))),
    "contains-itself": answering(Value(SELF_CONTAINED)),
    "index-too-large": lambda conflict: Take(len(conflict.siblings)),
    "index-negative": answering(Take(-1)),
    "index-bool": answering(Take(True)),
    "index-float": answering(Take(cast("Any", 0.0))),
    "index-none": answering(Take(cast("Any", None))),
    "reason-none": answering(Defer(cast("Any", None))),
    "nothing": answering(None),
    "text": answering("Take(0)"),
    "class-not-object": answering(Take),
}
BAD_RESOLVERS: dict[str, Any] = {
    **{name: Scripted(answer) for name, answer in BAD_ANSWERS.items()},
    "missing": None,
    "nameless": Nameless(),
    "name-empty": Scripted(answering(Take(0)), name=""),
    "name-too-long": Scripted(answering(Take(0)), name="x" * 65),
    "name-unprintable": Scripted(answering(Take(0)), name="\ud800"),
    "name-number": Scripted(answering(Take(0)), name=7),
    "version-bool": Scripted(answering(Take(0)), version=True),
    "version-zero": Scripted(answering(Take(0)), version=0),
    "not-a-resolver": object(),
}

every_bad_resolver = pytest.mark.parametrize("resolver", BAD_RESOLVERS.values(), ids=BAD_RESOLVERS)
PAIR = conflict_of(
    [
        Version(dot=Dot(ACTORS[0], 1), clock=Timestamp(1), value=["a"], text='["a"]'),
        Version(dot=Dot(ACTORS[1], 1), clock=Timestamp(2), value={"b": 1}, text='{"b":1}'),
    ]
)


def shown(settlement: Settlement) -> tuple[str, bool, int | None]:
    return settlement.text, settlement.deleted, settlement.winner


@every_bad_resolver
@settings(max_examples=25)
@given(conflict=conflicts() | conflicts(existence=True))
def test_a_bad_resolver_never_raises_and_falls_back(resolver: Any, conflict: Conflict) -> None:
    settlement = settle(resolver, conflict)
    assert settlement.open
    assert settlement.error
    assert settlement.error.encode()
    assert shown(settlement) == shown(settle(Manual(), conflict))


@every_bad_resolver
def test_the_rule_that_failed_is_named_if_it_has_a_name(resolver: Any) -> None:
    usable = isinstance(resolver, Scripted) and (resolver.name, resolver.version) == ("scripted", 3)
    assert settle(resolver, PAIR).rule == ("scripted/3" if usable and resolver.version is not True else TOTAL_ORDER)


def test_the_error_says_what_happened_and_where() -> None:
    assert settle(Scripted(raising(ValueError("boom"))), PAIR).error == "ValueError: boom"
    assert "tasks/t1/title" in str(settle(Scripted(answering(Take(2))), PAIR).error)
    assert "NoneType" in str(settle(Scripted(answering(None)), PAIR).error)
    assert settle(Scripted(raising(Unspeakable())), PAIR).error == "Unspeakable"


def test_a_foreign_text_is_cut_and_made_storable() -> None:
    error = settle(Scripted(raising(ValueError("\ud800" * 10_000))), PAIR).error
    reason = settle(Scripted(answering(Defer("\ud800" * 10_000))), PAIR).deferred
    assert error is not None
    assert reason is not None
    assert len(error.encode()) == len(reason.encode()) == MESSAGE_CHARS_MAX


def test_an_interrupt_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        settle(Scripted(raising(KeyboardInterrupt())), PAIR)


def test_a_resolver_cannot_end_the_program() -> None:
    settlement = settle(Scripted(raising(SystemExit(3))), PAIR)
    assert (settlement.open, settlement.error) == (True, "SystemExit: 3")


@given(conflicts())
def test_a_resolver_that_mutates_its_input_harms_nobody(conflict: Conflict) -> None:
    before = copy.deepcopy(conflict)

    def answer(private: Conflict) -> Take:
        vandalise(private)
        return Take(0)

    settlement = settle(Scripted(answer), conflict)
    assert conflict == before
    assert [sibling.value for sibling in conflict.siblings] == [sibling.value for sibling in before.siblings]
    assert shown(settlement) == (before.siblings[0].text, before.siblings[0].deleted, 0)
    assert settlement.value == before.siblings[0].value


def test_a_settled_value_is_shared_with_nobody() -> None:
    kept: list[Any] = ["new"]
    made = settle(Scripted(answering(Value(kept))), PAIR)
    kept.append("later")
    assert made.value == ["new"]
    taken = settle(LastWriterWins(), PAIR)
    cast("dict[str, Any]", taken.value).clear()
    assert settle(LastWriterWins(), PAIR).value == {"b": 1}


@given(conflicts(), st.text(max_size=20))
def test_a_deferred_conflict_stays_open_with_its_reason(conflict: Conflict, reason: str) -> None:
    settlement = settle(Scripted(answering(Defer(reason))), conflict)
    assert settlement.open
    assert settlement.error is None
    assert settlement.deferred is not None
    assert shown(settlement) == shown(settle(Scripted(answering(Leave())), conflict))


@given(conflicts() | conflicts(existence=True))
def test_a_delete_is_settled_without_a_winner(conflict: Conflict) -> None:
    settlement = settle(Scripted(answering(Delete())), conflict)
    assert shown(settlement) == ("", True, None)
    assert not settlement.open


def test_a_new_value_is_written_canonically() -> None:
    settlement = settle(Scripted(answering(Value({"b": 1.0, "a": [1]}))), PAIR)
    assert shown(settlement) == ('{"a":[1],"b":1.0}', False, None)
    assert (settlement.open, settlement.error, settlement.rule) == (False, None, "scripted/3")


def test_existence_takes_no_value() -> None:
    alive = Version(dot=Dot(ACTORS[0], 1), clock=Timestamp(1), value=None, text="")
    dead = Version(dot=Dot(ACTORS[1], 1), clock=Timestamp(2), value=None, text="", deleted=True)
    settlement = settle(Scripted(answering(Value(1))), conflict_of([alive, dead], existence=True))
    assert settlement.open
    assert shown(settlement) == ("", False, 0)


def test_the_resolver_sees_the_whole_conflict() -> None:
    seen: list[Conflict] = []
    base = Version(dot=Dot(ACTORS[2], 1), clock=Timestamp(0), value="base", text=encode("base"))
    conflict = conflict_of(list(PAIR.siblings), base=base)

    def answer(private: Conflict) -> Take:
        seen.append(private)
        return Take(1)

    resolver: Resolver = Scripted(answer)
    settle(resolver, conflict)
    assert seen == [conflict]
    assert seen[0].siblings[1].value == {"b": 1}
    assert seen[0].base is not None
    assert seen[0].base.value == "base"
