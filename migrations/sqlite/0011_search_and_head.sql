-- +goose Up

-- What a person is found by, word by word, in the order of the index: the id, the
-- address, its two halves, and each word of their names. The database keeps it beside
-- users.search by itself, so that a program of an earlier release keeps it too.
CREATE TABLE user_words (
    word    TEXT NOT NULL,
    email   TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (word, email, user_id)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER user_words_of_new AFTER INSERT ON users BEGIN
    INSERT OR IGNORE INTO user_words (word, email, user_id)
        SELECT DISTINCT substr(w.value, 1, 256), NEW.email, NEW.id
        FROM json_each('[' || replace(json_quote(replace(replace(replace(NEW.search || ' ' || replace(NEW.search, '@', ' '), char(10), ' '), char(13), ' '), char(9), ' ')), ' ', '","') || ']') AS w
        WHERE w.value <> '';
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER user_words_of_changed AFTER UPDATE OF search, email ON users
    WHEN OLD.search IS NOT NEW.search OR OLD.email IS NOT NEW.email BEGIN
    DELETE FROM user_words WHERE user_id = NEW.id;
    INSERT OR IGNORE INTO user_words (word, email, user_id)
        SELECT DISTINCT substr(w.value, 1, 256), NEW.email, NEW.id
        FROM json_each('[' || replace(json_quote(replace(replace(replace(NEW.search || ' ' || replace(NEW.search, '@', ' '), char(10), ' '), char(13), ' '), char(9), ' ')), ' ', '","') || ']') AS w
        WHERE w.value <> '';
END;
-- +goose StatementEnd

INSERT OR IGNORE INTO user_words (word, email, user_id)
    SELECT DISTINCT substr(w.value, 1, 256), u.email, u.id
    FROM users u, json_each('[' || replace(json_quote(replace(replace(replace(u.search || ' ' || replace(u.search, '@', ' '), char(10), ' '), char(13), ' '), char(9), ' ')), ' ', '","') || ']') AS w
    WHERE w.value <> '';
CREATE INDEX user_words_of_user ON user_words (user_id, word);

-- How far the trail had come when it was last written: a trail that ends earlier was
-- cut off.
CREATE TABLE trail_head (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL,
    hash     TEXT    NOT NULL
) STRICT;
