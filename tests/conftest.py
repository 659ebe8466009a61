"""Options of the test run."""


def pytest_addoption(parser):
    parser.addoption(
        "--simulation-seeds", type=int, default=100, metavar="N", help="seeds that tests/simulation/runs runs; 100"
    )
