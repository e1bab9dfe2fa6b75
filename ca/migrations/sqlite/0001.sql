-- Everything but `event`, `evidence` and `certificate.certificate` could be made again by replay.

CREATE TABLE tree (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL
) STRICT;
INSERT INTO tree VALUES (1, 0);

CREATE TABLE stored_hash (
    idx  INTEGER PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TABLE event (
    leaf_index INTEGER PRIMARY KEY,
    leaf       BLOB NOT NULL,
    salt       BLOB NOT NULL CHECK (length(salt) = 32),
    event      BLOB NOT NULL,
    uid        TEXT,
    sequence   INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_history ON event (uid, sequence) WHERE uid IS NOT NULL;

CREATE TABLE evidence (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    data BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE identity (
    uid          TEXT PRIMARY KEY,
    blinding_key BLOB NOT NULL CHECK (length(blinding_key) = 32),
    status       INTEGER NOT NULL,
    sequence     INTEGER NOT NULL,
    head         BLOB NOT NULL CHECK (length(head) = 32),
    key_hash     BLOB,
    key_number   INTEGER NOT NULL,
    key_proven   INTEGER NOT NULL,
    recovery     BLOB,
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL
) STRICT;

CREATE TABLE subject_key (
    hash      BLOB PRIMARY KEY CHECK (length(hash) = 32),
    uid       TEXT NOT NULL,
    spki      BLOB NOT NULL,
    algorithm TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE certificate (
    leaf_index  INTEGER PRIMARY KEY,
    serial      BLOB NOT NULL CHECK (length(serial) = 16),
    uid         TEXT NOT NULL,
    kind        INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    key_hash    BLOB NOT NULL,
    issuer      BLOB NOT NULL,
    shard       INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    vouched     TEXT NOT NULL,
    certificate BLOB,
    revoked_leaf   INTEGER,
    revoked_ms     INTEGER,
    revoked_reason INTEGER
) STRICT;
CREATE INDEX certificate_uid ON certificate (uid, leaf_index);
CREATE INDEX certificate_key ON certificate (key_hash);
CREATE INDEX certificate_unfinished ON certificate (leaf_index) WHERE certificate IS NULL;
CREATE INDEX certificate_revoked ON certificate (issuer, shard, leaf_index) WHERE revoked_leaf IS NOT NULL;

CREATE TABLE idempotency (
    key        TEXT PRIMARY KEY,
    request    BLOB NOT NULL CHECK (length(request) = 32),
    leaf_index INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE refusal (
    id       INTEGER PRIMARY KEY,
    uid      TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    verb     TEXT NOT NULL,
    key_hash BLOB,
    code     TEXT NOT NULL,
    detail   TEXT NOT NULL,
    vouched  TEXT NOT NULL
) STRICT;
CREATE INDEX refusal_uid ON refusal (uid, id);

CREATE TABLE crl (
    issuer      BLOB NOT NULL,
    shard       INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    crl         BLOB NOT NULL,
    PRIMARY KEY (issuer, shard)
) STRICT, WITHOUT ROWID;
