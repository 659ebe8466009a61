"""Which cases of a test a push runs: the first few; `make check` and `make soak` run them all.

For cases that are alike but for a seed or a place, and for what another test of the same push proves in its own way.
Invariant: no case is lost: what is not in `make test` is marked `thorough`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first(number: int, cases: Iterable[Any]) -> list[Any]:
    """The cases, for `parametrize` with one name: all behind so many of them are marked `thorough`."""
    return [case if at < number else pytest.param(case, marks=pytest.mark.thorough) for at, case in enumerate(cases)]


def only(chosen: Iterable[Any], cases: Iterable[Any]) -> list[Any]:
    """The cases, for `parametrize` with one name: all but the chosen ones are marked `thorough`."""
    kept = {*chosen}
    return [case if case in kept else pytest.param(case, marks=pytest.mark.thorough) for case in cases]
