-- What happened. Never a token, code or verifier.
CREATE TABLE event (
  at        INTEGER NOT NULL,  -- milliseconds since 1970
  kind      TEXT    NOT NULL,
  account   TEXT,              -- the random id
  label     TEXT,              -- the account's name then; removed when the account is forgotten
  program   TEXT,              -- the executable that asked, for a hand-out
  problem   TEXT               -- JSON: code and parameters
) STRICT;

CREATE INDEX event_account ON event (account);
