"""Declares schemas in the file: rules, indexes, and what changed rules mean for stored documents.

Invariant: after it, the indexes of a declared collection are exactly the declared ones, and every stored projection
was made with the rules that are in force.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..schema import Schema, policies_fingerprint
from .query import index_name, index_sql
from .reproject import reproject
from .store import Tx


def declare(tx: Tx, schemas: Sequence[Schema]) -> int:
    """Put schemas in force; gives how many stored records look different now."""
    tx.store.policies.update({schema.name: schema.policy for schema in schemas})
    for schema in schemas:
        _declare_one(tx, schema)
    rules = policies_fingerprint(schemas)
    (found,) = tx.connection.execute("SELECT policy FROM node").fetchone()
    if found == rules:
        return 0
    tx.connection.execute("UPDATE node SET policy = ?", (rules,))
    names = [name for (name,) in tx.connection.execute("SELECT name FROM collection ORDER BY id").fetchall()]
    return reproject(tx, names)


def _declare_one(tx: Tx, schema: Schema) -> None:
    number = tx.names.collection(schema.name)
    text = json.dumps({"version": schema.version, "columns": schema.columns, "indexes": schema.index_fields})
    (found,) = tx.connection.execute("SELECT schema FROM collection WHERE id = ?", (number,)).fetchone()
    if found == text:
        return
    wanted = {index_name(number, fields): index_sql(number, fields) for fields in schema.index_fields}
    prefix = index_name(number, [""])
    existing = {
        name
        for (name,) in tx.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'").fetchall()
        if name.startswith(prefix)
    }
    for name in sorted(existing - wanted.keys()):
        tx.connection.execute(f'DROP INDEX "{name}"')
    for name, sql in wanted.items():
        if name not in existing:
            tx.connection.execute(sql)
    tx.connection.execute("UPDATE collection SET schema = ? WHERE id = ?", (text, number))
