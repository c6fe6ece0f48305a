-- +goose Up

-- What a person is found by, word by word, in the order of the index: the id, the
-- address, its two halves, and each word of their names. The database keeps it beside
-- users.search by itself, so that a node of an earlier release keeps it too.
CREATE TABLE user_words (
    word    TEXT COLLATE "C" NOT NULL,
    email   TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (word, email, user_id)
);

-- +goose StatementBegin
CREATE FUNCTION keep_user_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM user_words WHERE user_id = NEW.id;
    END IF;
    INSERT INTO user_words (word, email, user_id)
        SELECT DISTINCT left(w, 256), NEW.email, NEW.id FROM regexp_split_to_table(NEW.search || ' ' || replace(NEW.search, '@', ' '), '\s+') AS w WHERE w <> ''
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER user_words_of_new AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION keep_user_words();
CREATE TRIGGER user_words_of_changed AFTER UPDATE OF search, email ON users FOR EACH ROW
    WHEN (OLD.search IS DISTINCT FROM NEW.search OR OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION keep_user_words();

INSERT INTO user_words (word, email, user_id)
    SELECT DISTINCT left(w, 256), u.email, u.id
    FROM users u, regexp_split_to_table(u.search || ' ' || replace(u.search, '@', ' '), '\s+') AS w WHERE w <> ''
    ON CONFLICT DO NOTHING;
CREATE INDEX user_words_of_user ON user_words (user_id, word);

-- How far the trail had come when it was last written: a trail that ends earlier was
-- cut off.
CREATE TABLE trail_head (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    position BIGINT NOT NULL,
    hash     TEXT   NOT NULL
);
