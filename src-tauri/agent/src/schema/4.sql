-- The export that an account is in, or went away with. With one, a session that is signed in is not used: it is being written
-- into a file for another machine.
ALTER TABLE account ADD COLUMN moved TEXT;

-- Exports under way: what a start after a crash needs to know which way they went.
CREATE TABLE export (
  id       TEXT    NOT NULL PRIMARY KEY,
  path     TEXT    NOT NULL,
  beside   TEXT    NOT NULL,  -- where the file is written before it gets its name
  placing  INTEGER NOT NULL   -- whether it is whole, and may have its name already
) STRICT;

-- Exports that were imported here: not again, for their tokens may be spent since.
CREATE TABLE imported (
  id  TEXT    NOT NULL PRIMARY KEY,
  at  INTEGER NOT NULL        -- milliseconds since 1970
) STRICT;
