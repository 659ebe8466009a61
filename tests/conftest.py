"""Options of the test run: which seeds the long runs take, where their results are kept, how many worlds are run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from .reached import SEEDS_DEMANDED, Reached
from .recorder import Recorder, note_direct, still_to_run

# Nothing is told by how long an example takes: on a machine that is busy with others it tells only of them.
settings.register_profile("thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("push", settings.get_profile("thorough"), max_examples=30)

LONGEST = ("test_campaign.py", "test_docs_examples.py")


def pytest_addoption(parser):
    group = parser.getgroup("soak", "long runs (make soak)")
    group.addoption("--seeds", metavar="A-B", default="0-2", help="seeds of every seeded long run, A to B inclusive")
    group.addoption(
        "--results",
        metavar="FILE",
        type=Path,
        help="append the results of each run to FILE (JSON Lines) and leave out the tests that it has results of",
    )
    parser.addoption(
        "--simulation-seeds",
        type=int,
        default=100,
        metavar="N",
        help=f"small worlds that the campaign of tests/simulation/runs lives through; 100. From {SEEDS_DEMANDED} on it"
        " must have been in every rare state of the engine",
    )


def pytest_configure(config):
    """Draw fewer examples where fewer cases run; count the rare states that simulated worlds are in."""
    settings.load_profile("push" if "not thorough" in config.getoption("markexpr") else "thorough")
    config.pluginmanager.register(Reached(config), "reached")


def pytest_collection_modifyitems(config, items):
    """Begin with what lasts longest, so that no core ends with it; go on where an earlier run was interrupted."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    path = config.getoption("--results")
    if path is not None:
        items[:], done = still_to_run(items, path)
        config.hook.pytest_deselected(items=done)


def pytest_generate_tests(metafunc):
    """A test with the argument `soak_seed` runs once for each seed."""
    if "soak_seed" in metafunc.fixturenames:
        first, _, last = metafunc.config.getoption("--seeds").partition("-")
        metafunc.parametrize("soak_seed", range(int(first), int(last or first) + 1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep what a direct test of the fault matrix found."""
    report = yield
    path = item.config.getoption("--results")
    if path is not None and call.when == "call":
        note_direct(path, item.nodeid, failed=report.failed)
    return report


@pytest.fixture
def recorder(request):
    """Where the figures of a test go."""
    return Recorder(request.config.getoption("--results"), request.node.originalname, request.node.name)
