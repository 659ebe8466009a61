"""The commands about hubs, and sync with a real hub process."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from holdfast import Engine, Purge
from holdfast.engine.members import Members
from holdfast.errors import DiskFull
from holdfast.service.hub import open_space
from holdfast.transport.links.address import FRAMES_TYPE
from holdfast.transport.wire import Decoder
from tests.transport.samples import decoded

from .commands import environment, holdfast, hub_process, ok, started


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a hub that serves "plant"."""
    ok("hub", "init", tmp_path / "hub")
    ok("hub", "space", "add", tmp_path / "hub", "plant")
    return tmp_path / "hub"


def test_a_hub_is_made_and_lists_what_it_has(directory: Path):
    ok("hub", "init", directory)
    assert [space["space"] for space in ok("hub", "space", "list", directory, "--json").value] == ["plant"]
    assert "plant" in ok("hub", "space", "list", directory).out
    assert holdfast("hub", "space", "add", directory, "plant", "--json").error["code"] == "invalid-name"
    assert set(ok("hub", "space", "add", directory, "site", "--json").value) == {"space", "file", "created_ms"}


def test_a_secret_stands_alone_on_stdout_and_nowhere_else(directory: Path):
    made = ok("hub", "token", "add", directory, "plant", "--rights", "r", "--label", "board")
    secret = made.out.strip()
    assert secret.startswith("hf_")
    assert secret not in made.err
    listed = ok("hub", "token", "list", directory)
    assert secret not in listed.out
    assert "board" in listed.out
    (token,) = ok("hub", "token", "list", directory, "plant", "--json").value
    assert (token["rights"], token["revoked_ms"]) == ("r", None)
    ok("hub", "token", "revoke", directory, token["id"])
    assert ok("hub", "token", "list", directory, "--json").value[0]["revoked_ms"]
    assert holdfast("hub", "token", "revoke", directory, "nope").code == 2
    assert holdfast("hub", "token", "add", directory, "nope", "--json").error["code"] == "invalid-name"


def test_what_is_no_hub_is_refused(tmp_path: Path, directory: Path):
    for words in (("space", "list", tmp_path), ("run", tmp_path), ("token", "list", tmp_path)):
        refused = holdfast("hub", *words, "--json")
        assert (refused.code, refused.error["code"]) == (3, "file-unreadable")
    assert holdfast("hub", "run", directory, "--tls-cert", "x").code == 2
    assert holdfast("hub", "run", directory, "--tls-cert", "x", "--tls-key", "y").code == 3
    assert holdfast("hub", "run", directory, "--host", "0.0.0.0", "--json").error["code"] == "invalid-url"


def test_two_files_agree_through_a_hub_process(directory: Path, file: Path, tmp_path: Path):
    secret = ok("hub", "token", "add", directory, "plant", "--json").value["token"]
    reader = ok("hub", "token", "add", directory, "plant", "--rights", "r", "--json").value["token"]
    other = tmp_path / "other.db"
    with hub_process(directory) as url:
        sent = ok("sync", file, url, "--json", env={"HOLDFAST_TOKEN": secret}).value
        assert (sent["sent"], sent["received"], sent["completed"]) == (2, 0, True)
        assert "2 received" in ok("sync", other, url, "--token", secret, "--space", "plant").out

        ok("put", other, "tasks", "t3", "{}")
        half = holdfast("sync", other, url, "--token", reader)
        assert half.code == 1
        assert "! the token may only read" in half.out

        for token, space, number, code in (
            ("hf_wrong", "plant", 4, "unauthorized"),
            ("", "plant", 4, "unauthorized"),
            (secret, "site", 5, "no-such-space"),
        ):
            path = tmp_path / f"{space}{token[:4]}.db"
            refused = holdfast("sync", path, url, "--token", token, "--space", space, "--json")
            assert (refused.code, refused.error["code"]) == (number, code)
            assert token not in refused.err or not token
            assert ("none was given" in refused.err) == (not token)

        ok("hub", "token", "revoke", directory, ok("hub", "token", "list", directory, "--json").value[0]["id"])
        assert holdfast("sync", other, url, "--token", secret).code == 4
    assert ok("status", file, "--json").value["records"] == 2


