-- Format 5: deleted records go for good, and the file knows who takes part in its space (decision 0025).

-- What is forgotten here, and who decides that more may be: one row.
CREATE TABLE purging (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    fence     BLOB    NOT NULL,                 -- encoded version vector: what was dead up to here may be gone
    horizon   BLOB    NOT NULL,                 -- of what is absent here, anything up to here may have been forgotten
    mark      BLOB,                             -- becomes the fence when every counted member covers it; NULL: no mark
    marked_ms INTEGER,
    purged_ms INTEGER,                          -- when the fence last rose here
    term      INTEGER NOT NULL CHECK (term >= 0),    -- 0: nobody purges
    number    INTEGER NOT NULL CHECK (number >= 0),  -- of the decision within its term
    authority TEXT    NOT NULL                  -- the identity that purges; '' if nobody does
) STRICT;
INSERT INTO purging (id, fence, horizon, term, number, authority) VALUES (1, x'0100', x'0100', 0, 0, '');

-- Who takes part in the space.
CREATE TABLE member (
    actor    TEXT    PRIMARY KEY,               -- identity
    label    TEXT    NOT NULL,
    sponsor  TEXT    NOT NULL,                  -- the identity that it joined through
    seq      INTEGER NOT NULL,                  -- the operation of the sponsor by which it joined
    heard_ms INTEGER,                           -- when this node last met it, or heard of it through a hub
    marked   INTEGER NOT NULL DEFAULT 0 CHECK (marked IN (0, 1)),  -- 1: known to cover the present mark
    out_ms   INTEGER,                           -- since when it is left out of stability; NULL: it counts
    out_at   BLOB                               -- the vector that it was known to have then
) STRICT, WITHOUT ROWID;

-- Sets of operations, as ranges, that records which came back had forgotten: returns of one session share one row.
CREATE TABLE forgotten (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    ranges BLOB    NOT NULL UNIQUE
) STRICT;

-- NULL: an ordinary record. Else it came back from being forgotten: a row of `forgotten`.
ALTER TABLE record ADD COLUMN returned INTEGER;
-- What may be dropped is found without a scan.
CREATE INDEX record_dead ON record (lsn) WHERE live = 0;
