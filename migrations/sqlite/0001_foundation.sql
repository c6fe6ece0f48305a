-- +goose Up

-- People. roles and profile are JSON; search is what a person is looked up by.
CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    email          TEXT    NOT NULL UNIQUE,
    email_verified INTEGER NOT NULL,
    status         TEXT    NOT NULL,
    roles          TEXT    NOT NULL,
    profile        TEXT    NOT NULL,
    search         TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    last_login_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX users_with_roles ON users (roles) WHERE roles <> '[]';

CREATE TABLE passwords (
    user_id         TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash            TEXT    NOT NULL,
    failures        INTEGER NOT NULL,
    last_failure_at INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    token_hash   BLOB    NOT NULL UNIQUE,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    amr          TEXT    NOT NULL,
    acr          TEXT    NOT NULL,
    auth_time    INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    ended_at     INTEGER NOT NULL,
    address      TEXT    NOT NULL,
    user_agent   TEXT    NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_live ON sessions (created_at) WHERE ended_at = 0;
CREATE INDEX sessions_expiring ON sessions (expires_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at <> 0;

-- The one link that makes the first administrator.
CREATE TABLE setup_tokens (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    hash       BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- Applications. data is the client's own JSON, secrets its keyed hashes.
CREATE TABLE clients (
    id         TEXT PRIMARY KEY,
    data       TEXT    NOT NULL,
    secrets    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Authorization requests that wait for a person. A consumed row stays until it
-- expires, so that a late write cannot bring it back.
CREATE TABLE interactions (
    id          TEXT PRIMARY KEY,
    binding     BLOB    NOT NULL,
    request     TEXT    NOT NULL,
    selected    TEXT    NOT NULL,
    authenticated TEXT  NOT NULL,
    consented   INTEGER NOT NULL,
    denied      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    consumed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX interactions_expiring ON interactions (expires_at);

-- One authorization each. Immutable after insert but for revoked_at; the insert is
-- what makes its code single-use. No foreign keys: a token must outlive the rows
-- it names for as long as it takes to say that they are gone.
CREATE TABLE grants (
    id          TEXT PRIMARY KEY,
    client_id   TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    session_id  TEXT    NOT NULL,
    offline     INTEGER NOT NULL,
    secret_hash BLOB    NOT NULL,
    data        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX grants_of_subject ON grants (subject, client_id) WHERE revoked_at = 0;
CREATE INDEX grants_of_client ON grants (client_id) WHERE revoked_at = 0;
CREATE INDEX grants_expiring ON grants (expires_at);

-- The narrow half of a grant that every refresh writes: no index but the key.
CREATE TABLE refresh (
    grant_id   TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked_tokens (
    jti        TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_tokens_expiring ON revoked_tokens (expires_at);

-- Client assertions already used (RFC 7523 section 3, jti).
CREATE TABLE assertions (
    client_id  TEXT    NOT NULL,
    jti        TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX assertions_expiring ON assertions (expires_at);

CREATE TABLE consents (
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,
    granted_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_of_client ON consents (client_id);

CREATE TABLE signing_keys (
    id          TEXT PRIMARY KEY,
    alg         TEXT    NOT NULL,
    public_jwk  TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    activate_at INTEGER NOT NULL,
    retire_at   INTEGER NOT NULL,
    remove_at   INTEGER NOT NULL,
    revoked_at  INTEGER NOT NULL
) STRICT;

-- The trail. A change writes its event into the outbox, in its own transaction;
-- after the commit one node moves it into events, where it gets its position and
-- its place in the hash chain. Rows of events are never updated.
CREATE TABLE outbox (
    id        TEXT PRIMARY KEY,
    reference TEXT    NOT NULL,
    data      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_reference ON outbox (reference) WHERE reference <> '';

CREATE TABLE events (
    position  INTEGER PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    hash      TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    subject   TEXT    NOT NULL,
    client_id TEXT    NOT NULL,
    reference TEXT    NOT NULL,
    data      TEXT    NOT NULL
) STRICT;
CREATE INDEX events_of_kind ON events (kind, position);
CREATE INDEX events_of_subject ON events (subject, position) WHERE subject <> '';
CREATE INDEX events_of_client ON events (client_id, position) WHERE client_id <> '';
CREATE INDEX events_reference ON events (reference) WHERE reference <> '';
CREATE INDEX events_at ON events (at);
