"""Where records and the log rest: SQLite, its connections, its schema and its statements.

It must not know what a merge is.
Invariant: one transaction is one function, run whole in one hop to the storage thread.
"""
