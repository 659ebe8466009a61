"""Tests of `clocks/`."""
