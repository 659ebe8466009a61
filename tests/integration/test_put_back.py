"""An edge's file that was put back in place with its witness, and two hubs that know two writes by one name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from holdfast.clocks import Dot, Timestamp, VersionVector
from holdfast.engine.cells import Life, Record, Sibling, Stamp
from holdfast.engine.join import ValueLeftOutError, join
from holdfast.engine.status import read_status

from ..nodes import assert_equal, meet, opened
from .side import Side, sync
from .side import assert_equal as assert_sides_equal


def copy_file(path, target):
    for suffix in ("", "-witness"):
        shutil.copy(f"{path}{suffix}", f"{target}{suffix}")


def values_of(documents, conflicts):
    """Every value that a node holds, those in conflict included."""
    found = {document.fields["v"] for document in documents}
    return found | {sibling.value for entry in conflicts for sibling in entry.conflict.siblings}


async def values(node):
    return values_of(await node["t"].query(), await node.conflicts(None))


@pytest.mark.parametrize("keys", ["XY", "XX"])
@pytest.mark.parametrize("lost", [1, 3])
async def test_no_value_is_lost_whichever_hub_comes_first(tmp_path, keys, lost):
    path, backup = tmp_path / "e.db", tmp_path / "backup"
    async with (
        opened(tmp_path / "A.db", space="s", name="A") as a,
        opened(tmp_path / "B.db", space="s", name="B") as b,
    ):
        async with opened(path, space="s") as e:
            await e["t"].put("base", {"v": "base"})
            await e["t"].put(keys[0], {"v": "first"})
            for hub in (a, b, a):
                await meet(e, hub)
        copy_file(path, backup)
        async with opened(path, seed="tuesday") as e:
            for n in range(lost):
                await e["t"].put(f"{keys[0]}{n or ''}", {"v": f"lost {n}"})
            await meet(e, a)
        copy_file(backup, path)
        async with opened(path, seed="wednesday") as e:
            assert e.renewed is None
            await e["t"].put(keys[1], {"v": "new"})
            await e["t"].put("second", {"v": "second"})
            await meet(e, b)
            assert e.renewed is None
            for _ in range(2):
                for hub in (a, b):
                    await meet(e, hub)
            assert e.renewed
            expected = {"base", "new", "second", *(f"lost {n}" for n in range(lost))}
            for node in (e, a, b):
                assert await values(node) - {"first"} == expected
            for name, hubs in (("A", (a, b)), ("B", (b, a))):
                async with opened(tmp_path / f"fresh{name}.db", space="s") as fresh:
                    await meet(fresh, hubs[0])
                    assert await values(fresh) - {"first"} == expected
                    await meet(fresh, hubs[1])
                    await meet(fresh, hubs[0])
            for _ in range(2):
                for hub in (a, b):
                    await meet(e, hub)
            await assert_equal(e, a, b)


def test_what_others_stored_under_the_old_names_stays_one_value_there():
    """Equal values under two names are no conflict."""
    e, a, b = Side("e"), Side("A"), Side("B")
    e.write("k", {"v": 0})
    for hub in (a, b, a):
        sync(e, hub)
    clone = e.copy("clone")
    clone.write("theirs", {"v": 1})
    sync(clone, a)
    e.write("ours", {"v": 2})
    e.update("k", v=3)
    sync(e, b)
    for hub in (a, b, a, b):
        sync(e, hub)
    assert_sides_equal(e, a, b)
    assert e.docs() == {"k": '{"v":3}', "ours": '{"v":2}', "theirs": '{"v":1}'}
    assert not e.connection.execute("SELECT count(*) FROM conflict").fetchone()[0]


E = "e" * 32


def test_a_value_left_out_under_a_dot_that_means_something_else_here_is_asked_for():
    ours, theirs = (Stamp(Dot(E, 1), Timestamp(clock)) for clock in (1, 2))

    def record(stamp, value):
        sibling = Sibling(stamp, 0, value)
        return Record({stamp.dot: Life(stamp, alive=True)}, {"v": {stamp.dot: sibling}})

    context = VersionVector({E: 1})
    with pytest.raises(ValueLeftOutError):
        join(record(ours, "1"), context, record(theirs, None), context)
    assert join(record(ours, "1"), context, record(ours, None), context) == record(ours, "1")


@pytest.mark.parametrize("plain", [True, False])
def test_two_writes_under_one_dot_are_both_kept_where_they_meet_by_a_third(plain):
    """B holds one of them, a node brings a record on top of the other: its old field is asked for whole."""
    e, a, b, third = Side("e"), Side("A"), Side("B"), Side("third")
    e.write("base", {"v": 0})
    if not plain:
        e.write("k", {"v": 0, "x": 0})
    for hub in (a, b, a):
        sync(e, hub)
    clone = e.copy("clone")
    for side, value in ((clone, "theirs"), (e, "ours")):
        side.seams.time.ms += 1000
        side.write("k", {"v": value}) if plain else side.update("k", v=value)
    sync(clone, a)
    sync(e, b)
    sync(third, a)
    third.update("k", w="by third")
    sync(third, b)
    ((cells,),) = ([b.connection.execute("SELECT cells FROM record WHERE key = 'k'").fetchone()],)
    assert b"theirs" in cells[0]
    assert b"ours" in cells[0]
    (blocker,) = read_status(b.connection, Path("B")).blockers
    assert "e wrote two values under one name in 1 conflicts" in blocker
    b.update("k", v="decided")
    assert read_status(b.connection, Path("B")).blockers == ()
