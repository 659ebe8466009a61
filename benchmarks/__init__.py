"""Named scenarios that measure Holdfast against a floor: plain `sqlite3` doing the least that the same job needs.

`python -m benchmarks SCENARIO` runs one of them; docs/benchmarks.md says what each means and what limits it.
Nothing here is part of the installed package, and nothing in the package may import it.
Invariant: a ratio compares a floor and a product that were measured alternately in one run, from the same records.
"""
