-- +goose Up

-- People. roles and profile are JSON; search is what a person is looked up by.
CREATE TABLE users (
    id             TEXT COLLATE "C" PRIMARY KEY,
    email          TEXT COLLATE "C" NOT NULL UNIQUE,
    email_verified BOOLEAN NOT NULL,
    status         TEXT    NOT NULL,
    roles          TEXT    NOT NULL,
    profile        TEXT    NOT NULL,
    search         TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL,
    last_login_at  BIGINT  NOT NULL
);
CREATE INDEX users_with_roles ON users (roles) WHERE roles <> '[]';

CREATE TABLE passwords (
    user_id         TEXT COLLATE "C" PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash            TEXT    NOT NULL,
    failures        INTEGER NOT NULL,
    last_failure_at BIGINT  NOT NULL,
    changed_at      BIGINT  NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE sessions (
    id           TEXT COLLATE "C" PRIMARY KEY,
    token_hash   BYTEA  NOT NULL UNIQUE,
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    amr          TEXT   NOT NULL,
    acr          TEXT   NOT NULL,
    auth_time    BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL,
    address      TEXT   NOT NULL,
    user_agent   TEXT   NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_live ON sessions (created_at) WHERE ended_at = 0;
CREATE INDEX sessions_expiring ON sessions (expires_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at <> 0;

-- The one link that makes the first administrator.
CREATE TABLE setup_tokens (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    hash       BYTEA  NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Applications. data is the client's own JSON, secrets its keyed hashes.
CREATE TABLE clients (
    id         TEXT COLLATE "C" PRIMARY KEY,
    data       TEXT   NOT NULL,
    secrets    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Authorization requests that wait for a person. A consumed row stays until it
-- expires, so that a late write cannot bring it back.
CREATE TABLE interactions (
    id          TEXT COLLATE "C" PRIMARY KEY,
    binding     BYTEA   NOT NULL,
    request     TEXT    NOT NULL,
    selected    TEXT    NOT NULL,
    authenticated TEXT  NOT NULL,
    consented   BOOLEAN NOT NULL,
    denied      TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL,
    consumed_at BIGINT  NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX interactions_expiring ON interactions (expires_at);

-- One authorization each. Immutable after insert but for revoked_at; the insert is
-- what makes its code single-use. No foreign keys: a token must outlive the rows
-- it names for as long as it takes to say that they are gone.
CREATE TABLE grants (
    id          TEXT COLLATE "C" PRIMARY KEY,
    client_id   TEXT COLLATE "C" NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL,
    session_id  TEXT COLLATE "C" NOT NULL,
    offline     BOOLEAN NOT NULL,
    secret_hash BYTEA   NOT NULL,
    data        TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL,
    revoked_at  BIGINT  NOT NULL
);
CREATE INDEX grants_of_subject ON grants (subject, client_id) WHERE revoked_at = 0;
CREATE INDEX grants_of_client ON grants (client_id) WHERE revoked_at = 0;
CREATE INDEX grants_expiring ON grants (expires_at);

-- The narrow half of a grant that every refresh writes: no index but the key, and
-- room in each page, so that the update stays in it (HOT).
CREATE TABLE refresh (
    grant_id   TEXT COLLATE "C" PRIMARY KEY,
    generation INTEGER NOT NULL,
    rotated_at BIGINT  NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE revoked_tokens (
    jti        TEXT COLLATE "C" PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_expiring ON revoked_tokens (expires_at);

-- Client assertions already used (RFC 7523 section 3, jti).
CREATE TABLE assertions (
    client_id  TEXT COLLATE "C" NOT NULL,
    jti        TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, jti)
);
CREATE INDEX assertions_expiring ON assertions (expires_at);

CREATE TABLE consents (
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT COLLATE "C" NOT NULL,
    scopes     TEXT   NOT NULL,
    granted_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_of_client ON consents (client_id);

CREATE TABLE signing_keys (
    id          TEXT COLLATE "C" PRIMARY KEY,
    alg         TEXT   NOT NULL,
    public_jwk  TEXT   NOT NULL,
    sealed      BYTEA  NOT NULL,
    created_at  BIGINT NOT NULL,
    activate_at BIGINT NOT NULL,
    retire_at   BIGINT NOT NULL,
    remove_at   BIGINT NOT NULL,
    revoked_at  BIGINT NOT NULL
);

-- The trail. A change writes its event into the outbox, in its own transaction;
-- after the commit one node moves it into events, where it gets its position and
-- its place in the hash chain. Rows of events are never updated.
CREATE TABLE outbox (
    id        TEXT COLLATE "C" PRIMARY KEY,
    reference TEXT COLLATE "C" NOT NULL,
    data      TEXT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX outbox_reference ON outbox (reference) WHERE reference <> '';

CREATE TABLE events (
    position  BIGINT PRIMARY KEY,
    id        TEXT COLLATE "C" NOT NULL UNIQUE,
    hash      TEXT   NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    subject   TEXT COLLATE "C" NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C" NOT NULL,
    data      TEXT   NOT NULL
);
CREATE INDEX events_of_kind ON events (kind, position);
CREATE INDEX events_of_subject ON events (subject, position) WHERE subject <> '';
CREATE INDEX events_of_client ON events (client_id, position) WHERE client_id <> '';
CREATE INDEX events_reference ON events (reference) WHERE reference <> '';
CREATE INDEX events_at ON events (at);
