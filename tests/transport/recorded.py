"""Sessions that were recorded as bytes, once for each protocol version, and what a node holds that takes them in.

They were written by

    PYTHONPATH=src python -m tests.transport.recorded

which never replaces a folder: what a released version has said must mean the same to every later one that speaks its
protocol, and be refused by name by one that does not. Made with real nodes: plain and updated records, conflicts,
tombstones, texts in several scripts, unknown types and flags, a session that was cut (extra contexts), an answer to a
request for whole records, and an update with values left out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from holdfast import Engine
from holdfast.engine.replica import Replica
from holdfast.errors import LinkCut
from holdfast.transport.links.memory import MemoryLink
from holdfast.transport.messages import PROTOCOL_VERSION
from holdfast.transport.responder import respond
from holdfast.transport.sync import sync
from tests.engine.test_quarantine import STRANGER, from_the_future
from tests.nodes import meet, opened

KEPT = Path(__file__).parent / "kept"


async def recorded(node: Engine, hub: Engine, spoken: list[bytes]) -> None:
    """One sync of a node with a hub; what both say goes to the list: request, answer, request, ..."""

    def answer(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        spoken.extend((b"", b""))
        asked, said = len(spoken) - 2, len(spoken) - 1

        async def heard() -> AsyncGenerator[bytes, None]:
            async for chunk in chunks:
                spoken[asked] += chunk
                yield chunk

        async def answered() -> AsyncGenerator[bytes, None]:
            async for chunk in respond(Replica(hub), heard(), rights="rw"):
                spoken[said] += chunk
                yield chunk

        return answered()

    await sync(Replica(node), MemoryLink(answer, url="memory://hub"))


async def record(place: Path) -> tuple[list[bytes], dict[str, Any]]:
    """Two sessions of a new node with a hub that holds records of every kind, and what the node holds then."""
    spoken: list[bytes] = []
    async with (
        opened(place / "hub.db", space="s", name="hub") as hub,
        opened(place / "a.db", space="s", name="a", batch_bytes=500) as a,
        opened(place / "b.db", space="s", name="b") as b,
        opened(place / "new.db", space="s", name="new") as new,
    ):
        for n in range(12):
            fields = {"n": n, "text": "日本 \U0001f600\n" * n, "half": n / 2, "none": None, "yes": True}
            await a["t"].put(f"k{n}", fields)
        await meet(a, hub)
        await meet(b, hub)
        await a["t"].update("k1", {"n": "a"})
        await b["t"].update("k1", {"n": "b", "more": [1, {"x": 2}]})
        await a["t"].delete("k2")
        await b["t"].update("k2", {"n": "revived"})
        await b["t"].delete("k3")
        await Replica(a).apply(from_the_future(), STRANGER)
        await meet(b, hub)
        await meet(a, hub)
        for n in range(4, 10):
            await a["t"].update(f"k{n}", {"n": -n})
        try:
            await meet(a, hub, cut_after=(3, None))
        except LinkCut:
            assert not (await hub.status()).whole
        await recorded(new, hub, spoken)
        await hub["t"].update("k5", {"n": "later"})
        await new["t"].update("k6", {"n": "new"})
        await recorded(new, hub, spoken)
        shown = {document.key: document.fields for document in await new["t"].query()}
        return spoken, {"digest": (await new.status()).digest, "fields": shown}


def keep(folder: Path, spoken: list[bytes], state: dict[str, Any]) -> None:
    """Write them down."""
    folder.mkdir(parents=True)
    for number, data in enumerate(spoken):
        (folder / f"{number // 2}-{('request', 'answer')[number % 2]}.frames").write_bytes(data)
    (folder / "state.json").write_text(json.dumps(state, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    FOLDER = KEPT / f"v{PROTOCOL_VERSION}"
    if not FOLDER.exists():
        with TemporaryDirectory() as name:
            keep(FOLDER, *asyncio.run(record(Path(name))))
