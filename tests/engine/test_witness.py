"""The witness: copies and restores start a new incarnation, an ordinary opening does not, and no dot is reused."""

from __future__ import annotations

import errno
import json
import shutil

import pytest

from holdfast import SideFile
from holdfast.clocks import incarnation_of, node_of
from holdfast.engine import witness as witnesses
from holdfast.errors import DamagedFile, FileUnreadable

from ..nodes import assert_equal, heal, opened, raw


def side(path):
    return path.with_name(path.name + "-witness")


def copied(source, target):
    """All files of a closed node under another name."""
    for suffix in ("", "-witness", "-wal", "-shm"):
        file = source.with_name(source.name + suffix)
        if file.exists():
            shutil.copy(file, target.with_name(target.name + suffix))
    return target


async def life(path, *keys, **options):
    """Open, put records, close; gives the identity and why it is new."""
    async with opened(path, **options) as node:
        for key in keys:
            await node["t"].put(key, {})
        return await node.actor(), node.renewed


async def test_an_ordinary_reopening_keeps_the_identity(tmp_path):
    path = tmp_path / "a.db"
    first, _ = await life(path, "x")
    for _ in range(3):
        assert await life(path, "y") == (first, None)


class Killed(BaseException):
    """The process ends."""


@pytest.mark.parametrize("lives", [0, 1])
async def test_a_file_whose_maker_was_killed_at_any_note_keeps_its_identity(tmp_path, lives):
    """Found by killing a process at each of its system calls."""

    class Dying(SideFile):
        notes = 0

        def note(self, actor, seq):
            self.notes += 1
            if self.notes > lives:
                raise Killed
            super().note(actor, seq)

    path = tmp_path / "a.db"
    with pytest.raises(Killed):
        await life(path, witness=Dying(path))
    first, renewed = await life(path, "x")
    assert renewed is None
    assert await life(path) == (first, None)


async def test_a_witness_that_is_behind_is_normal(tmp_path):
    """It is written after the commit: a crash between the two leaves it behind."""
    path = tmp_path / "a.db"
    first, _ = await life(path, "x")
    note = side(path).read_bytes()
    await life(path, "y", "z")
    side(path).write_bytes(note)
    assert await life(path) == (first, None)


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"\0" * 256, b'{"actor":1}|00000000', b"\xff" * 300])
async def test_a_witness_that_is_missing_or_unreadable_means_a_copy(tmp_path, content):
    path = tmp_path / "a.db"
    first, _ = await life(path, "x")
    side(path).unlink()
    if content is not None:
        side(path).write_bytes(content)
    second, reason = await life(path, "y", seed="second")
    assert "no witness" in reason
    assert node_of(second) == node_of(first)
    assert incarnation_of(second) != incarnation_of(first)
    assert await life(path, seed="third") == (second, None)


async def test_a_torn_note_is_not_believed(tmp_path):
    path = tmp_path / "a.db"
    await life(path, "x")
    note = bytearray(side(path).read_bytes())
    note[note.index(b'"seq":1') + 6] = ord("9")
    side(path).write_bytes(note)
    _, reason = await life(path)
    assert "no witness" in reason


async def test_yesterdays_file_put_back_is_found_by_the_witness_that_is_ahead(tmp_path):
    path = tmp_path / "a.db"
    async with opened(tmp_path / "hub.db", space="s") as hub:
        async with opened(path, space="s") as a:
            await a["t"].put("monday", {})
        yesterday = path.read_bytes()
        async with opened(path) as a:
            await a["t"].put("tuesday", {"n": 1})
            await heal(hub, a)
            first = await a.actor()
        path.write_bytes(yesterday)  # in place: same inode
        async with opened(path, seed="second") as a:
            assert "rolled back" in a.renewed
            second = await a.actor()
            receipt = await a["t"].put("wednesday", {})
            assert receipt.dot == (second, 1)
            assert await a["t"].get("tuesday") is None
            await heal(hub, a)
            assert (await a["t"].get("tuesday")).fields == {"n": 1}
            await assert_equal(a, hub)
            assert (await hub.status()).vector == {first: 2, second: 1}
        async with opened(path, seed="third") as a:
            assert a.renewed is None


