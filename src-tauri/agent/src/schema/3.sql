-- What the provider's refreshes do, as signed in with: whether one ends the access tokens before it, and how long a refresh
-- token lives when it is new, in milliseconds, where its answers do not say.
ALTER TABLE account ADD COLUMN refresh_ends_access_token INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN refresh_token_lifetime INTEGER;

-- Whom tokens can be asked for beside `resource`, as signed in with (RFC 8707), separated by spaces.
ALTER TABLE account ADD COLUMN other_resources TEXT NOT NULL DEFAULT '';

-- Nothing was ever written here before.
DROP TABLE access_token;

-- Further access tokens of a grant, by the resource (RFC 8707) and the scope (separated by spaces, sorted) that were asked
-- for, each empty where none was; the account's own is the default one. What the times mean is as in `account`.
CREATE TABLE access_token (
  account       TEXT    NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  resource      TEXT    NOT NULL,
  scope         TEXT    NOT NULL,
  sealed        BLOB    NOT NULL,
  token_type    TEXT    NOT NULL,
  granted       TEXT,                -- the scope that came back
  expires_at    INTEGER,
  lifetime      INTEGER,
  boot_id       TEXT,
  expires_boot  INTEGER,
  PRIMARY KEY (account, resource, scope)
) STRICT;
