"""Seeds of small worlds hold: as many as `--simulation-seeds` says, ten to a test so that cores share them.

Six of each fifty live again in another process with another hash seed: 12 in `make test`, 60 in `make check`.
"""

from __future__ import annotations

import pytest

from ..seeds import digests, elsewhere, small_worlds

SEEDS_EACH = 10
TWICE, TWICE_EVERY = 6, 50
FOUND = (25040218, 25040659, 25041409)
"""Seeds beyond those that found what was mended since: copies under one stamp, a hub that forgot whom it had read."""


def pytest_generate_tests(metafunc):
    if "first" in metafunc.fixturenames:
        metafunc.parametrize("first", range(0, metafunc.config.getoption("--simulation-seeds"), SEEDS_EACH))


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", FOUND)
def test_seeds_that_found_something_hold(seed):
    (result,) = small_worlds(range(seed, seed + 1)).results
    assert result.ok, result.error


@pytest.mark.no_cover  # which would make it three times as long; other tests cover what it runs
@pytest.mark.timeout(600)  # ten worlds at once, on a machine that may have more to do
def test_seeds_hold(first, request):
    seeds = range(first, min(first + SEEDS_EACH, request.config.getoption("--simulation-seeds")))
    report = small_worlds(seeds)
    failed = [f"seed {result.seed}: {result.error}" for result in report.results if not result.ok]
    assert not failed, "\n".join(failed)
    assert len(report.results) == len(seeds)
    assert report.totals.acknowledged > 0
    assert report.totals.accuracy == 1
    request.config.pluginmanager.get_plugin("reached").add(len(seeds), report.totals.reached)
    if first % TWICE_EVERY == 0:
        here, again = digests(report), seeds[:TWICE]
        assert elsewhere(again, hash_seed=1 + first) == {str(seed): here[str(seed)] for seed in again}