async def test_a_file_that_was_restored_from_a_backup_has_another_inode(tmp_path):
    path = tmp_path / "a.db"
    first, _ = await life(path, "x")
    shutil.copy(path, tmp_path / "backup").replace(path)
    second, reason = await life(path, "y", seed="second")
    assert "another host or inode" in reason
    assert second != first


async def test_a_file_that_was_replaced_by_another_nodes_is_found(tmp_path):
    await life(tmp_path / "a.db", "x")
    await life(tmp_path / "b.db", "y")
    (tmp_path / "a.db").write_bytes((tmp_path / "b.db").read_bytes())
    _, reason = await life(tmp_path / "a.db", seed="second")
    assert "another identity" in reason


async def test_a_copy_opened_twice_loses_no_write_and_reuses_no_dot(tmp_path):
    async with opened(tmp_path / "hub.db", space="s", name="hub") as hub:
        async with opened(tmp_path / "a.db", space="s") as a:
            await a["t"].put("shared", {"v": 0})
            await heal(hub, a)
            await a["t"].put("unsent", {"v": 0})
        copied(tmp_path / "a.db", tmp_path / "b.db")
        async with opened(tmp_path / "a.db", seed="a2") as a, opened(tmp_path / "b.db", seed="b2") as b:
            assert a.renewed is None
            assert "another host or inode" in b.renewed
            for n in range(5):
                for node, name in ((a, "a"), (b, "b")):
                    await node["t"].put(f"{name}{n}", {"by": name})
                    await node["t"].update("shared", {"v": f"{name}{n}"})
            await b["t"].update("unsent", {"v": "b"})
            await heal(hub, a, b)
            await assert_equal(a, b, hub)
            assert await hub["t"].count() == 12
            assert (await hub["t"].get("unsent")).fields == {"v": "b"}
            ((conflict),) = await hub.conflicts("settled")
            assert {sibling.value for sibling in conflict.conflict.siblings} == {"a4", "b4"}


async def test_a_crash_before_the_first_note_costs_nothing(tmp_path):
    path = tmp_path / "a.db"
    await life(path)
    side(path).unlink()
    second, reason = await life(path, seed="second")
    assert reason
    async with opened(path, seed="third") as node:
        assert (await node.status()).vector == {}  # an identity that wrote nothing stands nowhere
        assert (await node["t"].put("k", {})).dot == (second, 1)


async def test_many_incarnations_leave_a_sound_file(tmp_path):
    path, actors = tmp_path / "a.db", set()
    async with opened(tmp_path / "hub.db", space="default") as hub:
        for n in range(6):
            side(path).unlink(missing_ok=True)
            async with opened(path, seed=n) as node:
                actors.add(await node.actor())
                await node["t"].put("k", {"n": n})
                await node["t"].put(f"k{n}", {})
                if n % 2:
                    await heal(hub, node)
                assert (await node.verify()).problems == ()
        assert len(actors) == 6
        async with opened(path, seed="last") as node:
            assert (await node.status()).incarnations == 6
            assert (await node["t"].get("k")).fields == {"n": 5}
            assert not (await node["t"].get("k")).conflicted
            await heal(hub, node)
            await assert_equal(node, hub)


async def test_the_note_says_who_and_how_far(tmp_path):
    path = tmp_path / "a.db"
    async with opened(path) as node:
        for n in range(3):
            await node["t"].put(f"k{n}", {})
            testimony = SideFile(path).recall()
            assert (testimony.actor, testimony.seq) == (await node.actor(), n + 1)
        assert side(path).stat().st_size == witnesses.RECORD_BYTES
        assert side(path).stat().st_mode & 0o077 == 0


async def test_an_unbound_witness_does_not_mind_another_inode(tmp_path):
    path, new = tmp_path / "a.db", tmp_path / "b.db"
    first, _ = await life(path, "x", witness=SideFile(path, bound=False))
    copied(path, new)
    assert await life(new, "y", witness=SideFile(new, bound=False)) == (first, None)