def test_a_hub_holds_what_would_change_too_much_until_it_is_approved(directory: Path, tmp_path: Path):
    pump, gate = tmp_path / "pump.db", tmp_path / "gate.db"
    secret = ok("hub", "token", "add", directory, "plant").out.strip()
    lines = "".join(f'{{"_key": "k{n:03}", "n": {n}}}\n' for n in range(300))
    assert ok("hub", "held", directory).out == "nothing is held\n"
    with hub_process(directory, "--hold-above", "0.5") as url:

        def sync(path: Path):
            return holdfast("sync", path, url, "--token", secret, "--json")

        for path in (pump, gate):
            ok("init", path, "--space", "plant", "--name", path.stem)
        ok("import", pump, "tasks", "-", "--key", "_key", stdin=lines)
        assert (sync(pump).code, sync(gate).code) == (0, 0)
        _delete(gate, range(200))
        held = sync(gate)
        assert (held.code, held.error["code"]) == (1, "sync-held")
        assert "the hub holds it" in held.error["message"]
        ok("put", pump, "tasks", "new", "{}")
        assert sync(pump).code == 0, "what others send flows on"
        assert ok("status", pump, "--json").value["records"] == 301
        (listed,) = ok("hub", "held", directory, "--json").value
        assert (listed["label"], listed["approved_ms"]) == ("gate", None)
        assert "gate" in ok("hub", "held", directory, "plant").out
        assert holdfast("hub", "approve", directory, "plant", "pump").code == 2
        assert sync(gate).code == 1
        assert "gate" in ok("hub", "approve", directory, "plant", "gate").out
        assert ok("hub", "approve", directory, "plant", listed["node"][:8], "--json").value["node"] == listed["node"]
        assert sync(gate).code == 0
        assert sync(pump).code == 0
    assert ok("status", pump, "--json").value["records"] == 101


def _delete(path: Path, numbers: Iterable[int]) -> None:
    async def delete() -> None:
        async with Engine.open(path) as engine:
            for n in numbers:
                await engine["tasks"].delete(f"k{n:03}")

    asyncio.run(delete())


def test_a_hub_tells_who_is_how_far_behind(directory: Path, file: Path, tmp_path: Path):
    ok("hub", "space", "add", directory, "quiet")
    assert ok("hub", "status", directory, "quiet").out == "quiet: no node has come yet\n"
    secret = ok("hub", "token", "add", directory, "plant").out.strip()
    with hub_process(directory) as url:
        ok("sync", file, url, "--token", secret)
        ok("sync", tmp_path / "b.db", url, "--token", secret, "--space", "plant", "--name", "b")
        ok("put", file, "tasks", "t3", '{"n": 3}')
        ok("sync", file, url, "--token", secret)
        found = ok("hub", "status", directory, "--json").value
        assert found["quiet"] is None
        waiting = {peer["label"]: peer["pending"] for peer in found["plant"]["peers"]}
        assert waiting["pump-7"] == 0
        assert waiting["b"] >= 1
        head, _, first, *_ = ok("hub", "status", directory, "plant").out.splitlines()
        assert head.startswith("plant: 3 records, digest ")
        assert head.endswith("2 nodes, 1 behind")
        assert re.match(r"b +behind ", first)
        ok("sync", tmp_path / "b.db", url, "--token", secret)
        head, *rows = ok("hub", "status", directory, "plant").out.splitlines()
        assert head.endswith("2 nodes, 0 behind, 1 not confirmed yet")
        assert re.match(r"b +sent, not confirmed yet ", rows[1])
        ok("sync", tmp_path / "b.db", url, "--token", secret)
        head, *rows = ok("hub", "status", directory, "plant").out.splitlines()
        assert head.endswith("2 nodes, 0 behind")
        assert all(" has all " in row for row in rows[1:])


