"""The command `holdfast`: reads arguments, calls the layers below and prints what they return.

It must not hold logic of its own. Invariant: only this layer reads the environment and the command line.
"""

from __future__ import annotations

import click

import holdfast


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(holdfast.__version__, prog_name="holdfast")
def main() -> None:
    """Offline-first data for edge applications."""
