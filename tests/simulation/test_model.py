"""The reference model: set algebra over operations, whatever the order, and projections of its own."""

from __future__ import annotations

import itertools
import random

import pytest

from holdfast import AskOnDelete, DeleteWins, FirstWriterWins, LastWriterWins, Manual, MultiValue, UpdateWins
from holdfast.clocks import Actor, Timestamp
from holdfast.engine.cells import BIRTH, DECISION, Life, Record, Sibling, Stamp
from holdfast.engine.projection import project as engine_project
from holdfast.resolvers import Policy
from holdfast.simulation.observed.image import Name, Value
from holdfast.simulation.observed.model import Model
from holdfast.simulation.observed.operation import Wrote
from tests.engine.oracle import Operation, Oracle
from tests.sources import ROOT

from .watched import Longest

PLACE = ("tasks", "k")
A, B = Actor("a" * 32), Actor("b" * 32)
LATER_TAG = 7


def name(actor, seq):
    return Name(actor, seq, 100 * seq)


def wrote(actor, seq, seen=(), *, put=False, removed=(), alive=True, **fields):
    return Wrote(
        node=actor[0],
        name=name(actor, seq),
        place=PLACE,
        seen=frozenset(seen),
        writes={field: Value(0, text) for field, text in fields.items()},
        clears=None if put else frozenset(removed),
        alive=alive,
        birth=not seen,
        reborn=not seen,
    )


def shown(model, *names):
    return model.expected(PLACE, model.known(names))


