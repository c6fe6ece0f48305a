-- +goose Up

-- A registration has an identity of its own: a client deleted and made again under
-- the same id inherits nothing. '' is a row of before, whose creation is its identity.
ALTER TABLE clients ADD COLUMN registration TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Whose spending it was, so that an answer that was lost can be read back.
ALTER TABLE interactions ADD COLUMN consumed_by TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE assertions ADD COLUMN used_by TEXT COLLATE "C" NOT NULL DEFAULT '';
