-- The log: signed checkpoints, pages of the map of heads (derived data), the secret that blinds ids.

CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE map_page (
    prefix BLOB PRIMARY KEY,
    page   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE map_flush (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL
) STRICT;

CREATE TABLE secret (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT, WITHOUT ROWID;
