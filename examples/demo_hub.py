"""The hub of the demonstration: the command line as its users have it, in a process that ends with its parent.

Knows nothing of hubs. Invariant: when stdin ends, the process is told to stop as an operator would tell it, however the
one that started it came to its end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from holdfast.service.cli import main


def stop_with_parent() -> None:
    """Wait until the other end of stdin is closed."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=stop_with_parent, daemon=True).start()
    main(prog_name="holdfast")
