-- What is said of pictures beside their vectors: labels, labels of parts, what the user decided.

CREATE TABLE labels (
    record     INTEGER NOT NULL REFERENCES records (key),
    source     TEXT NOT NULL,
    label      TEXT NOT NULL,
    confidence REAL CHECK (confidence BETWEEN 0 AND 1),
    PRIMARY KEY (record, source, label)
) WITHOUT ROWID;
CREATE INDEX labels_by_label ON labels (label);

-- The highest class logits of parts of a picture, as in the table logits; the box in fractions.
CREATE TABLE tiles (
    record   INTEGER NOT NULL REFERENCES records (key),
    space    INTEGER NOT NULL REFERENCES spaces (id),
    number   INTEGER NOT NULL,
    box_left REAL NOT NULL,
    box_top  REAL NOT NULL,
    width    REAL NOT NULL,
    height   REAL NOT NULL,
    classes  BLOB NOT NULL,
    logits   BLOB NOT NULL,
    PRIMARY KEY (record, space, number)
) WITHOUT ROWID;

-- Pairs of records that the user has judged, by id: a judgement outlives a record that is forgotten.
CREATE TABLE decisions (
    first    BLOB NOT NULL CHECK (length(first) = 16),
    second   BLOB NOT NULL CHECK (length(second) = 16),
    decision TEXT NOT NULL CHECK (decision IN ('not a duplicate')),
    decided  TEXT NOT NULL,
    PRIMARY KEY (first, second),
    CHECK (first < second)
) WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
