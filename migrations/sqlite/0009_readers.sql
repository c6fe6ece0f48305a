-- +goose Up

-- The oldest program that may run on this schema, by the schema it was written for.
-- Programs of before ask this table for the version of the schema itself, so that
-- everything that was only added since is none of their business.
CREATE TABLE IF NOT EXISTS goose_db_version (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp     TIMESTAMP DEFAULT (datetime('now'))
);
INSERT INTO goose_db_version (version_id, is_applied)
    SELECT 5, TRUE WHERE NOT EXISTS (SELECT 1 FROM goose_db_version WHERE version_id >= 5);
