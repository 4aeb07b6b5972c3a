-- What happened, in a chain: each row's hash covers all of it that may not change, and the hash of the row before. Never a
-- token, code or verifier.
CREATE TABLE kept (
  number   INTEGER PRIMARY KEY AUTOINCREMENT,  -- none is given twice, so that a gap is a row that is missing
  at       INTEGER NOT NULL,                   -- milliseconds since 1970
  last     INTEGER,                            -- when it last happened, where it did more than once
  count    INTEGER NOT NULL DEFAULT 1,
  kind     TEXT    NOT NULL,
  account  TEXT,                               -- the random id
  program  TEXT,                               -- the executable that asked
  scopes   TEXT,                               -- as granted, separated by spaces
  -- What names the account goes when it is forgotten: the hash covers `names` alone, which is made of these three.
  label    TEXT,
  problem  TEXT,                               -- JSON: code and parameters
  salt     BLOB,
  names    BLOB,                               -- SHA-256
  hash     BLOB                                -- SHA-256; NULL while the row's minute is not over
) STRICT;
INSERT INTO kept (at, kind, account, program, label, problem, salt)
  SELECT at, kind, account, program, label, problem, randomblob(16) FROM event ORDER BY rowid;
DROP TABLE event;
ALTER TABLE kept RENAME TO event;
CREATE INDEX event_account ON event (account);
CREATE INDEX event_open ON event (number) WHERE hash IS NULL;

-- How far the chain was at some time, signed with a key of the keychain. Rows up to one with `pruned` are there no more.
CREATE TABLE checkpoint (
  number  INTEGER NOT NULL PRIMARY KEY,        -- the row's
  hash    BLOB    NOT NULL,                    -- that row's
  at      INTEGER NOT NULL,                    -- milliseconds since 1970
  pruned  INTEGER NOT NULL,
  mac     BLOB    NOT NULL                     -- HMAC-SHA-256
) STRICT;
