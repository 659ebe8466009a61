"""Scenarios as data: plans, the actions they name, reading, building and drawing them."""
