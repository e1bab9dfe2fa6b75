-- Where notices go, and those that are not sent yet. Both are private: they leave with their use.

CREATE TABLE address (
    uid      TEXT COLLATE "C" NOT NULL,
    channel  BYTEA NOT NULL CHECK (length(channel) = 32),
    kind     BIGINT NOT NULL,
    salt     BYTEA NOT NULL CHECK (length(salt) = 32),
    address  TEXT COLLATE "C" NOT NULL,
    until_ms BIGINT,
    PRIMARY KEY (uid, channel)
);

CREATE TABLE outbox (
    id          BYTEA PRIMARY KEY CHECK (length(id) = 32),
    leaf_index  BIGINT NOT NULL,
    kind        BIGINT NOT NULL,
    address     TEXT COLLATE "C" NOT NULL,
    notice      BYTEA NOT NULL,
    at_ms       BIGINT NOT NULL,
    attempts    BIGINT NOT NULL,
    next_ms     BIGINT NOT NULL,
    given_up_ms BIGINT
);
CREATE INDEX outbox_next ON outbox (next_ms) WHERE given_up_ms IS NULL;
