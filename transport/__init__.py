"""Meeting other nodes: the session as a state machine, the wire format and the links that carry its bytes.

It must not decide how values merge. Invariant: sessions and codec do no I/O; only links do.
"""
