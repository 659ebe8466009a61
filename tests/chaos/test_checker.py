"""The checker finds what it is there for: each kind of violation, planted into a history or a file that was right."""

from __future__ import annotations

import ast
import inspect
from copy import deepcopy

import pytest

from . import checker, writes
from .checker import File, judge
from .history import History

A, B = "a" * 32, "b" * 32


def history(tmp_path):
    """Two nodes: a puts k, b updates it having seen that, both then update it at once; b deletes l."""
    tmp_path.mkdir(exist_ok=True)
    found = History(tmp_path / "history.jsonl")
    for node, actor in (("a", A), ("b", B)):
        found.record(node, "started", actor=actor, seq=0, renewed=None)
    write(found, "a", "put", "k", "a1", [], f"{A}.1", 10)
    write(found, "b", "update", "k", "b1", [f"{A}.1"], f"{B}.1", 11)
    write(found, "b", "put", "l", "b2", [], f"{B}.2", 12)
    write(found, "b", "delete", "l", None, [f"{B}.2"], f"{B}.3", 13)
    write(found, "a", "update", "k", "a2", [f"{B}.1"], f"{A}.2", 20)
    write(found, "b", "update", "k", "b3", [f"{B}.1"], f"{B}.4", 19)
    found.record("a", "read", key="k", frontier=[f"{A}.2"])
    found.record("a", "read", key="k", frontier=[f"{A}.2", f"{B}.4"])
    for node in ("a", "b"):
        found.record(node, "ended")
    return found


def write(found, node, *what):
    op, key, value, seen, dot, clock = what
    found.record(node, "trying", ops=[op], keys=[key], values=[value], frontiers=[seen])
    found.record(node, "acknowledged", writes=[{"dot": dot, "clock": clock}])


def files():
    listed = {("k", "v"): {(A, 2), (B, 4)}}
    right = File("hub", digest="d", vector={A: 2, B: 4}, values={"k": "a2"}, listed=listed)
    other = deepcopy(right)
    other.name = "a"
    return [right, other]


def findings(found, held):
    return "\n".join(judge(found, held).findings)


def test_a_run_that_is_right_has_no_findings(tmp_path):
    verdict = judge(history(tmp_path), files())
    assert verdict.findings == []
    assert verdict.fates == {"superseded": 2, "deleted": 1, "in conflict": 2, "that delete": 1}
    assert judge(History.kept(tmp_path / "history.jsonl"), files()).findings == []


HARM = [
    (lambda file: file.vector.update({B: 3}), "lost: write"),
    (lambda file: file.vector.update({"c" * 32: 1}), "different vector"),
    (lambda file: file.values.pop("k"), "lost: it should be there"),
    (lambda file: file.values.update(k="b3"), "shows 'b3', not 'a2'"),
    (lambda file: file.values.update(k="b3"), "different values"),
    (lambda file: file.values.update(k="a1"), "shows 'a1', not 'a2'"),
    (lambda file: file.values.update(l="b2"), "it was deleted, and is there"),
    (lambda file: file.values.update(m="x"), "nobody wrote it"),
    (lambda file: file.listed.clear(), "lists the siblings []"),
    (lambda file: file.listed.clear(), "different listed"),
    (lambda file: file.listed["k", "v"].add((A, 1)), "lists the siblings"),
    (lambda file: file.ledger.add((A, 9)), "which nobody wrote"),
    (lambda file: setattr(file, "digest", "e"), "different digest"),
    (lambda file: file.problems.append("torn"), "torn"),
]


@pytest.mark.parametrize(("harm", "finding"), HARM)
def test_a_file_that_is_wrong_is_found(tmp_path, harm, finding):
    held = files()
    harm(held[1])
    assert finding in findings(history(tmp_path), held)


def tried(keys, frontiers):
    count = len(keys)
    return {"ops": ["put"] * count, "keys": keys, "values": keys, "frontiers": frontiers}


EVENTS = [
    ([("a", "started", {"actor": A, "seq": 1, "renewed": None})], "it had acknowledged 2 writes and starts with 1"),
    ([("a", "started", {"actor": B, "seq": 0, "renewed": None})], "a false new identity between its lives"),
    ([("a", "started", {"actor": A, "seq": 2, "renewed": "a copy"})], "a false new identity: a copy"),
    ([("a", "read", {"key": "k", "frontier": [f"{B}.1"]})], "it read a state without"),
    ([("a", "trying", tried(["k"], [[f"{B}.1"]]))], "it read a state without"),
    ([("b", "read", {"key": "l", "frontier": []})], "it read a state without"),
    ([("a", "read", {"key": "k", "frontier": [f"{B}.9"]})], "it read writes that nobody made"),
    (
        [
            ("a", "trying", tried(["n"], [[]])),
            ("a", "acknowledged", {"writes": [{"dot": f"{A}.2", "clock": 30}]}),
        ],
        "was given twice",
    ),
    (
        [
            ("a", "started", {"actor": A, "seq": 2, "renewed": None}),
            ("a", "trying", tried(["x", "y"], [[], []])),
            ("a", "ended", {}),
            ("a", "started", {"actor": A, "seq": 3, "renewed": None}),
        ],
        "a transaction was torn by a kill",
    ),
]


