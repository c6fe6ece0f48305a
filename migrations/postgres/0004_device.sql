-- +goose Up

-- Devices that wait for a person's answer (RFC 8628). The id is that of the grant
-- a device gets; data is that grant's, the person's part of it empty until the
-- answer is yes. Codes are kept as hashes only. Every poll writes its row: room in
-- each page keeps the update in it (HOT).
CREATE TABLE device_codes (
    id            TEXT COLLATE "C" PRIMARY KEY,
    code_hash     BYTEA   NOT NULL UNIQUE,
    user_hash     BYTEA   NOT NULL UNIQUE,
    client_id     TEXT COLLATE "C" NOT NULL,
    status        TEXT    NOT NULL,
    subject       TEXT COLLATE "C" NOT NULL,
    session_id    TEXT COLLATE "C" NOT NULL,
    offline       BOOLEAN NOT NULL,
    data          TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    user_agent    TEXT    NOT NULL,
    poll_interval BIGINT  NOT NULL,
    polled_at     BIGINT  NOT NULL,
    hurried       BOOLEAN NOT NULL,
    created_at    BIGINT  NOT NULL,
    expires_at    BIGINT  NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX device_codes_expiring ON device_codes (expires_at);
