-- The catalogue: records, the files they lie in, thumbnails, spaces, segments, tombstones, runs.

CREATE TABLE runs (
    id       INTEGER PRIMARY KEY,
    started  TEXT NOT NULL,
    finished TEXT
);

-- A record is one distinct image, by content. live_files is kept by the triggers below.
CREATE TABLE records (
    key          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    content_hash BLOB NOT NULL UNIQUE CHECK (length(content_hash) = 32),
    bytes        INTEGER NOT NULL,
    width        INTEGER NOT NULL,
    height       INTEGER NOT NULL,
    format       TEXT NOT NULL,
    taken_at     TEXT,
    camera       TEXT,
    latitude     REAL,
    longitude    REAL,
    phash        INTEGER NOT NULL,
    live_files   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX records_without_files ON records (key) WHERE live_files = 0;

CREATE TABLE thumbnails (
    record INTEGER PRIMARY KEY REFERENCES records (key),
    jpeg   BLOB NOT NULL
);

CREATE TABLE spaces (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    encoder        TEXT NOT NULL,
    weights_digest TEXT NOT NULL,
    preprocessing  TEXT NOT NULL,
    dim            INTEGER NOT NULL
);

-- The ten highest class logits: classes as uint16, logits as float32, both little-endian.
CREATE TABLE logits (
    record  INTEGER NOT NULL REFERENCES records (key),
    space   INTEGER NOT NULL REFERENCES spaces (id),
    classes BLOB NOT NULL,
    logits  BLOB NOT NULL,
    PRIMARY KEY (record, space)
) WITHOUT ROWID;

-- Every path ever seen, with its state and reason: the ledger. path holds the file system's bytes.
CREATE TABLE files (
    key        INTEGER PRIMARY KEY,
    path       BLOB NOT NULL UNIQUE,
    folder     TEXT NOT NULL,
    name       TEXT NOT NULL,
    bytes      INTEGER,
    mtime_ns   INTEGER,
    record     INTEGER REFERENCES records (key),
    state      TEXT NOT NULL CHECK (
        state IN ('indexed', 'unchanged', 'moved', 'gone', 'unreadable', 'skipped')),
    reason     TEXT NOT NULL,
    detail     TEXT NOT NULL DEFAULT '',
    run        INTEGER NOT NULL REFERENCES runs (id),
    live       INTEGER GENERATED ALWAYS AS (
        record IS NOT NULL AND state IN ('indexed', 'unchanged', 'moved')) STORED
);
CREATE INDEX files_by_record ON files (record) WHERE record IS NOT NULL;
CREATE INDEX files_by_state ON files (state);

CREATE TRIGGER files_added AFTER INSERT ON files WHEN NEW.live BEGIN
    UPDATE records SET live_files = live_files + 1 WHERE key = NEW.record;
END;
CREATE TRIGGER files_removed AFTER DELETE ON files WHEN OLD.live BEGIN
    UPDATE records SET live_files = live_files - 1 WHERE key = OLD.record;
END;
CREATE TRIGGER files_changed AFTER UPDATE OF record, state ON files
WHEN OLD.live <> NEW.live OR OLD.record IS NOT NEW.record BEGIN
    UPDATE records SET live_files = live_files - OLD.live WHERE key = OLD.record;
    UPDATE records SET live_files = live_files + NEW.live WHERE key = NEW.record;
END;

-- Committed rows of the append-only files. series: 'histograms' or 'vectors/<space>'.
CREATE TABLE segments (
    series TEXT NOT NULL,
    number INTEGER NOT NULL,
    rows   INTEGER NOT NULL,
    cells  INTEGER NOT NULL,
    PRIMARY KEY (series, number)
) WITHOUT ROWID;

-- Rows of a series that no longer belong to a record; row counts from the series' first segment.
CREATE TABLE tombstones (
    series TEXT NOT NULL,
    row    INTEGER NOT NULL,
    PRIMARY KEY (series, row)
) WITHOUT ROWID;
