"""Errors of every system call on the files: refused by name, nothing acknowledged is lost, and on it goes by itself."""

from __future__ import annotations

import pytest

from holdfast.engine.storage.migrations import FORMAT

from .failing import NEEDING_SPACE, POINTS, FailingSweep, Failure
from .killing import DEEDS
from .nursery import Nursery
from .processes import running_hub

pytestmark = pytest.mark.needs_strace

ROWS = {"EIO": 10, "ENOSPC": 11}


async def sweep(tmp_path, recorder, deed, point, failure, **numbers):
    async with running_hub(tmp_path / "hub") as hub:
        with Nursery() as nursery:
            found = FailingSweep(deed, point, failure, hub, nursery, tmp_path)
            await found.run(**numbers)
    figures = {
        f"at {point}": found.points,
        "writes acknowledged": found.acknowledged,
        "orders refused by name": found.refused,
        "new identities": found.renewed,
    }
    how = f"strace, {failure.error}{' from there on' if failure.lasting else ''} at each call on the files ({deed})"
    recorder.note(ROWS[failure.error], how, runs=found.points, violations=len(found.findings), **figures)
    assert not found.findings, found.findings[:20]
    return found


FIRST_WRITE = 18 + FORMAT
"""The sync of the first write: making a file costs one for each format, and some to bring it into the file."""


async def test_an_error_of_the_disk_in_a_write(tmp_path, recorder):
    found = await sweep(tmp_path, recorder, "put", "fdatasync", Failure("EIO"), numbers=[FIRST_WRITE])
    assert (found.points, found.refused) == (1, 1)
    assert found.acknowledged


async def test_a_file_whose_log_cannot_be_begun_is_refused_and_has_one_later(tmp_path, recorder):
    """SQLite says that it is in WAL mode before it commits that; the error came and nobody stepped to it."""
    found = await sweep(tmp_path, recorder, "put", "fdatasync", Failure("EIO"), numbers=[3])
    assert (found.points, found.refused) == (1, 1)


@pytest.mark.parametrize(("error", "point", "number"), [("EIO", "fdatasync", 25), ("ENOSPC", "pwrite64", 275)])
async def test_an_error_that_lasts_is_refused_by_name_and_reads_go_on(tmp_path, recorder, error, point, number):
    found = await sweep(tmp_path, recorder, "put", point, Failure(error, lasting=True), numbers=[number])
    assert found.points == 1
    assert found.refused
    assert found.acknowledged


@pytest.mark.soak
@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "both ways"])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
async def test_every_error_of_the_disk(tmp_path, recorder, deed, point, lasting):
    await sweep(tmp_path, recorder, deed, point, Failure("EIO", lasting))


@pytest.mark.soak
@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "both ways"])
@pytest.mark.parametrize("point", NEEDING_SPACE)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
async def test_every_call_that_finds_no_space(tmp_path, recorder, deed, point, lasting):
    await sweep(tmp_path, recorder, deed, point, Failure("ENOSPC", lasting))
