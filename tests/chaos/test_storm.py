"""Storms: all nodes and their hub are killed at random, and end in agreement with every acknowledged write."""

from __future__ import annotations

import pytest

from .storm import storm

HOW = "SIGKILL of nodes and hub, SIGSTOP, and a proxy that cuts, delays, swallows and resets"


def check(outcome, recorder):
    figures = {name.replace(" ", "_"): value for name, value in outcome.figures.items()}
    recorder.note(7, HOW, violations=len(outcome.verdict.findings), **figures)
    assert not outcome.verdict.findings, outcome.report
    assert outcome.verdict.acknowledged > 5  # how many there are in the time is a matter of the machine
    assert outcome.figures["kills"] > 0


async def test_a_short_storm_loses_nothing(tmp_path, recorder):
    check(await storm(tmp_path / "storm", seed=3, seconds=1.2, nodes=3), recorder)


@pytest.mark.soak
async def test_storms_of_six_nodes_lose_nothing(tmp_path, recorder, soak_seed):
    check(await storm(tmp_path / "storm", seed=soak_seed, seconds=25, nodes=6), recorder)