async def test_a_witness_of_ones_own_is_asked_and_told(tmp_path):
    class Memory:
        def __init__(self):
            self.notes, self.closed = [], 0

        def recall(self):
            return witnesses.Testimony(actor=self.notes[-1][0], seq=self.notes[-1][1]) if self.notes else None

        def note(self, actor, seq):
            self.notes.append((actor, seq))

        def place(self):
            return ""

        def close(self):
            self.closed += 1

    memory = Memory()
    first, _ = await life(tmp_path / "a.db", "x", witness=memory)
    assert memory.notes[-1] == (first, 1)
    assert await life(tmp_path / "a.db", "y", witness=memory) == (first, None)
    assert memory.closed == 2
    assert not side(tmp_path / "a.db").exists()
    memory.notes.append((first, 99))
    _, reason = await life(tmp_path / "a.db", witness=memory, seed="second")
    assert "99" in reason


def test_a_side_file_keeps_the_last_identities_of_which_names_were_given_up(tmp_path):
    path = tmp_path / "a.db"
    path.touch()
    left = [(f"{number:032x}", number) for number in range(witnesses.LEFT_MAX + 1)]
    for actor, known in left:
        witness = SideFile(path)
        witness.recall()
        witness.leave(actor, known)
        witness.share("f" * 32, 2**62)
        witness.note("f" * 32, 2**62)
        witness.close()
    assert SideFile(path).recall().left == dict(left[1:])
    assert side(path).stat().st_size == witnesses.RECORD_BYTES
    witness.leave(left[1][0], 2**62)  # the same again: it is the last one now, and none is forgotten for it
    witness.note("f" * 32, 2**62)
    witness.close()
    assert SideFile(path).recall().left == {**dict(left[2:]), left[1][0]: 2**62}


def test_a_side_file_keeps_what_may_have_left_the_file(tmp_path):
    path = tmp_path / "a.db"
    path.touch()
    witness = SideFile(path)
    for actor, told in (("a" * 32, 5), ("a" * 32, 3), ("b" * 32, 0)):  # less: the peer was not reached after all
        witness.share(actor, told)
        witness.note(actor, 9)
        assert SideFile(path).recall().shared == told
    witness.note("c" * 32, 9)  # of which nothing is known
    assert SideFile(path).recall().shared is None
    witness.close()


async def test_a_refused_file_gets_no_witness(tmp_path):
    path = tmp_path / "n.db"
    path.write_text("no database at all " * 100)
    with pytest.raises(Exception, match="SQLite"):
        await life(path)
    assert not side(path).exists()


def test_every_sign_of_a_copy_has_its_own_words():
    known = witnesses.Testimony(actor="a" * 32, seq=5, place="here")
    assert witnesses.doubt(known, "a" * 32, 5, "here") is None
    assert witnesses.doubt(known, "a" * 32, 9, "here") is None
    signs = [
        witnesses.doubt(None, "a" * 32, 5, "here"),
        witnesses.doubt(known, "b" * 32, 5, "here"),
        witnesses.doubt(known, "a" * 32, 4, "here"),
        witnesses.doubt(known, "a" * 32, 5, "there"),
    ]
    assert all(signs)
    assert len(set(signs)) == 4


async def test_the_note_is_plain_json_with_a_checksum(tmp_path):
    await life(tmp_path / "a.db", "x")
    body, _, check = side(tmp_path / "a.db").read_text().strip().rpartition("|")
    assert set(json.loads(body)) == {"actor", "seq", "place", "shared"}
    assert len(check) == 8


async def test_the_dots_of_a_rolled_back_file_are_never_given_again(tmp_path):
    """Also when the side file was lost together with the file's last day."""
    path = tmp_path / "a.db"
    async with opened(tmp_path / "hub.db", space="s") as hub:
        async with opened(path, space="s") as a:
            await a["t"].put("k", {"n": 0})
            await heal(hub, a)
        yesterday = path.read_bytes(), side(path).read_bytes()
        async with opened(path) as a:
            await a["t"].put("k", {"n": 1})
            await a["t"].put("lost?", {})
            await heal(hub, a)
        path.write_bytes(yesterday[0])
        side(path).write_bytes(yesterday[1])  # the whole folder was restored: the witness sees nothing
        async with opened(path, seed="second") as a:
            assert a.renewed is None
            await a["t"].put("k", {"n": 2})
            await a["t"].put("new", {})
            await heal(hub, a)
            assert a.renewed is not None  # the hub knew better
            await assert_equal(a, hub)
            assert await hub["t"].count() == 3
            document = await a["t"].get("k")
            assert document.conflicted  # Tuesday's write and today's, which never saw each other
            with raw(path) as connection:
                dots = connection.execute("SELECT node, seq FROM log WHERE kind <> 5").fetchall()
            assert len(dots) == len(set(dots))


