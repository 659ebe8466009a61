"""Names of nodes, actors and spaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clocks import (
    NodeId,
    actor_bytes,
    actor_from_bytes,
    actor_of,
    incarnation_of,
    new_incarnation,
    new_node_id,
    new_space_id,
    node_of,
    parse_actor,
)
from holdfast.errors import InvalidName
from tests.strategies import any_actors

NODE = NodeId("00112233445566aa")
LIFE = "bbccddeeff001122"


def test_an_actor_is_its_node_and_its_incarnation() -> None:
    actor = actor_of(NODE, LIFE)
    assert actor == "00112233445566aabbccddeeff001122"
    assert node_of(actor) == NODE
    assert incarnation_of(actor) == LIFE


@given(any_actors())
def test_actor_bytes_round_trip(actor: str) -> None:
    raw = actor_bytes(parse_actor(actor))
    assert len(raw) == 16
    assert actor_from_bytes(raw) == actor


@given(any_actors(), any_actors())
def test_actors_sort_as_text_as_their_bytes_do(one: str, other: str) -> None:
    assert (one < other) == (actor_bytes(parse_actor(one)) < actor_bytes(parse_actor(other)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 31,
        "0" * 33,
        "A" * 32,
        "g" * 32,
        "0" * 32 + "\n",
        " " + "0" * 31,
        "\N{ARABIC-INDIC DIGIT ONE}" * 32,
    ],
)
def test_text_with_another_spelling_is_no_actor(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_actor(text)


@pytest.mark.parametrize(
    ("node", "incarnation"), [("0" * 15, "0" * 17), ("0" * 17, "0" * 15), ("0" * 16, "F" * 16), ("", "")]
)
def test_parts_of_another_length_or_spelling_make_no_actor(node: str, incarnation: str) -> None:
    with pytest.raises(InvalidName):
        actor_of(NodeId(node), incarnation)


@given(st.binary(max_size=40).filter(lambda raw: len(raw) != 16))
def test_only_sixteen_bytes_are_an_actor(raw: bytes) -> None:
    with pytest.raises(InvalidName):
        actor_from_bytes(raw)


def test_new_names_are_the_hex_of_the_entropy_asked_for() -> None:
    def entropy(size: int) -> bytes:
        return bytes(range(0xF0, 0xF0 + size))

    assert new_node_id(entropy) == "f0f1f2f3f4f5f6f7"
    assert new_incarnation(entropy) == "f0f1f2f3f4f5f6f7"
    assert new_space_id(entropy) == "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"


@pytest.mark.parametrize("draw", [new_node_id, new_incarnation, new_space_id])
@pytest.mark.parametrize("difference", [-1, 1])
def test_entropy_of_another_length_makes_no_name(draw, difference: int) -> None:
    with pytest.raises(ValueError, match="entropy source"):
        draw(lambda size: bytes(size + difference))
