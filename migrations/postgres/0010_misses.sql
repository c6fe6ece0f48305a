-- +goose Up

-- Wrong passwords in a row that are counted under no account of their own: those for
-- accounts that are not there, which must fade no sooner than the others, and those of a
-- browser that has signed in before. counter is a keyed hash; it names nobody.
CREATE TABLE login_misses (
    counter         TEXT PRIMARY KEY,
    failures        INTEGER NOT NULL,
    last_failure_at BIGINT NOT NULL
);
CREATE INDEX login_misses_old ON login_misses (last_failure_at);

-- A password that somebody else chose is changed at the next sign-in.
ALTER TABLE passwords ADD COLUMN must_change BOOLEAN NOT NULL DEFAULT FALSE;
