"""The local node: records and their merge, the log, transactions, queries and the deltas that sessions carry.

It must not know any network. Invariant: every change, local or remote, takes the same path from the record on.
"""
