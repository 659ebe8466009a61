"""Rows of the fault matrix that direct tests prove: which tests count as runs of which row.

Knows tests by name only. Invariant: every name here is that of a test (tests/chaos/test_results.py).
"""

from __future__ import annotations

DIRECT: dict[int, dict[str, tuple[str, ...]]] = {
    18: {
        "tests/clocks/test_hybrid.py": ("test_suspect_stamps_never_move_the_clock", "test_a_full_counter_that_was"),
        "tests/integration/test_clocks.py": ("test_a_stamp_from_the_future_never", "test_a_write_that_has_seen"),
    },
    19: {"tests/clocks/test_hybrid.py": ("test_more_ticks_than_the_counter_holds", "test_every_tick_exceeds")},
    20: {
        "tests/engine/test_group_commit.py": (
            "test_a_job_that_fails",
            "test_a_single_write_that_cannot",
            "test_what_one_write_does",
            "test_a_rule_that_stops",
            "test_an_undone_job",
        )
    },
    22: {"tests/engine/test_orders.py": ("test_every_order_of_delivery", "test_every_state_may_come")},
    23: {"tests/engine/test_orders.py": ("test_any_three_concurrent_edits",)},
    24: {
        "tests/engine/test_purging_fleet.py": ("test_",),
        "tests/integration/test_purging.py": ("test_",),
        "tests/integration/test_trimmed_names.py": ("test_",),
    },
    26: {
        "tests/resolvers/test_settle.py": ("test_",),
        "tests/resolvers/test_laws.py": ("test_",),
        "tests/resolvers/test_processes.py": ("test_",),
    },
    27: {
        "tests/engine/test_schemas.py": ("test_fields_that_no_schema", "test_rules_that_change", "test_a_sync_says"),
        "tests/engine/test_quarantine.py": ("test_a_type_that_nobody_knows", "test_a_quarantined_record"),
    },
    28: {
        "tests/transport/test_frame.py": ("test_a_header_that_this_version",),
        "tests/transport/test_wire.py": ("test_items_that_a_later", "test_a_hello_of_another_protocol"),
    },
    29: {"tests/engine/test_quarantine.py": ("test_a_record_that_cannot_be_joined", "test_what_came_beside_a_hole")},
    30: {
        "tests/transport/test_frame.py": ("test_arbitrary", "test_mutated", "test_no_flipped_bit"),
        "tests/transport/test_wire.py": ("test_arbitrary", "test_mutated", "test_no_flipped_bit"),
    },
    35: {"tests/transport/test_http_link.py": ("test_every_other_answer", "test_a_redirect", "test_a_certificate")},
    38: {"tests/integration/test_hostile_peers.py": ("test_",)},
    39: {"tests/integration/test_hub_rolled_back.py": ("test_",), "tests/integration/test_put_back.py": ("test_",)},
    40: {
        "tests/transport/test_hub_app.py": (
            "test_a_token_that_another_process_revokes",
            "test_a_token_of_another_space",
        )
    },
    41: {"tests/transport/test_hub_app.py": ("test_no_secret_is_logged",)},
    44: {"tests/engine/test_upgrades.py": ("test_",)},
}
"""By row and file, how the names of the tests begin."""


def rows_of(nodeid: str) -> list[int]:
    """The rows that a test counts in."""
    file, _, name = nodeid.partition("::")
    return [row for row, files in DIRECT.items() if name.startswith(files.get(file, ()))]
