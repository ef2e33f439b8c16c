-- Pictures that are not in folders, and a user's own tables beside them.

-- foreign_id: what another table calls the picture at this path (system B's photo_id).
-- validator: what the path's server said by which an unchanged picture is known again (an ETag).
ALTER TABLE files ADD COLUMN foreign_id TEXT;
ALTER TABLE files ADD COLUMN validator TEXT;
CREATE INDEX files_by_foreign_id ON files (foreign_id) WHERE foreign_id IS NOT NULL;

-- Side tables: the rows lie in a table "side_<name>", whose columns are described here as JSON.
-- key: the column that says to which picture a row belongs; matches: what of a file it is compared
-- with.
CREATE TABLE side_tables (
    name    TEXT PRIMARY KEY,
    key     TEXT NOT NULL,
    matches TEXT NOT NULL CHECK (matches IN ('foreign_id', 'path', 'name', 'id')),
    columns TEXT NOT NULL,
    rows    INTEGER NOT NULL,
    source  TEXT NOT NULL,
    added   TEXT NOT NULL
) WITHOUT ROWID;