def test_identities_that_went_stand_apart_in_the_fleet(directory: Path, file: Path, tmp_path: Path):
    secret = ok("hub", "token", "add", directory, "plant").out.strip()
    with hub_process(directory) as url:
        ok("sync", file, url, "--token", secret)
        ok("backup", file, tmp_path / "copy.db")
        ok("sync", tmp_path / "copy.db", url, "--token", secret)
        (status,) = ok("hub", "status", directory, "--json").value.values()
        assert sorted(peer["standing"] for peer in status["peers"]) == ["member", "superseded"]
        said = ok("hub", "status", directory).out
        assert said.splitlines()[0].endswith("1 identity apart")
        before, apart = said.split("purges do not wait, or need not wait, for:")
        (gone,) = [peer["actor"] for peer in status["peers"] if peer["standing"] == "superseded"]
        assert gone[:20] in apart
        assert gone[:20] not in before


async def test_a_space_that_failed_behind_its_opening_is_opened_by_the_next_request(tmp_path: Path, monkeypatch):
    """The engine was left open once, and its lock was in the hub's own way until the hub was started again."""

    async def fail(self, reason: str) -> None:
        raise DiskFull("no space left on the device", subject="plant.db", remedy="Free space.")

    with monkeypatch.context() as full:
        full.setattr(Members, "seize", fail)
        with pytest.raises(DiskFull):
            await open_space(tmp_path / "plant.db", "plant", Purge())
    engine = await open_space(tmp_path / "plant.db", "plant", Purge())
    assert [member.decides for member in await engine.members.list()] == [True]
    await engine.close()


def test_ctrl_c_stops_a_hub_in_good_order(directory: Path):
    with hub_process(directory, stop=signal.SIGINT) as url:
        assert url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hub",
        "hub:8787",
        "http://[hub",
        "",
        "https://user:secret@hub.example",
        "http://hub.example:8787",  # a token over plain HTTP to another machine
    ],
)
def test_an_address_that_is_none_must_change(file: Path, url):
    refused = holdfast("sync", file, url, "--token", "hf_x", "--json")
    assert (refused.code, refused.error["code"]) == (2, "invalid-url")
    assert "secret" not in refused.err


def test_a_hub_says_once_where_it_listens(directory: Path):
    with started("hub", "run", directory, "--port", 0) as process:
        assert process.stdout.readline().startswith(b"listening on http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert out == b""
    assert b"stopped" in err  # so the log does come here
    assert b"listening" not in err


def test_an_empty_request_is_refused_with_the_reason(directory: Path):
    secret = ok("hub", "token", "add", directory, "plant").out.strip()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": FRAMES_TYPE}
    with hub_process(directory) as url:
        request = Request(f"{url}/v1/spaces/plant/sync", data=b"", headers=headers)
        with pytest.raises(HTTPError) as caught:
            urlopen(request, timeout=20)
        with caught.value as answer:
            (refusal,) = decoded(Decoder(), answer.read())
    assert answer.code == 400
    assert (refusal.code, refusal.message) == ("malformed-message", "the peer sent nothing where its hello should be")


def test_the_token_of_the_environment_reaches_a_real_process(directory: Path, file: Path):
    secret = ok("hub", "token", "add", directory, "plant").out.strip()
    with hub_process(directory) as url, started("sync", file, url, env=environment(HOLDFAST_TOKEN=secret)) as process:
        assert process.wait(30) == 0, process.stderr.read()
        assert b"in sync with hub" in process.stdout.read()


@pytest.mark.parametrize("command", ["bootstrap", "sync"])
def test_a_first_contact_that_is_refused_leaves_no_file(directory: Path, tmp_path: Path, command: str):
    secret = ok("hub", "token", "add", directory, "plant").out.strip()
    folder = tmp_path / "edge"
    folder.mkdir()
    with hub_process(directory) as url:
        assert holdfast(command, folder / "e.db", url, "--token", secret, "--space", "wrong").code in (4, 5)
        assert [*folder.iterdir()] == []
        ok(command, folder / "e.db", url, "--token", secret, "--space", "plant")
        assert holdfast(command, folder / "e.db", url, "--token", "hf_" + "x" * 43).code != 0
        assert (folder / "e.db").exists()
