"""How every command ends: exit codes, errors as text or JSON, broken pipes and interrupts.

It must not know any command. Invariants: an error of the tree never shows a traceback; `--json` works on every command
and then errors are JSON too; the table of exit codes is the one that `--help` prints.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click

from holdfast.errors import (
    FileUnreadable,
    HoldfastError,
    LinkError,
    ProtocolError,
    SimulationFault,
    StorageError,
    SyncHeld,
)

from .output import note, print_error

PROBLEM: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

EXIT_CODES: Final = (
    (0, "ok"),
    (
        PROBLEM,
        "it ran, and something needs a look: a problem found, a sync not complete or held, lines set aside",
    ),
    (USAGE, "the call must change: an unknown option, a missing record, an illegal value, query or address"),
    (3, "the file or the disk failed: missing, locked, damaged, full, no Holdfast file, of a newer format"),
    (4, "the way to the hub failed: unreachable, refused, cut, no hub there, wrong token; work goes on without it"),
    (5, "the hub or the file speaks of something else: another protocol, another space, damaged bytes"),
    (INTERRUPTED, "interrupted (Ctrl-C); what was committed stays"),
    (BROKEN_PIPE, "the reader of the output went away"),
)
"""Every exit code with its meaning."""

_FAMILIES: Final[tuple[tuple[type[HoldfastError], int], ...]] = (
    (StorageError, 3),
    (LinkError, 4),
    (SyncHeld, PROBLEM),
    (ProtocolError, 5),
    (SimulationFault, 1),
)
_JSON: Final = "holdfast.json"


def exit_code(error: HoldfastError) -> int:
    """The exit code that stands for an error of the tree."""
    return next((code for family, code in _FAMILIES if isinstance(error, family)), USAGE)


def wants_json() -> bool:
    """Whether the running command was asked for JSON."""
    return bool(click.get_current_context().meta.get(_JSON))


def was_given(name: str) -> bool:
    """Whether a parameter of the running command stands on the command line; its value may be null."""
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def found_problem() -> NoReturn:
    """End the running command with the exit code for a problem."""
    click.get_current_context().exit(PROBLEM)


class Command(click.Command):
    """A command that knows `--json`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())


class Family(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class: type[click.Group | type] | None = type  # families in families are of the same kind

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())


class Program(Family):
    """The whole command line."""

    group_class = Family

    def main(  # type: ignore[override] # click declares overloads for its two modes
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **extra: Any,  # noqa: ANN401 - passed on
    ) -> NoReturn:
        """Run the command line and exit with its code."""
        words = list(sys.argv[1:] if args is None else args)
        extra.pop("standalone_mode", None)
        sys.exit(self._run(words, prog_name or "holdfast", extra))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click declares it
        """Run a command; a reader of its output that went away ends it."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _silence()
            ctx.exit(BROKEN_PIPE)
        except OSError as error:
            # The files of the engine report for themselves; what is left is the output.
            _silence()
            what = f"the result cannot be written: {error.strerror or error}"
            subject = str(error.filename or "stdout")
            raise FileUnreadable(what, subject=subject, remedy="Check where it goes.") from error
        return result

    def _run(self, words: list[str], prog_name: str, extra: dict[str, Any]) -> int:
        as_json = "--json" in words
        try:
            code = super().main(words, prog_name, standalone_mode=False, **extra)
        except click.Abort:
            print_error("interrupted", "Interrupted: what was committed stays.", prog_name, "Run it again.", as_json)
            return INTERRUPTED
        except click.exceptions.NoArgsIsHelpError as error:
            return _missing_words(error, as_json)
        except click.ClickException as error:
            path = getattr(getattr(error, "ctx", None), "command_path", prog_name)
            remedy = f"See `{path} --help`."
            print_error("usage-error", error.format_message(), path, remedy, as_json)
            return USAGE
        except HoldfastError as error:
            print_error(error.code, error.what, error.subject, error.typed, as_json)
            return exit_code(error)
        return code if isinstance(code, int) else 0


def _missing_words(error: click.exceptions.NoArgsIsHelpError, as_json: bool) -> int:  # noqa: FBT001 - as given
    """A command that was given no words at all is explained."""
    if as_json:
        path = error.ctx.command_path
        print_error("usage-error", "arguments are missing", path, f"See `{path} --help`.", as_json)
    else:
        note(error.ctx.get_help())
    return USAGE


def _json_option() -> click.Option:
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        callback=_remember_json,
        help="Print one JSON value; errors as JSON too.",
    )


def _remember_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's call
    ctx.meta[_JSON] = ctx.meta.get(_JSON) or value


def _silence() -> None:
    """Lead what is still to be flushed at the end of the process into nothing."""
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, sys.stdout.fileno())
    finally:
        os.close(sink)
