"""Which rule applies where, and how nodes notice that theirs differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from holdfast.errors import ResolverFault
from holdfast.resolvers import (
    Conflict,
    DeleteWins,
    FirstWriterWins,
    LastWriterWins,
    Manual,
    MultiValue,
    Policy,
    Resolver,
    Take,
    UpdateWins,
)


@dataclass
class Custom:
    """A rule as an application writes it: no base class."""

    name: Any = "custom"
    version: Any = 1

    def resolve(self, conflict: Conflict) -> Take:
        return Take(0)


def test_the_last_writer_and_the_update_win_unless_said_otherwise() -> None:
    policy = Policy()
    assert policy.resolver_for("title") == LastWriterWins()
    assert policy.resolver_for(None) == UpdateWins()


def test_each_field_has_its_own_rule() -> None:
    policy = Policy(fields={"title": Manual()}, default=FirstWriterWins(), existence=DeleteWins())
    assert policy.resolver_for("title") == Manual()
    assert policy.resolver_for("other") == FirstWriterWins()
    assert policy.resolver_for(None) == DeleteWins()


def test_a_policy_does_not_change_with_the_mapping_it_was_made_from() -> None:
    fields: dict[str, Resolver] = {"title": Manual()}
    policy = Policy(fields=fields)
    fields["title"] = MultiValue()
    assert policy.resolver_for("title") == Manual()
    with pytest.raises(TypeError):
        policy.fields["title"] = MultiValue()  # type: ignore[index]


def test_equal_rules_have_equal_fingerprints_in_any_order() -> None:
    one = Policy(fields={"a": Manual(), "b": MultiValue()})
    two = Policy(fields={"b": MultiValue(), "a": Manual(), "c": LastWriterWins()})
    assert one.fingerprint() == two.fingerprint()
    assert len(one.fingerprint()) == 8


def test_every_difference_shows_in_the_fingerprint() -> None:
    policies = [
        Policy(),
        Policy(default=FirstWriterWins()),
        Policy(existence=DeleteWins()),
        Policy(fields={"a": Manual()}),
        Policy(fields={"b": Manual()}),
        Policy(fields={"a": MultiValue()}),
        Policy(fields={"a": Custom(version=1)}),
        Policy(fields={"a": Custom(version=2)}),
        Policy(fields={"a": LastWriterWins()}, default=FirstWriterWins()),
    ]
    assert len({policy.fingerprint() for policy in policies}) == len(policies)


@pytest.mark.parametrize("resolver", [Custom(name=""), Custom(name=None), Custom(version="1"), Custom(version=0)])
def test_a_resolver_without_identity_is_refused_at_once(resolver: Custom) -> None:
    with pytest.raises(ResolverFault):
        Policy(fields={"title": resolver})
