-- +goose Up

-- Whether an attempt has the row now (1), or it only waits: what waits may be woken
-- when its application answers again. A node of an earlier release leaves it 0.
ALTER TABLE logouts ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
CREATE INDEX logouts_of_client ON logouts (client_id, due_at);