async def test_a_file_that_was_deleted_says_what_its_witness_knows(tmp_path):
    path = tmp_path / "a.db"
    first, _ = await life(path, "x", "y")
    path.unlink()
    now, renewed = await life(path, "z", seed="again")
    assert now != first
    assert "the witness has seen operation 2, the file was empty" in renewed
    assert await life(path) == (now, None)


async def test_a_file_that_lost_its_log_still_says_whose_it_is(tmp_path):
    """It held nothing but its log, and was begun anew, as one of another space."""
    path = tmp_path / "a.db"
    async with opened(path, space="plant", schemas=None) as node:
        first = await node.actor()
        for key in ("x", "y"):
            await node["t"].put(key, {})
        shutil.copy(path, tmp_path / "kept.db")  # as a kill leaves it: what was put is not in the file yet
    shutil.copy(tmp_path / "kept.db", path)
    async with opened(path, seed="again") as node:
        assert (node.space, await node["t"].count()) == ("plant", 0)
        assert await node.actor() != first
        assert "the witness has seen operation 2, the file ends at 0" in node.renewed


@pytest.mark.parametrize("left", ["no byte", "one page"])
async def test_a_file_that_was_emptied_is_refused_and_left_as_it_is(tmp_path, left):
    """Also that of a version that left what a file began with in its log, and lost it."""
    path = tmp_path / "a.db"
    await life(path, "x", "y")
    path.unlink()
    path.touch()
    if left == "one page":
        with raw(path) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    before = path.read_bytes(), side(path).read_bytes()
    with pytest.raises(DamagedFile, match="seen 2 operations") as caught:
        await life(path, "z")
    assert f"{path}-wal back" in caught.value.remedy
    assert (path.read_bytes(), side(path).read_bytes()) == before


async def test_a_file_whose_making_was_cut_short_is_made_by_the_next_opening(tmp_path):
    path = tmp_path / "a.db"
    with raw(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    witness = SideFile(path)
    witness.note("f" * 32, 0)
    witness.close()
    async with opened(path, space="plant") as node:
        assert (node.space, node.renewed) == ("plant", None)


async def test_a_witness_that_cannot_be_read_is_not_taken_for_none(tmp_path):
    """Each opening went on under another identity, and could not note it."""
    path = tmp_path / "a.db"
    first, _ = await life(path, "x")
    kept = side(path).read_bytes()
    side(path).unlink()
    side(path).mkdir()  # as a missing right, which root does not mind
    before = path.read_bytes()
    with pytest.raises(FileUnreadable, match="the witness cannot be read") as caught:
        await life(path, "y")
    assert caught.value.subject == str(side(path))
    assert path.read_bytes() == before
    side(path).rmdir()
    side(path).write_bytes(kept)
    assert await life(path, "z", witness=SideFile(path)) == (first, None)


async def test_a_note_that_fails_leaves_the_next_one_right(tmp_path, monkeypatch):
    """The place was empty from there on, and the note of the last write nothing that could be read."""
    path = tmp_path / "n.db"
    async with opened(path) as node:
        with monkeypatch.context() as patch:
            patch.setattr(SideFile, "place", failing)
            node._witness.close()
            await node["t"].put("a", {})
        await node["t"].put("b", {})
        actor = await node.actor()
    assert SideFile(path).recall().seq == 2
    async with opened(path) as node:
        assert (await node.actor(), node.renewed) == (actor, None)


def failing(_):
    raise OSError(errno.EIO, "Input/output error")
