"""Batches: every promise of a delta is checked on the way in, and what is inside documents and cells is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from holdfast.clocks import SEQ_MAX, VersionVector
from holdfast.engine.delta import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Delta
from holdfast.errors import MalformedMessage, MalformedVector
from holdfast.transport.batch import batch_items, read_batch
from holdfast.transport.columns import pack_blobs, pack_integers, pack_steps, pack_texts
from holdfast.transport.payload import PayloadReader, pack
from tests.transport.samples import HUB, MIXED, SAMPLES, batches, plain_batch

BATCH = SAMPLES["batch"]

# Positions of the items; a column of texts, byte strings or steps takes two.
ITEMS = {"feed": 0, "start": 1, "end": 2, "drained": 3, "base": 4, "entries": 5, "actors": 6, "labels": 7}
ITEMS |= {"collections": 9, "contexts": 12, "count": 15, "collection": 16, "key": 17, "actor": 19, "seq": 20}
ITEMS |= {"clock": 22, "flags": 24, "doc": 25, "cells": 27, "extra": 32}


def read(items):
    reader = PayloadReader(pack(items), "batch")
    batch = read_batch(reader)
    reader.finish()
    return batch


def forged(name, *items):
    """The items of the sample batch with those from `name` on replaced."""
    forgery = list(batch_items(BATCH))
    at = ITEMS[name]
    forgery[at : at + len(items)] = items
    return forgery


def with_delta(**changes):
    """The sample batch with another delta, one that may break its promises."""
    return replace(BATCH, delta=replace(MIXED, **changes))


@given(batches())
def test_a_batch_round_trips(batch):
    assert read(batch_items(batch)) == batch


def test_the_empty_batch_round_trips():
    batch = replace(BATCH, delta=Delta())
    assert read(batch_items(batch)) == batch


def test_content_of_documents_and_cells_is_not_judged():
    batch = with_delta(doc=["no json", "[" * 1000, "", "\x00\n"], cells={1: b"\xff\xfe", 3: b""})
    assert read(batch_items(batch)) == batch


LIES = {
    "feed id of 7 bytes": (forged("feed", b"1234567"), "feed"),
    "feed id as text": (forged("feed", "12345678"), "feed"),
    "start that is a boolean": (forged("start", True), "start"),
    "drained that is a number": (forged("drained", 1), "drained"),
    "base of 7 bytes": (forged("base", b"1234567"), "vector.base"),
    "actors of 17 bytes": (forged("actors", b"1" * 17), "actors"),
    "an actor twice": (forged("actors", b"1" * 32), "actors"),
    "fewer labels than actors": (forged("labels", *pack_texts(["hub"])), "labels"),
    "a label of 513 bytes": (forged("labels", *pack_texts(["", "x" * 513])), "labels"),
    "a collection twice": (forged("collections", 2, *pack_texts(["a", "a"])), "collections"),
    "a collection without a name": (forged("collections", 2, *pack_texts(["a", ""])), "collections"),
    "more collections than told": (forged("collections", 1, *pack_texts(["a", "b"])), "collections"),
    "too many records": (forged("count", BATCH_RECORDS_MAX + 1), "count"),
    "negative records": (forged("count", -1), "count"),
    "a record less": (forged("count", 3), "collection"),
    "a collection outside its table": (forged("collection", pack_integers([0, 0, 2, 0])), "collection"),
    "a negative collection": (forged("collection", pack_integers([0, 0, -1, 0])), "collection"),
    "an empty key": (forged("key", *pack_texts(["a", "b", "", "d"])), "key"),
    "a key of 513 bytes": (forged("key", *pack_texts(["a", "b", "ö" * 256 + "x", "d"])), "key"),
    "a record twice": (forged("key", *pack_texts(["a", "b", "c", "a"])), "key"),
    "a key too many": (forged("key", *pack_texts(["a", "b", "c", "d", "e"])), "key"),
    "an actor outside its table": (forged("actor", pack_integers([0, -1, 2, 0])), "actor"),
    "an actor of -2": (forged("actor", pack_integers([0, -2, 1, 0])), "actor"),
    "a record without dot and cells": (forged("actor", pack_integers([0, -1, -1, -1])), "seq"),
    "sequence number 0": (forged("seq", *pack_steps([1, 0, 2])), "seq"),
    "sequence numbers too high": (forged("seq", SEQ_MAX, pack_integers([0, 1])), "seq"),
    "a clock too high": (forged("clock", SEQ_MAX, pack_integers([1, 0])), "clock"),
    "a clock below 0": (forged("clock", 0, pack_integers([-1, 1])), "clock"),
    "a clock too few": (forged("clock", 0, b"\x05\x06\x07"), "clock"),
    "negative flags": (forged("flags", -1), "flags"),
    "a document too few": (forged("doc", *pack_texts(["{}"] * 3)), "doc"),
    "documents that are text": (forged("doc", None, "{}\n{}\n{}\n{}"), "doc"),
    "documents that are no UTF-8": (forged("doc", None, b"{}\n\xff\n{}\n{}"), "doc"),
    "cells behind the last record": (forged("cells", 2, *pack_steps([1, 4])), "cells"),
    "cells of a record twice": (forged("cells", 2, 1, 0), "cells"),
    "cells in another order": (forged("cells", 2, *pack_steps([2, 1])), "cells"),
    "more cells than records": (forged("cells", 5), "cells"),
    "cells with lengths that lie": (forged("cells", 2, *pack_steps([1, 2]), 3, b"1234567"), "cells"),
    "a frontier nowhere": (forged("cells", 2, *pack_steps([0, 2]), *pack_blobs([b"a", b"b"])), "cells"),
    "a context outside its table": (forged("extra", 2, *pack_steps([1, 3]), 1), "extra"),
    "a negative context": (forged("extra", 2, *pack_steps([1, 3]), -1), "extra"),
    "no items": ([], "feed"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_batch_that_lies_is_refused_and_the_field_named(name):
    items, field = LIES[name]
    with pytest.raises(MalformedMessage, match=rf"\(batch\.{field}\)"):
        read(items)


@pytest.mark.parametrize("size", range(len(list(batch_items(BATCH)))))
def test_a_batch_without_its_last_items_is_refused(size):
    with pytest.raises(MalformedMessage):
        read(list(batch_items(BATCH))[:size])


def test_a_context_that_is_no_vector_is_refused():
    with pytest.raises(MalformedVector):
        read(forged("contexts", 1, *pack_blobs([b"\xff"])))


def test_a_key_may_repeat_in_another_collection_and_have_512_bytes():
    batch = with_delta(key=["a", "b", "a", "ö" * 256])
    assert read(batch_items(batch)) == batch


def test_the_largest_batch_passes_and_one_record_more_is_refused():
    batch = plain_batch(BATCH_RECORDS_MAX)
    assert read(batch_items(batch)) == batch
    with pytest.raises(AssertionError):
        list(batch_items(plain_batch(BATCH_RECORDS_MAX + 1)))


def test_documents_at_the_limit_of_bytes_pass_and_one_more_is_refused():
    one = replace(plain_batch(1).delta, doc=["x" * BATCH_BYTES_MAX])
    batch = replace(BATCH, delta=one)
    assert read(batch_items(batch)) == batch
    with pytest.raises(MalformedMessage, match=r"\(batch\.doc\)"):
        read(batch_items(replace(BATCH, delta=replace(one, doc=["x" * (BATCH_BYTES_MAX + 1)]))))


def test_an_extra_context_is_a_whole_vector():
    contexts = (VersionVector({HUB: SEQ_MAX}), VersionVector({}))
    batch = with_delta(contexts=contexts, extra={0: 1, 3: 0})
    assert read(batch_items(batch)).delta.contexts == contexts
