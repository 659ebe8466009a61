"""Vectors that were referred to once do not stay: the file's metadata does not grow with the number of sessions."""

from __future__ import annotations

import random
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast.engine.reached import counting
from holdfast.engine.status import read_status
from holdfast.engine.storage import names
from holdfast.engine.storage.birth import begin_incarnation
from holdfast.errors import LinkCut

from ..nodes import assert_equal, heal, meet, opened, raw
from .side import Side, begin, exchange, sync

REFERRED = (
    "SELECT context FROM log WHERE context IS NOT NULL UNION SELECT vector FROM peer UNION SELECT told FROM peer"
    " UNION SELECT context FROM hole"
    " UNION SELECT r.extra FROM record r JOIN context c ON c.id = r.extra AND c.settled = 0"
)


def vectors(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM context").fetchone()
    return count


def unreferred(connection: sqlite3.Connection) -> list[int]:
    rows = connection.execute(f"SELECT id FROM context EXCEPT SELECT * FROM ({REFERRED})")
    return [number for (number,) in rows]


@pytest.mark.parametrize("node_writes", [False, True])
def test_sessions_with_changes_leave_no_vector_behind(node_writes):
    hub, node, other = Side("hub"), Side("node"), Side("other")
    if node_writes:
        node.write("own", {"n": 0})
    counts = []
    for n in range(12):
        other.write(f"k{n}", {"n": n})
        other.write("k0", {"n": n})
        for side in (other, node):
            sync(side, hub)
        for side in (hub, node, other):
            assert unreferred(side.connection) == []
        counts.append([vectors(hub.connection), vectors(node.connection)])
    assert counts[-1] == counts[3]  # node and hub log no own operation after the first


def test_sessions_without_news_leave_the_vectors_as_they_are():
    hub, node = Side("hub"), Side("node")
    node.write("k", {})
    hub.write("h", {})
    for _ in range(3):
        sync(node, hub)
    before = [side.connection.execute("SELECT * FROM context").fetchall() for side in (hub, node)]
    for _ in range(5):
        sync(node, hub)
    assert [side.connection.execute("SELECT * FROM context").fetchall() for side in (hub, node)] == before


def test_sessions_with_a_peer_that_never_holds_our_operations_leave_no_vector_behind():
    """A token that may only read: the hub's vector never names this node, and its own writes refer to the same one."""
    hub, node = Side("hub"), Side("node")
    for n in range(8):
        hub.write(f"k{n}", {})
        if n % 3 == 0:
            node.write("own", {"n": n})
        sync(node, hub, rights="r")
        assert unreferred(node.connection) == []
    (logged,) = node.connection.execute("SELECT count(DISTINCT context) FROM log").fetchone()
    assert logged == 3
    assert vectors(node.connection) <= logged + 2


def test_sessions_that_are_cut_again_and_again_are_bounded(monkeypatch):
    """Each leaves another extra context on the same records; none settles before a session has drained."""
    monkeypatch.setattr(names, "UNSETTLED_MAX", 4)
    hub, node = Side("hub"), Side("node")
    sync(node, hub)
    for n in range(40):
        for key in range(4):
            hub.write(f"k{key}", {"n": n})
        exchange(node, hub, begin(node), answered_max=2)
    assert not node.whole
    assert vectors(node.connection) < 12
    (standing,) = node.connection.execute(
        "SELECT count(*) FROM record r JOIN context c ON c.id = r.extra AND c.settled = 0"
    ).fetchone()
    assert standing
    sync(node, hub)
    assert node.whole
    assert unreferred(node.connection) == []
    assert node.docs() == hub.docs()


def test_a_number_is_never_given_twice():
    """Records go on naming a context that is gone: another vector under its number would speak for them."""
    hub, node = Side("hub"), Side("node")
    given: set[int] = set()
    for n in range(6):
        for key in range(4):
            hub.write(f"k{n}{key}", {})
        before = {number for (number,) in node.connection.execute("SELECT id FROM context")}
        exchange(node, hub, begin(node), answered_max=2)
        sync(node, hub)
        new = {number for (number,) in node.connection.execute("SELECT id FROM context")} - before
        assert not new & given
        named = {number for (number,) in node.connection.execute("SELECT extra FROM record WHERE extra IS NOT NULL")}
        given |= new | named
    assert named - {number for (number,) in node.connection.execute("SELECT id FROM context")}


async def test_random_sessions_leave_no_vector_behind(tmp_path):
    rng = random.Random(7)
    paths = [tmp_path / f"{name}.db" for name in ("hub", "a", "b")]
    async with (
        opened(paths[0], space="s", name="hub") as hub,
        opened(paths[1], space="s") as a,
        opened(paths[2], space="s") as b,
    ):
        for _ in range(40):
            node = rng.choice([a, b])
            await rng.choice([a, b, hub])["t"].put(f"k{rng.randrange(6)}", {"n": rng.random()})
            with suppress(LinkCut):
                await meet(node, hub, cut_after=rng.choice([(None, None), (1, None), (None, 1), (None, 2)]))
        await heal(hub, a, b)
        await assert_equal(hub, a, b)
    for path in paths:
        with raw(path) as connection:
            assert unreferred(connection) == []
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def put_back(hub: Side, backup: Side) -> None:
    """The hub's file becomes an old one again, and goes on under another identity."""
    backup.connection.backup(hub.connection)
    hub._begin()
    with hub.store.transaction() as tx:
        begin_incarnation(tx, hub.name)


def test_a_context_that_nobody_can_ever_cover_goes_with_the_last_record_that_carries_it():
    """Of a cut session with a hub whose file was put back since: no vector will reach what the hub's was."""
    hub, node = Side("hub", batch_records=1), Side("node")
    hub.write("other", {})
    sync(node, hub)
    backup = hub.copy("backup")
    for n in range(3):
        hub.write("k", {"n": n})
        hub.write(f"k{n}", {})
        exchange(node, hub, begin(node), answered_max=2)
    put_back(hub, backup)
    for _ in range(2):
        sync(node, hub)
        assert unreferred(node.connection) == []
    status = read_status(node.connection, Path("node"))
    assert not status.whole
    assert any("goes on under another identity" in blocker for blocker in status.blockers)
    # What no record carries says nothing: here all of them are made to have taken in no more than the node.
    node.connection.execute("UPDATE record SET extra = NULL")
    node.store.forget()
    assert read_status(node.connection, Path("node")).whole
    hub.write("more", {})
    sync(node, hub)
    assert unreferred(node.connection) == []
    assert node.facts(actor=hub.actor).digest is not None
    assert read_status(node.connection, Path("node")).blockers == ()


def test_whether_a_context_is_carried_is_asked_of_all_records_once():
    """One that stays for good must not make every session read the whole file."""
    hub, node = Side("hub", batch_records=1), Side("node")
    backup = hub.copy("backup")
    hub.write("k", {})
    hub.write("l", {})
    exchange(node, hub, begin(node), answered_max=2)
    put_back(hub, backup)
    with counting() as seen:
        for n in range(4):
            hub.write(f"m{n}", {})
            sync(node, hub)
    assert not node.whole
    assert seen["contexts: every record was asked what it carries"] == 2  # once by each side: it has travelled
