"""Claims about measuring: in turns, with a warm-up that does not count, and medians of pairs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from benchmarks.measure import Turns, in_turns


async def test_floor_and_product_take_turns_and_the_first_does_not_count():
    order = []

    async def floor(turn):
        order.append(("floor", turn))
        return 100.0 if turn == 0 else 1.0

    async def product(turn):
        order.append(("product", turn))
        return 100.0 if turn == 0 else 2.0

    turns = await in_turns("test", floor, product, 3)
    assert turns == Turns((1.0,) * 3, (2.0,) * 3)
    assert [who for who, _ in order] == ["floor", "product", "product", "floor", "floor", "product", "product", "floor"]


def test_ratios_are_medians_over_neighbours():
    """The machine slowed down by ten in the last two turns, for both sides."""
    turns = Turns((1.0, 1.0, 10.0, 10.0), (2.0, 2.0, 20.0, 20.0))
    assert turns.speed == pytest.approx(0.5)
    assert turns.slowness == pytest.approx(2.0)


def test_the_peak_of_memory_grows_with_what_a_process_holds():
    """In a process of its own: this one may have held more before."""
    program = (
        "from benchmarks.measure import peak_rss_mb as p; a = p(); b = bytearray(b'x') * 60_000_000; print(p() - a)"
    )
    grown = float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
    assert 50 < grown < 90
