-- +goose Up

-- What is kept of applications that registered themselves, beside the client.
CREATE TABLE registrations (
    client_id     TEXT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    token_hash    BLOB    NOT NULL,
    initial_token TEXT    NOT NULL,
    statement     TEXT    NOT NULL,
    used_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX registrations_used ON registrations (used_at);

-- Initial access tokens: who may register an application, how often, until when.
CREATE TABLE initial_tokens (
    id         TEXT PRIMARY KEY,
    name       TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    uses       INTEGER NOT NULL,
    max_uses   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX initial_tokens_expiring ON initial_tokens (expires_at);
