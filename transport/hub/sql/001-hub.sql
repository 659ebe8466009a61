-- Format 1 of hub.db, the registry of a hub: which spaces it serves, and who is let in.
-- The data of a space stands in a file of its own and not here.

-- The spaces by name.
CREATE TABLE space (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    file       TEXT    NOT NULL UNIQUE,                      -- name of the file in spaces/, hex digits and ".db"
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0)      -- milliseconds since 1970
) STRICT;

-- The tokens. A secret is 32 random bytes, so its plain SHA-256 gives nothing away; the secret itself is never stored.
CREATE TABLE token (
    id         TEXT    PRIMARY KEY,                          -- hex digits; names the token without giving it away
    space      INTEGER NOT NULL REFERENCES space (id),
    rights     TEXT    NOT NULL CHECK (rights IN ('rw', 'r')),
    label      TEXT    NOT NULL,                             -- human note: who holds it
    digest     BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),  -- SHA-256 of the secret
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0),     -- milliseconds since 1970
    revoked_ms INTEGER CHECK (revoked_ms >= 0)               -- milliseconds since 1970; NULL while it is good
) STRICT;
