-- +goose Up

-- Secrets of the server that must not change with the root secret, sealed under it.
CREATE TABLE server_secrets (
    name   TEXT COLLATE "C" PRIMARY KEY,
    sealed BYTEA NOT NULL
);
