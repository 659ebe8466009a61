"""members, purge."""

from __future__ import annotations

from pathlib import Path

from holdfast.service.members import _waits_for

from .commands import holdfast, ok


def test_one_node_decides_and_lets_go_what_was_deleted(file: Path):
    ok("delete", file, "tasks", "t1")
    told = ok("purge", file)
    assert told.out == "0 deleted records are gone for good\n"
    assert "another node decides" in told.err
    assert ok("members", "seize", file, "there is no hub").out == "this node decides from now on\n"
    (this,) = ok("members", "list", file, "--json").value
    assert (this["decides"], this["counts"], this["behind"]) == (True, True, 0)
    assert "decides, counts" in ok("members", "list", file).out
    report = ok("purge", file, "--json").value
    assert (report["dropped"], report["raised"], report["waits_for"]) == (1, True, [])
    assert ok("status", file, "--json").value["deleted"] == 0


def test_members_are_left_out_and_counted_again_by_the_one_who_decides(file: Path):
    refused = holdfast("members", "expire", file, "pump-7")
    assert refused.code != 0
    assert "pump-7" in refused.err
    ok("members", "seize", file, "no hub")
    assert holdfast("members", "restore", file, "pump-7").code == refused.code
    assert holdfast("members", "hand-over", file, "pump-7").code == refused.code


def test_members_are_named_several_at_a_time_and_who_decides_is_told_why_it_cannot_go(file: Path):
    ok("members", "seize", file, "no hub")
    assert holdfast("members", "seize", file, "").code == 2
    (this,) = ok("members", "list", file, "--json").value
    told = holdfast("members", "expire", file, this["label"])
    assert "the node itself" in told.err
    assert "hand-over" in told.err
    assert holdfast("members", "expire", file).code == 2
    assert holdfast("members", "expire", file, "pump-7", "--superseded").code == 2
    assert ok("members", "expire", file, "--superseded").out == "there is none\n"
    assert ok("members", "expire", file, "--superseded", "--json").value == []


def test_whom_a_purge_waits_for_is_named_by_label_and_identity():
    said = _waits_for({f"{n:032x}": "m" for n in range(12)})
    assert said.startswith(f"the next purge waits for 12 members: m ({0:020x}), m (")
    assert said.endswith("and 2 more: see `holdfast members list`")
