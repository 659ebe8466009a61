"""Declared schemas in a file: indexes that follow the declaration, rules that are read anew, nothing that is lost."""

from __future__ import annotations

import sqlite3

import pytest

from holdfast import AskOnDelete, DeleteWins, FirstWriterWins, LastWriterWins, Manual, MultiValue, Schema, UpdateWins
from holdfast.engine.schema import COLUMNS_MAX, policies_fingerprint, schemas_fingerprint
from holdfast.errors import InvalidName, InvalidQuery, InvalidSchema

from ..nodes import heal, meet, opened, raw


def indexes(path) -> set[str]:
    with raw(path) as connection:
        return {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")
            if name.startswith("field_")
        }


async def declare(path, *schemas):
    async with opened(path, schemas=schemas) as node:
        assert (await node.verify()).ok
    return indexes(path)


async def test_indexes_follow_the_declaration(tmp_path):
    path = tmp_path / "n.db"
    assert await declare(path, Schema(name="t", indexes=["a", ("a", "b")])) == {"field_1_a", "field_1_a,b"}
    assert await declare(path, Schema(name="t", indexes=["b"])) == {"field_1_b"}
    assert await declare(path, Schema(name="t", indexes=["b"]), Schema(name="u", indexes=["b"])) == {
        "field_1_b",
        "field_2_b",
    }
    # A program that declares nothing (the command line, say) takes no index away from one that does.
    assert await declare(path) == {"field_1_b", "field_2_b"}
    assert await declare(path, Schema(name="t")) == {"field_2_b"}


