"""The partition simulation: real engines on real SQLite under virtual time, on a network that misbehaves by plan.

May use everything but the command line. Invariant: what happens in a world follows from its plan and its choices; no
module here reads a wall clock, draws randomness of its own, starts a thread or opens a socket.
"""
