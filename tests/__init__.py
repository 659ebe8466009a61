"""The tests mirror the source: the claims about clocks/vector.py stand in tests/clocks/test_vector.py."""
