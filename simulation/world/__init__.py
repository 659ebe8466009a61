"""A world: nodes on disks and a network, what happens to them by plan, healing, and what came of it."""
