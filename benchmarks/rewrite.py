"""W4: 100 records take 100,000 updates offline, 1,000 per transaction, and travel to a fresh replica.

The same records, updated once each with the last of those values, travel the same way: from the writer to the hub and
from there to a fresh replica. The ratio of the bytes on the sockets shows that a sync costs what changed, not what
happened. What the updates take on disk and in time is shown beside it.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from . import catch_up
from .hub import Space, hub_process
from .measure import median_of
from .meter import Meter, metered
from .processes import NodeProcess, node_process
from .records import Pairs
from .replica import edit, fill, meet
from .scenario import Aim, Plan, Result, progress

TITLE = "few records updated often, then synced"
AIMS = {"against_once": Aim(bound=1.3)}
RECORDS = 100
UPDATES = 100_000
