"""Runs of worlds: one or many seeds, their outcomes and totals, artefacts of failures, replay and shrinking."""
