-- +goose Up

-- What is kept of applications that registered themselves, beside the client.
CREATE TABLE registrations (
    client_id     TEXT COLLATE "C" PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    token_hash    BYTEA  NOT NULL,
    initial_token TEXT   NOT NULL,
    statement     TEXT   NOT NULL,
    used_at       BIGINT NOT NULL
);
CREATE INDEX registrations_used ON registrations (used_at);

-- Initial access tokens: who may register an application, how often, until when.
CREATE TABLE initial_tokens (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT    NOT NULL,
    hash       BYTEA   NOT NULL UNIQUE,
    uses       INTEGER NOT NULL,
    max_uses   INTEGER NOT NULL,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX initial_tokens_expiring ON initial_tokens (expires_at);
