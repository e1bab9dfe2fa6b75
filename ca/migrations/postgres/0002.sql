-- The log: signed checkpoints, pages of the map of heads (derived data), the secret that blinds ids.

CREATE TABLE checkpoint (
    size BIGINT PRIMARY KEY,
    note TEXT COLLATE "C" NOT NULL
);

CREATE TABLE map_page (
    prefix BYTEA PRIMARY KEY,
    page   BYTEA NOT NULL
);

CREATE TABLE map_flush (
    one  BIGINT PRIMARY KEY CHECK (one = 1),
    size BIGINT NOT NULL
);

CREATE TABLE secret (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BYTEA NOT NULL CHECK (length(value) = 32)
);
