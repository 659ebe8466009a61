"""The commands about a hub: its directory, its spaces, its tokens, and running it.

Invariant: a secret is printed once, alone on stdout, and stands nowhere else.
"""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.clocks import SpaceId

from .files import run
from .fleet import fleet
from .inspection import status_of
from .output import moment, note, print_json, printable, say, table
from .program import Family, wants_json
from .syncing import guard_of, hold_option

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from holdfast import Engine, Guard, Purge
    from holdfast.transport.hub.registry import HubRegistry, Rights, Space, Token

DAY_S = 24 * 60 * 60

directory_argument = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))


@click.group(cls=Family)
def hub() -> None:
    """Serve spaces to other nodes.

    A hub is a node that listens. Its directory holds the spaces it serves, each in a file of its own, and the tokens
    that open them.

    \b
    From nothing to a running hub:
      holdfast hub init /srv/hub
      holdfast hub space add /srv/hub plant
      holdfast hub token add /srv/hub plant --label pump-7
      holdfast hub run /srv/hub
    """


@hub.command()
@directory_argument
def init(*, directory: Path) -> None:
    """Make DIR the directory of a hub; one that is there already stays as it is."""
    from holdfast.transport.hub.registry import HubRegistry

    HubRegistry.init(directory)
    if wants_json():
        print_json({"directory": str(directory)})
    else:
        say(printable(f"hub in {directory}"))


@hub.group()
def space() -> None:
    """The spaces that a hub serves."""


@space.command("add")
@directory_argument
@click.argument("name")
@click.option("--id", "space_id", metavar="ID", help="Id of a space that nodes hold already.")
def add_space(*, directory: Path, name: str, space_id: str | None) -> None:
    """Serve a new space NAME; its file is made when its first node comes.

    With --id (`holdfast status` shows it) the new space is the one that nodes hold already: a second hub for it, or one
    in place of a hub that was lost. Without it the hub takes part in the space of the first node that belongs to one,
    or begins one with the first that brings data.
    """
    wanted = _space_id(space_id) if space_id is not None else None
    added = registry_of(directory).add_space(name)
    if wanted is not None:
        run(_fix_space(added, wanted))
    if wants_json():
        print_json(_space_json(added))
    else:
        say(printable(f"added space {added.name}"))


@space.command("set-id")
@directory_argument
@click.argument("name")
@click.argument("space_id", metavar="ID")
def set_space_id(*, directory: Path, name: str, space_id: str) -> None:
    """Give the space NAME, which holds nothing yet, the ID of a space that nodes hold already.

    Stop the hub first, if a node has come for this space.
    """
    found = registry_of(directory).space(name)
    run(_fix_space(found, _space_id(space_id)))
    if wants_json():
        print_json(_space_json(found))
    else:
        say(printable(f"space {found.name} has the id {space_id.lower()}"))


@space.command("list")
@directory_argument
def list_spaces(*, directory: Path) -> None:
    """List the spaces by name."""
    found = registry_of(directory).spaces()
    if wants_json():
        print_json([_space_json(item) for item in found])
    else:
        say(table(("space", "added", "file"), [(item.name, moment(item.created_ms), item.path) for item in found]))


@hub.command("status")
@directory_argument
@click.argument("space", required=False)
def hub_status(*, directory: Path, space: str | None) -> None:
    """Show who has what, how far behind, and since when.

    For SPACE, or for every space: the nodes that the hub has met, how many records and operations each is not known to
    have, when it was last met, and when it last brought what it had written. A node says with its next sync what it has
    stored; until then the last it was sent is not confirmed. Identities that were left out of purging or given up, or
    that a later one of their node has followed, stand apart.
    It runs beside the hub. Lines that begin with ! say what keeps a space from agreeing.
    """
    registry = registry_of(directory)
    found = [registry.space(space)] if space is not None else registry.spaces()
    held = [(item.name, run(status_of(item.path)) if item.path.exists() else None) for item in found]
    if wants_json():
        print_json({name: None if status is None else status.as_json() for name, status in held})
    else:
        say("\n\n".join(fleet(name, status) for name, status in held) or "no spaces yet")


@hub.group()
def token() -> None:
    """The tokens that open a space."""


@token.command("add")
@directory_argument
@click.argument("space")
@click.option(
    "--rights",
    type=click.Choice(["rw", "r"]),
    default="rw",
    show_default=True,
    help="rw: read and write; r: read only.",
)
@click.option("--label", default="", metavar="TEXT", help="Who or what it is for, to find it again in lists.")
def add_token(*, directory: Path, space: str, rights: Rights, label: str) -> None:
    """Make a token for SPACE and print its secret.

    The secret stands alone on stdout, once; the hub keeps only its hash. Give it to the node in HOLDFAST_TOKEN.
    """
    token_id, secret = registry_of(directory).add_token(space, rights, label)
    if wants_json():
        print_json({"id": token_id, "space": space, "rights": rights, "label": label, "token": secret})
    else:
        say(secret)
        note(printable(f"Token {token_id} for {space} ({rights}). Keep it: it is not shown again."))


@token.command("list")
@directory_argument
@click.argument("space", required=False)
def list_tokens(*, directory: Path, space: str | None) -> None:
    """List the tokens of SPACE, or of all spaces, revoked ones included."""
    registry = registry_of(directory)
    names = [space] if space is not None else [item.name for item in registry.spaces()]
    found = [item for name in names for item in registry.tokens(name)]
    if wants_json():
        print_json([_token_json(item) for item in found])
    else:
        say(table(("id", "space", "rights", "label", "made", "revoked"), [_token_row(item) for item in found]))


