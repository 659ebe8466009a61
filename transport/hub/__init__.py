"""The hub: a node that listens and serves a directory of spaces.

It must not hold a session between two posts. Invariant: any worker can answer any request.
"""