def test_the_model_is_small_and_knows_no_vector_context_or_join():
    text = (ROOT / "simulation" / "observed" / "model.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    code = text.split('"""', 2)[2]
    assert not [word for word in ("VersionVector", "holdfast.engine", "join(", "extra") if word in code]


def test_what_a_visible_operation_had_seen_stands_behind_it():
    model = Model()
    first, second = wrote(A, 1, put=True, f="1"), wrote(A, 2, [name(A, 1)], g="2")
    for operation in (first, second):
        model.add(operation)
    assert model.known([second.name]) == model.bits([first.name, second.name])
    assert shown(model, second.name).doc == '{"f":1,"g":2}'
    assert shown(model, second.name).existence == {second.name: True}


def test_concurrent_writes_are_siblings_and_a_write_that_saw_both_supersedes_them():
    model = Model()
    for operation in (wrote(A, 1, put=True, f="1"), wrote(B, 1, put=True, f="2")):
        model.add(operation)
    both = shown(model, name(A, 1), name(B, 1))
    assert both.cells["f"].keys() == {name(A, 1), name(B, 1)}
    assert [(c.field, c.kind) for c in both.conflicts] == [("f", "create-create")]
    model.add(wrote(B, 2, [name(A, 1), name(B, 1)], f="3"))
    assert shown(model, name(B, 2)).doc == '{"f":3}'
    assert not shown(model, name(B, 2)).conflicts


def test_a_delete_leaves_the_cells_so_that_a_concurrent_update_revives_the_record_whole():
    model = Model()
    model.add(wrote(A, 1, put=True, f="1", g="1"))
    model.add(wrote(A, 2, [name(A, 1)], alive=False))
    model.add(wrote(B, 1, [name(A, 1)], f="2"))
    revived = shown(model, name(A, 2), name(B, 1))
    assert (revived.doc, revived.live) == ('{"f":2,"g":1}', True)
    assert [c.kind for c in revived.conflicts] == ["update-delete"]
    assert not shown(model, name(A, 2)).live


def test_a_decision_on_an_earlier_read_supersedes_only_what_it_read():
    model = Model()
    model.add(wrote(A, 1, put=True, f="1"))
    model.add(wrote(B, 1, put=True, f="2"))
    model.add(wrote(B, 2, [name(B, 1)], f="3"))
    assert shown(model, name(A, 1), name(B, 2)).cells["f"].keys() == {name(A, 1), name(B, 2)}


@pytest.mark.parametrize("seed", range(40))
def test_it_says_what_the_oracle_of_the_engine_says(seed):
    """Two models, written apart: random operations, each on a random part of what there is."""
    rng = random.Random(seed)
    model, oracle = Model(), Oracle()
    oracle.known["m"] = {}
    pasts: list[int] = []
    for seq in range(1, 12):
        actor = rng.choice((A, B))
        tips = rng.sample(range(len(pasts)), rng.randint(0, min(3, len(pasts))))
        known = 0
        for tip in tips:
            known |= pasts[tip]
        seen = oracle.expected(known)
        visible = {*seen.existence, *(dot for cell in seen.cells.values() for dot in cell)}
        names = {field: rng.choice(("1", "2", b"typed")) for field in rng.sample("fgh", rng.randint(0, 2))}
        alive, removed = rng.random() < 0.8, rng.choice((None, frozenset(), frozenset("f")))
        if not alive:
            names, removed = {}, frozenset()
        stamp = Name(actor, seq, 100 * rng.randint(1, 5))
        bit = oracle.write(
            "m",
            Operation(
                dot=stamp.dot,
                place=PLACE,
                clock=stamp.clock,
                read=known,
                alive=alive,
                birth=not known,
                reborn=not seen.live,
                writes=names,
                clears=removed,
            ),
        )
        pasts.append(known | bit)
        model.add(
            Wrote(
                node="m",
                name=stamp,
                place=PLACE,
                seen=frozenset(o.name for o in model.operations if o.name.dot in visible),
                writes={f: Value(LATER_TAG if isinstance(v, bytes) else 0, v) for f, v in names.items()},
                clears=removed,
                alive=alive,
                birth=not known,
                reborn=not seen.live,
            )
        )
    for _ in range(20):
        known = 0
        for tip in rng.sample(range(len(pasts)), rng.randint(1, 4)):
            known |= pasts[tip]
        theirs, mine = oracle.expected(known), model.expected(PLACE, known)
        assert {n.dot: alive for n, alive in mine.existence.items()} == theirs.existence
        cells = {f: {n.dot: value.body for n, value in cell.items()} for f, cell in mine.cells.items()}
        assert cells == theirs.cells
        assert (mine.doc, mine.live) == (theirs.doc, theirs.live)
        assert mine.shown.unreadable == theirs.unreadable
        conflicts = {(c.field, c.kind, frozenset(n.dot for n in c.names)) for c in mine.conflicts}
        assert conflicts == theirs.conflicts


def test_the_set_decides_and_not_the_order():
    operations = [wrote(A, 1, put=True, f="1"), wrote(B, 1, put=True, f="2", g="1"), wrote(B, 2, alive=False)]
    results = set()
    for order in itertools.permutations(operations):
        model = Model()
        for operation in order:
            model.add(operation)
        expected = shown(model, *(operation.name for operation in operations))
        results.add((expected.doc, expected.live, str(sorted(expected.existence.items()))))
    assert len(results) == 1


FIELD_RULES = [LastWriterWins(), FirstWriterWins(), MultiValue(), Manual(), Longest()]
LIFE_RULES = [UpdateWins(), DeleteWins(), AskOnDelete(), LastWriterWins(), FirstWriterWins(), Manual()]


@pytest.mark.parametrize("rule", FIELD_RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("on_delete", LIFE_RULES, ids=lambda rule: rule.name)
def test_projections_are_those_of_the_engine(rule, on_delete):
    rng = random.Random(f"{rule.name} {on_delete.name}")
    policy = Policy(default=rule, existence=on_delete)
    for _ in range(60):
        model = Model({"tasks": policy})
        for seq in range(1, rng.randint(2, 5)):
            fields = {field: rng.choice(("1", "2", '"ü"', "[1]", "null")) for field in rng.sample("fgh", 2)}
            stamp = Name(rng.choice((A, B)), seq, 100 * rng.randint(1, 3))
            alive, birth, decision = rng.random() < 0.7, rng.random() < 0.5, rng.random() < 0.3
            values = {field: Value(0, text) for field, text in fields.items() if alive}
            model.add(
                Wrote(
                    node="m",
                    name=stamp,
                    place=PLACE,
                    seen=frozenset(),
                    writes=values,
                    alive=alive,
                    birth=birth,
                    decision=decision,
                )
            )
        expected = model.expected(PLACE, model.all)
        seen = engine_project(*PLACE, _record(model, expected), policy)
        assert (seen.doc, seen.live) == (expected.doc, expected.live)
        theirs = [(c.id, c.field, c.kind.value, s.open) for c, s in seen.settled]
        assert [(c.id, c.field, c.kind, c.open) for c in expected.conflicts] == theirs


def _record(model, expected):
    def stamp(at):
        operation = model.operation(at)
        return Stamp(at.dot, Timestamp(at.clock), BIRTH * operation.birth | DECISION * operation.decision)

    return Record(
        {at.dot: Life(stamp(at), alive) for at, alive in expected.existence.items()},
        {
            field: {at.dot: Sibling(stamp(at), value.tag, value.body) for at, value in cell.items()}
            for field, cell in expected.cells.items()
        },
    )
