-- +goose Up

-- Devices that wait for a person's answer (RFC 8628). The id is that of the grant
-- a device gets; data is that grant's, the person's part of it empty until the
-- answer is yes. Codes are kept as hashes only.
CREATE TABLE device_codes (
    id            TEXT PRIMARY KEY,
    code_hash     BLOB    NOT NULL UNIQUE,
    user_hash     BLOB    NOT NULL UNIQUE,
    client_id     TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    session_id    TEXT    NOT NULL,
    offline       INTEGER NOT NULL,
    data          TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    user_agent    TEXT    NOT NULL,
    poll_interval INTEGER NOT NULL,
    polled_at     INTEGER NOT NULL,
    hurried       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX device_codes_expiring ON device_codes (expires_at);