async def test_an_index_that_comes_later_finds_the_records_that_were_there(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put_many((f"k{n}", {"site": n % 2}) for n in range(10))
    async with opened(tmp_path / "n.db", schemas=[Schema(name="t", indexes=["site"])]) as node:
        assert len(await node["t"].query("site = 1")) == 5
        assert "field_1_site" in " ".join(await node["t"].explain("site = 1"))


async def test_collections_with_many_numbers_do_not_share_index_names(tmp_path):
    schemas = [Schema(name=f"c{n}", indexes=["a"]) for n in range(12)]
    await declare(tmp_path / "n.db", *schemas)
    left = await declare(tmp_path / "n.db", Schema(name="c0"))
    assert left == {f"field_{n}_a" for n in range(2, 13)}


async def test_fields_that_no_schema_names_are_kept_and_passed_on(tmp_path):
    schema = Schema(name="t", fields={"known": Manual()}, indexes=["known"])
    async with (
        opened(tmp_path / "a.db", space="s") as a,
        opened(tmp_path / "b.db", space="s", schemas=[schema]) as b,
        opened(tmp_path / "c.db", space="s") as c,
    ):
        await a["t"].put("k", {"known": 1, "unknown": {"deep": [1]}, "Ünïcode field": 2, "x'y\"z": 3})
        await meet(a, b)
        await b["t"].update("k", {"known": 2})
        await meet(c, b)
        assert (await c["t"].get("k")).fields == {
            "known": 2,
            "unknown": {"deep": [1]},
            "Ünïcode field": 2,
            "x'y\"z": 3,
        }


@pytest.mark.parametrize(
    ("rules", "shown", "state"),
    [
        (LastWriterWins(), "b", "settled"),
        (FirstWriterWins(), "a", "settled"),
        (MultiValue(), ["a", "b"], "settled"),
        (Manual(), "b", "open"),
    ],
)
async def test_rules_that_change_show_old_conflicts_anew(tmp_path, rules, shown, state):
    path = tmp_path / "a.db"
    async with opened(path, space="s") as a, opened(tmp_path / "hub.db", space="s") as hub:
        await a["t"].put("k", {"v": 0, "w": 1})
        await heal(hub, a)
        await a["t"].update("k", {"v": "a"})
        await hub["t"].update("k", {"v": "b"})
        await heal(hub, a)
        before = await a.status()
    async with opened(path, schemas=[Schema(name="t", fields={"v": rules})]) as a:
        document = await a["t"].get("k")
        assert (document.fields, document.conflicted) == ({"v": shown, "w": 1}, True)
        (conflict,) = await a.conflicts(None)
        assert conflict.state == state
        after = await a.status()
        # No cell, no vector and no feed position changed: nothing of this travels.
        assert (after.digest, after.lsn, after.vector) == (before.digest, before.lsn, before.vector)
        assert (await a.verify()).problems == ()
    async with opened(path) as a:
        assert (await a["t"].get("k")).fields["v"] == "b"


async def test_the_rule_for_deletes_is_read_anew_too(tmp_path):
    path = tmp_path / "a.db"
    async with opened(path, space="s") as a, opened(tmp_path / "hub.db", space="s") as hub:
        await a["t"].put("k", {"v": 0})
        await heal(hub, a)
        await a["t"].delete("k")
        await hub["t"].update("k", {"v": 1})
        await heal(hub, a)
        assert (await a["t"].get("k")).fields == {"v": 1}
    async with opened(path, schemas=[Schema(name="t", on_delete=DeleteWins())]) as a:
        assert await a["t"].get("k") is None
        assert await a["t"].count() == 0
        assert (await a.verify()).ok
    async with opened(path, schemas=[Schema(name="t", on_delete=UpdateWins())]) as a:
        assert (await a["t"].get("k")).fields == {"v": 1}


@pytest.mark.parametrize("name", ["a b", "1st", "x'y", 'x"y', "a.b", "", "x" * 65, "ä"])
def test_a_declared_field_must_be_able_to_be_a_column(name):
    with pytest.raises(InvalidSchema):
        Schema(name="t", indexes=[name])
    with pytest.raises(InvalidSchema):
        Schema(name="t", fields={name: Manual()})


def _refused(declare):
    with pytest.raises(InvalidSchema) as caught:
        declare()
    assert caught.value.subject.startswith("t")
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fields": {"a": Manual(), "A": Manual()}}, "'a' and 'A'"),
        ({"indexes": ["a", "A"]}, "'a' and 'A'"),
        ({"fields": {"a": Manual()}, "indexes": [("b", "A")]}, "'a' and 'A'"),
        ({"fields": {"key": Manual()}}, "'key'"),
        ({"indexes": ["Doc"]}, "'Doc'"),
        ({"indexes": "site"}, "indexes=['site'"),
        ({"indexes": None}, "not a sequence"),
        ({"indexes": [()]}, "no index"),
        ({"indexes": [5]}, "no index"),
        ({"indexes": [("a", 5)]}, "cannot be a column"),
        ({"indexes": [f"f{n}" for n in range(COLUMNS_MAX + 1)]}, "at most"),
        ({"fields": ["a"]}, "not a dict"),
        ({"fields": {5: Manual()}}, "cannot be a column"),
        ({"fields": {"a": 5}}, "no resolver"),
        ({"fields": {"a": LastWriterWins}}, "LastWriterWins()"),
        ({"fields": {"a": UpdateWins()}}, "existence"),
        ({"default": AskOnDelete()}, "existence"),
        ({"default": None}, "no resolver"),
        ({"on_delete": LastWriterWins()}, "fields"),
        ({"on_delete": Manual}, "a class"),
        ({"version": "x"}, "version"),
        ({"version": True}, "version"),
        ({"version": 2**63}, "version"),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_a_declaration_that_says_nothing_clear_is_refused(options, words):
    assert words in _refused(lambda: Schema(name="t", **options))


async def test_a_collection_is_declared_once(tmp_path):
    two = [Schema(name="t"), Schema(name="t", indexes=["a"])]
    with pytest.raises(InvalidSchema, match=r"two schemas.*\(t\)"):
        async with opened(tmp_path / "n.db", schemas=two):
            pass
    for wrong in (5, "t", Schema(name="t"), ["t"]):
        with pytest.raises(InvalidSchema):
            async with opened(tmp_path / "n.db", schemas=wrong):
                pass
    assert not (tmp_path / "n.db").exists()


def test_what_was_checked_stays():
    fields, indexes = {"a": Manual()}, ["a"]
    schema = Schema(name="t", fields=fields, indexes=indexes)
    fields["A"], indexes[0] = Manual(), "key"
    assert schema.columns == ("a",)


async def test_fields_may_have_names_that_sql_or_the_file_uses(tmp_path):
    names = ["select", "id", "rowid", "record", "collection", "live", "lsn"]
    schema = Schema(name="t", fields={"select": Manual()}, indexes=[*names, ("id", "lsn")])
    async with opened(tmp_path / "n.db", schemas=[schema]) as node:
        await node["t"].put("a", dict.fromkeys(names, 50))
        await node["t"].put("b", dict.fromkeys(names, 1))
        for name in names:
            found = await node["t"].query(f'"{name}" = ?', 50)
            assert [document.key for document in found] == ["a"], name
            assert f"field_1_{name}" in " ".join(await node["t"].explain(f'"{name}" = ?', 50))
        assert (await node.verify()).ok


async def test_the_number_of_a_record_is_no_field(tmp_path):
    async with opened(tmp_path / "n.db") as node:
        await node["t"].put("a", {"id": 7})
        with pytest.raises(InvalidQuery, match="id"):
            await node["t"].query("id = 7")


async def test_indexes_whose_fields_read_alike_are_two(tmp_path):
    path = tmp_path / "n.db"
    assert await declare(path, Schema(name="t", indexes=["a__b", ("a", "b")])) == {"field_1_a__b", "field_1_a,b"}


def test_a_schema_needs_a_good_name():
    with pytest.raises(InvalidName):
        Schema(name="")


def test_equal_declarations_have_equal_fingerprints_and_others_do_not():
    def one(**options):
        return Schema(name="t", **options)

    base = one(fields={"a": Manual(), "b": LastWriterWins()}, indexes=["a"])
    same = one(fields={"b": LastWriterWins(), "a": Manual()}, indexes=["a"])
    others = [
        one(),
        one(fields={"a": Manual(), "b": LastWriterWins()}, indexes=["b"]),
        one(fields={"a": Manual(), "b": FirstWriterWins()}, indexes=["a"]),
        one(fields={"a": Manual(), "b": LastWriterWins()}, indexes=["a"], version=2),
        one(fields={"a": Manual(), "b": LastWriterWins()}, indexes=["a"], on_delete=DeleteWins()),
        one(fields={"a": Manual(), "b": LastWriterWins()}, indexes=["a"], default=FirstWriterWins()),
        Schema(name="u", fields={"a": Manual(), "b": LastWriterWins()}, indexes=["a"]),
    ]
    assert base.fingerprint() == same.fingerprint()
    assert len({schemas_fingerprint([schema]) for schema in [base, *others]}) == len(others) + 1
    pair = [base, Schema(name="u")]
    assert schemas_fingerprint(pair) == schemas_fingerprint(pair[::-1])
    assert policies_fingerprint(pair) == policies_fingerprint(pair[::-1])
    assert schemas_fingerprint([]) == policies_fingerprint([]) == b""


async def test_a_sync_says_that_the_peer_declares_otherwise(tmp_path):
    async with (
        opened(tmp_path / "a.db", space="s", schemas=[Schema(name="t")]) as a,
        opened(tmp_path / "b.db", space="s", schemas=[Schema(name="t", fields={"x": Manual()})]) as b,
    ):
        blockers = " ".join((await meet(a, b)).blockers)
        assert "other schemas" in blockers
        assert "other rules" in blockers


async def test_the_declaration_survives_a_rollback(tmp_path):
    """A schema that SQLite cannot build an index for leaves the file as it was."""
    path = tmp_path / "n.db"
    await declare(path, Schema(name="t", indexes=["a"]))
    with raw(path) as connection:
        connection.execute("CREATE TABLE field_1_b (x)")  # an index cannot have this name now
    with pytest.raises(Exception, match="field_1_b"):
        await declare(path, Schema(name="t", indexes=["b"]))
    assert indexes(path) == {"field_1_a"}
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
