-- Format 6: what the vectors of a file have in common is kept once (decision 0038); watchers hear of purged records.

-- What identities that write no more have written, in steps. A row never changes.
CREATE TABLE past (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    parent INTEGER REFERENCES past (id),        -- the past that this one goes beyond; NULL: nothing
    digest BLOB    NOT NULL,                    -- of the parent's digest and the vector: stands for the whole past
    vector BLOB    NOT NULL                     -- encoded vector: the entries that are otherwise than in the parent
) STRICT;

-- The past that vectors are kept over from now on; NULL: none yet.
ALTER TABLE node ADD COLUMN past INTEGER REFERENCES past (id);

ALTER TABLE vector ADD COLUMN apart INTEGER NOT NULL DEFAULT 1 CHECK (apart IN (0, 1));  -- 0: as in that past
ALTER TABLE vector ADD COLUMN moved_ms INTEGER NOT NULL DEFAULT 0;  -- when it last grew, by the wall clock here
-- The entries that make up the vector, beside the past, are found without reading all others.
CREATE INDEX vector_apart ON vector (actor) WHERE apart = 1;

-- When a record that is gone for good was deleted here, or emptied: watchers are told.
ALTER TABLE buried ADD COLUMN lsn INTEGER NOT NULL DEFAULT 0;
UPDATE buried SET lsn = coalesce((SELECT max(lsn) FROM log WHERE record = buried.id), (SELECT lsn FROM node));
CREATE INDEX buried_lsn ON buried (lsn);
