-- +goose Up

-- Which applications a session reached, of those that want to hear of its end.
CREATE TABLE session_clients (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL,
    reached_at INTEGER NOT NULL,
    PRIMARY KEY (session_id, client_id)
) STRICT, WITHOUT ROWID;

-- Applications that have yet to be told that a session ended. A row outlives the
-- session and the user it names; due_at is the next attempt, or the end of the
-- lease of whoever makes one now, and attempts names that claim.
CREATE TABLE logouts (
    session_id TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    ended_at   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    PRIMARY KEY (session_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX logouts_due ON logouts (due_at);