@pytest.mark.parametrize(("events", "finding"), EVENTS)
def test_an_event_that_must_not_be_is_found(tmp_path, events, finding):
    found = history(tmp_path)
    for node, say, what in events:
        found.record(node, say, **what)
    assert finding in findings(found, files())


def in_doubt(found):
    """A write to k, over all that was there, whose process was killed before it said more; but it is there."""
    found.record("a", "started", actor=A, seq=2, renewed=None)
    found.record("a", "trying", ops=["update"], keys=["k"], values=["a3"], frontiers=[[f"{A}.2", f"{B}.4"]])
    found.record("a", "ended")
    held = files()
    for file in held:
        file.vector[A] = 3
        file.listed.clear()
        file.values["k"] = "a3"
    return held


def test_a_superseded_value_is_found_where_no_clock_says_who_wins(tmp_path):
    found = history(tmp_path)
    held = in_doubt(found)
    assert findings(found, held) == ""
    held[1].values["k"] = "a2"
    assert "shows 'a2', which is superseded" in findings(found, held)


def test_every_kind_of_finding_is_planted_somewhere(tmp_path):
    """What the checker can say stands in its source: each sentence must have been said about something planted."""
    texts = []
    for number, (harm, _) in enumerate(HARM):
        held = files()
        harm(held[1])
        texts.append(findings(history(tmp_path / f"harm{number}"), held))
    for number, (events, _) in enumerate(EVENTS):
        found = history(tmp_path / f"event{number}")
        for node, say, what in events:
            found.record(node, say, **what)
        texts.append(findings(found, files()))
    found = history(tmp_path / "doubt")
    held = in_doubt(found)
    held[1].values["k"] = "a2"
    texts.append(findings(found, held))
    said = "\n".join(texts)
    sentences = [*sentences_of(checker.judge), *sentences_of(writes.Writes)]
    assert len(sentences) >= 16
    assert [sentence for sentence in sentences if sentence not in said] == []


def sentences_of(where):
    """The longest fixed part of each text that is made in the module of a function or class."""
    for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(where)))):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            if parts and any(letter.isalpha() for letter in max(parts, key=len)) and "?mode=" not in "".join(parts):
                yield max(parts, key=len)


@pytest.mark.parametrize(("seq", "torn"), [(2, False), (3, True), (4, False)])
def test_a_transaction_in_doubt_is_there_whole_or_not_at_all(tmp_path, seq, torn):
    found = history(tmp_path)
    found.record("a", "started", actor=A, seq=2, renewed=None)
    two = {"ops": ["put"] * 2, "keys": ["x", "y"], "values": ["x", "y"], "frontiers": [[], []]}
    found.record("a", "trying", **two)
    found.record("a", "ended")
    held = files()
    for file in held:
        file.vector[A] = seq
        file.values |= {"x": "x", "y": "y"} if seq == 4 else {}
    assert ("torn by a kill" in findings(found, held)) == torn
    found.record("a", "started", actor=A, seq=seq, renewed=None)
    assert ("torn by a kill" in findings(found, held)) == torn


def test_a_refused_write_never_happened(tmp_path):
    found = history(tmp_path)
    found.record("a", "started", actor=A, seq=2, renewed=None)
    found.record("a", "trying", ops=["put"], keys=["z"], values=["z"], frontiers=[[]])
    found.record("a", "refused", order="put", code="disk-full", message="full")
    found.record("a", "ended")
    assert findings(found, files()) == ""


@pytest.mark.parametrize("there", [False, True])
def test_a_write_whose_commit_could_not_be_made_certain_may_be_there_or_not(tmp_path, there):
    found = history(tmp_path)
    found.record("a", "started", actor=A, seq=2, renewed=None)
    found.record("a", "trying", ops=["put"], keys=["z"], values=["z"], frontiers=[[]])
    found.record("a", "refused", order="put", code="file-unreadable", message="EIO")
    found.record("a", "ended")
    held = files()
    for file in held:
        file.vector[A] = 3 if there else 2
        file.values |= {"z": "z"} if there else {}
    assert findings(found, held) == ""
    held[1].values = {**held[1].values, "z": "other"}
    assert findings(found, held)
