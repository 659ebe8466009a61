"""members, purge."""

from __future__ import annotations

from pathlib import Path

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
