"""The command `holdfast`: the tree of its commands, and what holds for all of them.

It must not hold logic of its own. Invariants: only this folder reads the environment and the command line; importing
it imports neither the engine nor the network, so that `--help` and a small command start fast.
"""

from __future__ import annotations

import logging

import click

import holdfast

from .bundles import bundle
from .conflicts import conflicts
from .exporting import export
from .history import disown, history, revert, undo
from .holding import approve, held
from .hub import hub
from .importing import import_
from .inspection import audit, ledger, log, quarantine, status
from .members import members, purge
from .program import EXIT_CODES, Program
from .queries import list_, query
from .records import delete, get, init, put, update
from .retention import erase, trim
from .simulate import simulate
from .snapshots import backup, restore, snapshot
from .syncing import bootstrap, sync
from .verifying import verify

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES)


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=_EPILOG,
)
@click.version_option(holdfast.__version__, prog_name="holdfast")
@click.option("-v", "--verbose", count=True, help="Log to stderr what is done; twice: every detail.")
def main(*, verbose: int) -> None:
    """Offline-first data for edge applications.

    Every FILE is a database that is always readable and writable; sync brings files of one space to agreement. What
    only reads runs beside an application that has FILE open; what writes needs FILE for itself.

    \b
    From nothing to a record on two nodes (with a hub that runs, see `holdfast hub --help`):
      holdfast init edge.db --space plant
      holdfast put edge.db tasks t1 '{"title": "Check valve"}'
      holdfast sync edge.db http://127.0.0.1:8787 --token hf_...
      holdfast sync other.db http://127.0.0.1:8787 --token hf_... --space plant
      holdfast get other.db tasks t1
    """
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("holdfast").setLevel(level)


hub.add_command(held)
hub.add_command(approve)
for _command in (
    init, put, update, delete, get, list_, query, import_, export, sync, bootstrap, conflicts, history, revert, undo,
    disown, trim, erase,
    log, audit, ledger, quarantine, status, verify,
    snapshot, backup, restore, bundle, members, purge, hub, simulate,
):  # fmt: skip
    main.add_command(_command)
