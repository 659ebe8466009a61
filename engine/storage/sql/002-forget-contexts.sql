-- Format 2: vectors that nothing refers to any more are deleted (docs/decisions/0012-vectors-that-go.md).

-- AUTOINCREMENT, because no number may be given twice: records go on naming contexts that were settled and are gone.
CREATE TABLE numbered_context (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    vector  BLOB    NOT NULL UNIQUE,                       -- encoded version vector
    settled INTEGER NOT NULL CHECK (settled IN (0, 1)),    -- 1: the node's own vector covers it
    logged  INTEGER NOT NULL CHECK (logged IN (0, 1))      -- 1: a log row refers to it, so it stays
) STRICT;
INSERT INTO numbered_context (id, vector, settled, logged)
SELECT id, vector, settled, id IN (SELECT context FROM log WHERE context IS NOT NULL) FROM context ORDER BY id;
DROP TABLE context;
ALTER TABLE numbered_context RENAME TO context;
-- Few rows are ever unsettled; this finds them without a scan.
CREATE INDEX context_unsettled ON context (id) WHERE settled = 0;

-- Whether a peer or a hole refers to a vector is asked whenever one is replaced.
CREATE INDEX peer_vector ON peer (vector) WHERE vector IS NOT NULL;
CREATE INDEX peer_told ON peer (told) WHERE told IS NOT NULL;
CREATE INDEX hole_context ON hole (context);

-- `record.extra` is no foreign key any more. Rewriting the declaration removes a constraint without copying the table.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(
    sql,
    'extra      INTEGER REFERENCES context (id),            -- extra context, void once that row is settled',
    'extra      INTEGER,                                    -- extra context, void once that row is settled or gone'
)
WHERE type = 'table' AND name = 'record';
PRAGMA writable_schema = RESET;

-- What nothing refers to now.
DELETE FROM context
WHERE settled = 1 AND logged = 0
    AND id NOT IN (SELECT vector FROM peer WHERE vector IS NOT NULL)
    AND id NOT IN (SELECT told FROM peer WHERE told IS NOT NULL)
    AND id NOT IN (SELECT context FROM hole);
