-- Where notices go, and those that are not sent yet. Both are private: they leave with their use.

CREATE TABLE address (
    uid      TEXT NOT NULL,
    channel  BLOB NOT NULL CHECK (length(channel) = 32),
    kind     INTEGER NOT NULL,
    salt     BLOB NOT NULL CHECK (length(salt) = 32),
    address  TEXT NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (uid, channel)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id          BLOB PRIMARY KEY CHECK (length(id) = 32),
    leaf_index  INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    address     TEXT NOT NULL,
    notice      BLOB NOT NULL,
    at_ms       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    next_ms     INTEGER NOT NULL,
    given_up_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_next ON outbox (next_ms) WHERE given_up_ms IS NULL;
