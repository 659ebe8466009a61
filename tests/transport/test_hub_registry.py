"""Claims about the registry of a hub."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.engine.seams import Seams
from holdfast.errors import FileUnreadable, InvalidName, InvalidValue, NewerFormat, NotADatabase
from holdfast.transport.hub.registry import APPROVED_MS, FORMAT, HubRegistry

from ..nodes import NOW_MS, Wall


@pytest.fixture
def registry(tmp_path: Path) -> HubRegistry:
    made = HubRegistry.init(tmp_path / "hub")
    made.add_space("plant")
    return made


def test_init_makes_a_directory_that_only_its_user_can_read(tmp_path: Path):
    HubRegistry.init(tmp_path / "a" / "hub")
    assert stat.S_IMODE((tmp_path / "a" / "hub").stat().st_mode) == 0o700


def test_init_keeps_what_is_there(registry: HubRegistry):
    _, secret = registry.add_token("plant", "rw")
    again = HubRegistry.init(registry.directory)
    assert [space.name for space in again.spaces()] == ["plant"]
    assert again.authorize("plant", secret) == "rw"


def test_one_of_an_older_version_is_brought_up_by_any_call(registry: HubRegistry):
    with closing(sqlite3.connect(registry.directory / "hub.db")) as connection:
        connection.executescript("DROP TABLE held; PRAGMA user_version = 1;")
    assert [space.name for space in registry.spaces()] == ["plant"]
    assert registry.held("plant") == []


def test_what_is_held_is_listed_until_the_day_after_it_was_approved(tmp_path: Path):
    wall = Wall(ms=NOW_MS)
    registry = HubRegistry.init(tmp_path / "hub", seams=Seams(time=wall))
    for space in ("plant", "site"):
        registry.add_space(space)
    registry.hold("plant", "aa", "pump-7", "t: too much")
    (held,) = registry.held("plant")
    assert (held.label, held.reason, held.approved_ms) == ("pump-7", "t: too much", None)
    assert registry.held("site") == []
    assert not registry.is_approved("plant", "aa")
    registry.approve("plant", "aa")
    assert registry.is_approved("plant", "aa")
    assert not registry.is_approved("plant", "bb")
    wall.ms += APPROVED_MS
    assert not registry.is_approved("plant", "aa")
    registry.approve("plant", "aa")
    registry.hold("plant", "aa", "pump-7", "t: once more")
    assert not registry.is_approved("plant", "aa")
    for space, actor in (("plant", "bb"), ("site", "aa")):
        with pytest.raises(InvalidName, match="hub held"):
            registry.approve(space, actor)
    with pytest.raises(InvalidName):
        registry.held("nowhere")


def test_a_directory_without_a_hub_is_refused_and_stays_empty(tmp_path: Path):
    with pytest.raises(FileUnreadable, match="hub init"):
        HubRegistry(tmp_path).spaces()
    assert not list(tmp_path.iterdir())


def test_another_programs_file_is_refused_and_stays_as_it_is(tmp_path: Path):
    with sqlite3.connect(tmp_path / "hub.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / "hub.db").read_bytes()
    with pytest.raises(NotADatabase):
        HubRegistry.init(tmp_path)
    with pytest.raises(NotADatabase):
        HubRegistry(tmp_path).spaces()
    assert (tmp_path / "hub.db").read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "hub.db").write_text("not a database " * 100)
    with pytest.raises(NotADatabase):
        HubRegistry.init(tmp_path)


def test_a_newer_registry_is_refused(registry: HubRegistry):
    with sqlite3.connect(registry.directory / "hub.db") as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    with pytest.raises(NewerFormat):
        registry.spaces()
    with pytest.raises(NewerFormat):
        HubRegistry.init(registry.directory)


def test_spaces_lie_in_files_of_their_own_whose_names_do_not_depend_on_theirs(registry: HubRegistry):
    registry.add_space("shop")
    paths = [space.path for space in registry.spaces()]
    assert len(set(paths)) == 2
    assert {path.parent for path in paths} == {registry.directory / "spaces"}
    assert not [path for path in paths if "shop" in path.name or "plant" in path.name]


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "-x", "a b", "ä", "x\n", "x" * 129])
def test_a_name_that_needs_quoting_is_no_name_of_a_space(registry: HubRegistry, name: str):
    with pytest.raises(InvalidName):
        registry.add_space(name)


def test_a_name_is_given_once(registry: HubRegistry):
    with pytest.raises(InvalidName, match="plant"):
        registry.add_space("plant")


@pytest.mark.parametrize("rights", ["rw", "r"])
def test_a_token_opens_its_space_with_its_rights_and_nothing_else(registry: HubRegistry, rights):
    registry.add_space("shop")
    _, secret = registry.add_token("plant", rights)
    assert registry.authorize("plant", secret) == rights
    assert registry.authorize("shop", secret) is None
    assert registry.authorize("nowhere", secret) is None


def test_a_secret_is_long_recognisable_and_never_the_same(registry: HubRegistry):
    secrets = {registry.add_token("plant", "r")[1] for _ in range(20)}
    assert len(secrets) == 20
    assert {len(secret) for secret in secrets} == {46}
    assert all(secret.startswith("hf_") for secret in secrets)


def test_no_secret_is_stored(registry: HubRegistry):
    _, secret = registry.add_token("plant", "rw", "pump-7")
    stored = b"".join(file.read_bytes() for file in registry.directory.rglob("*") if file.is_file())
    assert b"pump-7" in stored
    assert secret.encode() not in stored
    assert secret.removeprefix("hf_").encode() not in stored


@pytest.mark.parametrize("secret", ["", "hf_", "hf_" + "A" * 43, "x" * 46, "hf_" + "ä" * 43, "hf_" + "\udc80" * 43])
def test_what_is_no_secret_of_ours_opens_nothing(registry: HubRegistry, secret: str):
    registry.add_token("plant", "rw")
    assert registry.authorize("plant", secret) is None


def test_a_changed_secret_opens_nothing(registry: HubRegistry):
    _, secret = registry.add_token("plant", "rw")
    changed = secret[:-2] + ("A" if secret[-2] != "A" else "B") + secret[-1]
    assert registry.authorize("plant", changed) is None


def test_a_revoked_token_opens_nothing_and_stays_listed(registry: HubRegistry):
    keep, kept = registry.add_token("plant", "r", "keep")
    token, secret = registry.add_token("plant", "rw", "stolen")
    registry.revoke(token)
    assert registry.authorize("plant", secret) is None
    assert registry.authorize("plant", kept) == "r"
    listed = {entry.id: entry for entry in registry.tokens("plant")}
    assert (listed[token].label, listed[token].rights) == ("stolen", "rw")
    assert listed[token].revoked_ms is not None
    assert listed[keep].revoked_ms is None


def test_revoking_again_keeps_the_first_time(registry: HubRegistry):
    token, _ = registry.add_token("plant", "rw")
    registry.revoke(token)
    before = registry.tokens("plant")
    registry.revoke(token)
    assert registry.tokens("plant") == before


def test_unknown_names_are_errors(registry: HubRegistry):
    with pytest.raises(InvalidName, match="no space of this name"):
        registry.add_token("nowhere", "rw")
    with pytest.raises(InvalidName, match="no space of this name"):
        registry.tokens("nowhere")
    with pytest.raises(InvalidName):
        registry.revoke("123")
    with pytest.raises(InvalidValue):
        registry.add_token("plant", "admin")


def test_another_process_is_heard_at_once(registry: HubRegistry):
    token, secret = registry.add_token("plant", "rw")
    assert registry.authorize("plant", secret) == "rw"
    script = (
        "import sys; from pathlib import Path; from holdfast.transport.hub.registry import HubRegistry\n"
        "HubRegistry(Path(sys.argv[1])).revoke(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", script, registry.directory, token], check=True, timeout=60)
    assert registry.authorize("plant", secret) is None


def test_writers_wait_for_each_other(registry: HubRegistry):
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: registry.add_token("plant", "r"), range(40)))
    assert len(registry.tokens("plant")) == 40
    assert all(registry.authorize("plant", secret) == "r" for _, secret in made)
