"""Declares schemas in the file: rules, indexes, and what changed rules mean for stored documents.

Invariant: after it, the indexes of a declared collection are exactly the declared ones, and every stored projection
was made with the rules that are in force.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from .. import detector
from ..declared import declaration, has_absent_rules, schema_from
from ..schema import FINGERPRINT_BYTES, Schema, policies_fingerprint
from .query import index_name, index_sql
from .reproject import reproject
from .store import Tx


def declare(tx: Tx, schemas: Sequence[Schema]) -> int:
    """Put schemas in force; gives how many stored records look different now."""
    tx.store.policies.update({schema.name: schema.policy for schema in schemas})
    for schema in schemas:
        _declare_one(tx, schema)
    rules = rules_in_force(schemas)
    (found,) = tx.connection.execute("SELECT policy FROM node").fetchone()
    if found == rules:
        return 0
    tx.connection.execute("UPDATE node SET policy = ?", (rules,))
    declared = json.dumps([schema.name for schema in schemas])
    tx.connection.execute(
        "UPDATE collection SET schema = NULL WHERE name NOT IN (SELECT value FROM json_each(?))", (declared,)
    )
    names = [name for (name,) in tx.connection.execute("SELECT name FROM collection ORDER BY id").fetchall()]
    return reproject(tx, names)


def rules_in_force(schemas: Sequence[Schema]) -> bytes:
    """What documents are projected with: the declared rules, and what this version can show."""
    return policies_fingerprint(schemas) + _reading()


def _reading() -> bytes:
    return bytes([detector.READING]) if detector.READING > 1 else b""


def declared_schemas(connection: sqlite3.Connection) -> list[Schema]:
    """The schemas that were declared last, a rule whose code is not here as `Absent`."""
    rows = connection.execute("SELECT name, schema FROM collection WHERE schema IS NOT NULL ORDER BY id").fetchall()
    return [schema_from(name, text) for name, text in rows]


def keep_declared(tx: Tx) -> None:
    """Keep the schemas in force that were declared last, for a program that declares none itself."""
    schemas = declared_schemas(tx.connection)
    tx.store.policies.update({schema.name: schema.policy for schema in schemas})
    (found,) = tx.connection.execute("SELECT policy FROM node").fetchone()
    if found[len(found) // FINGERPRINT_BYTES * FINGERPRINT_BYTES :] != _reading():
        declare(tx, schemas)  # another version can show other things
    if any(has_absent_rules(schema.policy) for schema in schemas):
        # What is written now is projected without those rules: whoever has them must project anew.
        tx.connection.execute("UPDATE node SET policy = ?", (_reading(),))


def _declare_one(tx: Tx, schema: Schema) -> None:
    number = tx.names.collection(schema.name)
    text = declaration(schema)
    (found,) = tx.connection.execute("SELECT schema FROM collection WHERE id = ?", (number,)).fetchone()
    wanted = {index_name(number, fields): index_sql(number, fields) for fields in schema.index_fields}
    prefix = index_name(number, [""])
    existing = {
        name
        for (name,) in tx.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'").fetchall()
        if name.startswith(prefix)
    }
    if found == text and existing == wanted.keys():
        return
    for name in sorted(existing - wanted.keys()):
        tx.connection.execute(f'DROP INDEX "{name}"')
    for name, sql in wanted.items():
        if name not in existing:
            tx.connection.execute(sql)
    tx.connection.execute("UPDATE collection SET schema = ? WHERE id = ?", (text, number))