@token.command("revoke")
@directory_argument
@click.argument("token_id", metavar="ID")
def revoke_token(*, directory: Path, token_id: str) -> None:
    """Close the token ID for good; a running hub refuses it from the next request on."""
    registry_of(directory).revoke(token_id)
    if wants_json():
        print_json({"id": token_id, "revoked": True})
    else:
        say(printable(f"revoked {token_id}"))


@hub.command("run")
@directory_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 or :: for all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="Port; 0 for any free one."
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key (PEM).")
@click.option("--insecure", is_flag=True, help="Serve plain HTTP to other machines, behind a proxy that speaks TLS.")
@click.option(
    "--leave-out-after",
    type=click.FloatRange(min=0, min_open=True),
    metavar="DAYS",
    help="Do not wait with purging for nodes that were silent for so long; by default for ever.",
)
@hold_option
def run_hub(  # noqa: PLR0913 - the options of a whole program
    *,
    directory: Path,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
    leave_out_after: float | None,
    hold_above: float | None,
) -> None:
    """Serve the hub in DIR until it is told to stop.

    Prints its address once it listens; its log goes to stderr. What goes wrong with a client is logged once, and
    counted while it goes on. SIGTERM or Ctrl-C lets running exchanges end (10 s) and exits 0; a second one ends at
    once. Spaces and tokens may be added and revoked meanwhile.

    The hub lets deleted records go for good once every node that it met has heard of the delete (see `holdfast
    members`). With --hold-above it holds back what one node would change within an hour beyond that share of a
    collection, until it is approved (see `holdfast hub held`).
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    log = logging.getLogger("holdfast")
    log.setLevel(min(log.level, logging.INFO))  # -vv asks for more
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    silent_s = None if leave_out_after is None else leave_out_after * DAY_S
    guard = guard_of(hold_above)
    run(_serve(directory, host, port, tls, insecure=insecure, silent_s=silent_s, guard=guard))


async def _serve(
    directory: Path,
    host: str,
    port: int,
    tls: tuple[Path, Path] | None,
    *,
    insecure: bool,
    silent_s: float | None,
    guard: Guard | None,
) -> None:
    from holdfast import Purge, __version__
    from holdfast.engine.replica import Replica
    from holdfast.engine.starters import Offering
    from holdfast.transport.hub.holding import Holding
    from holdfast.transport.hub.server import serve, tls_context
    from holdfast.transport.responder import respond

    async def opened(name: str, path: Path) -> Engine:
        return await open_space(path, name, Purge(silent_after_s=silent_s))

    holdings: dict[str, Holding] = {}

    def answer(engine: Engine, chunks: AsyncIterator[bytes], *, rights: Rights) -> AsyncGenerator[bytes, None]:
        if guard is not None and engine.space not in holdings:
            holdings[engine.space] = Holding(registry_of(directory), engine.space, guard)
        return respond(Replica(engine, holdings.get(engine.space)), chunks, rights=rights)

    await serve(
        directory,
        host,
        port,
        open_engine=opened,
        respond=answer,
        offering=Offering,
        tls=tls_context(*tls) if tls else None,
        insecure=insecure,
        version=__version__,
        ready=_announce,
    )


async def open_space(path: Path, name: str, purge: Purge) -> Engine:
    """Open a space as its hub, which decides who takes part if nobody does; what fails leaves nothing open."""
    from holdfast import Engine

    engine = await Engine.open(path, space=name, name="hub", purge=purge)
    try:
        if not any(member.decides for member in await engine.members.list()):  # or this file did, before it was renewed
            await engine.members.seize("nobody did, and this is the hub")
    except BaseException:
        await engine.close()
        raise
    return engine


async def _fix_space(space: Space, space_id: SpaceId) -> None:
    from holdfast import Engine
    from holdfast.engine.replica import Replica

    async with Engine.open(space.path, space=space.name, name="hub") as engine:
        await Replica(engine).fix_space(space_id)


def _space_id(text: str) -> SpaceId:
    if not re.fullmatch("[0-9a-f]{32}", text.lower()):
        raise click.BadParameter("must be 32 hexadecimal digits, as `holdfast status` shows them", param_hint="ID")
    return SpaceId(text.lower())


def _announce(url: str) -> None:
    if wants_json():
        print_json({"url": url})
    else:
        say(f"listening on {url}")
    sys.stdout.flush()


def registry_of(directory: Path) -> HubRegistry:
    """The registry of the hub in a directory."""
    from holdfast.transport.hub.registry import HubRegistry

    return HubRegistry(directory)


def _space_json(item: Space) -> dict[str, object]:
    return {"space": item.name, "file": str(item.path), "created_ms": item.created_ms}


def _token_json(item: Token) -> dict[str, object]:
    return {
        "id": item.id,
        "space": item.space,
        "rights": item.rights,
        "label": item.label,
        "created_ms": item.created_ms,
        "revoked_ms": item.revoked_ms,
    }


def _token_row(item: Token) -> tuple[object, ...]:
    revoked = "-" if item.revoked_ms is None else moment(item.revoked_ms)
    return item.id, item.space, item.rights, item.label, moment(item.created_ms), revoked
