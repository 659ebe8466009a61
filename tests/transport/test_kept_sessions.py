"""What earlier versions have said: kept sessions decode, mean what they meant, and are written so still."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.clocks import EMPTY
from holdfast.engine.replica import Replica
from holdfast.errors import IncompatibleProtocol
from holdfast.transport.frame import FrameReader
from holdfast.transport.handshake import from_message, resolve
from holdfast.transport.messages import PROTOCOL_VERSION, Ack, Batch, Hello, Message
from holdfast.transport.wire import Decoder, encode
from tests.nodes import opened
from tests.transport.recorded import KEPT
from tests.transport.samples import decoded

VERSIONS = sorted(path for path in KEPT.iterdir())


def number_of(folder: Path) -> int:
    return int(folder.name.removeprefix("v"))


def messages_in(path: Path) -> list[Message]:
    return [*decoded(Decoder(), path.read_bytes())]


def payloads(data: bytes) -> list[bytes]:
    reader = FrameReader()
    reader.feed(data)
    found = []
    while (frame := reader.next()) is not None:
        found.append(bytes(frame.payload))
    return found


def test_sessions_of_this_version_are_kept():
    assert PROTOCOL_VERSION in map(number_of, VERSIONS)


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_what_was_said_is_read_or_refused_by_name(folder):
    for path in sorted(folder.glob("*.frames")):
        if number_of(folder) != PROTOCOL_VERSION:
            with pytest.raises(IncompatibleProtocol) as caught:
                messages_in(path)
            assert f"version {number_of(folder)}" in caught.value.what
            assert f"version {PROTOCOL_VERSION}" in caught.value.what
            continue
        messages = messages_in(path)
        assert isinstance(messages[0], Hello)
        written = b"".join(frame for message in messages for frame in encode(message))
        assert payloads(written) == payloads(path.read_bytes())


@pytest.mark.parametrize(
    "folder", [folder for folder in VERSIONS if number_of(folder) == PROTOCOL_VERSION], ids=lambda folder: folder.name
)
async def test_who_takes_in_what_was_said_holds_what_was_held(tmp_path, folder):
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    kinds = set()
    async with opened(tmp_path / "n.db", space="s") as node:
        replica, known = Replica(node), {EMPTY.fingerprint(): EMPTY}
        for path in sorted(folder.glob("*.frames"), key=lambda path: (path.name[0], "answer" in path.name)):
            said, *rest = messages_in(path)
            kinds |= {Hello, *map(type, rest)}
            base = resolve(said.vector, known.get(said.vector.base, EMPTY))
            assert base is not None
            for message in rest:
                if isinstance(message, Batch):
                    batch = from_message(message, base)
                    assert batch is not None
                    await replica.apply(batch, said.actor)
                    known[batch.vector.fingerprint()] = batch.vector
            known[base.fingerprint()] = base
        assert {Hello, Batch, Ack} <= kinds
        assert (await node.status()).digest == state["digest"]
        assert {document.key: document.fields for document in await node["t"].query()} == state["fields"]
        assert (await node["t"].get("k")).quarantined == ("odd", "tensor")
        assert (await node.verify()).problems == ()
