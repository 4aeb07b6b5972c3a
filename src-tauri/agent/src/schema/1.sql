-- One row a grant. The first columns are those that this field knows from its adapters; times are milliseconds
-- since 1970 unless said otherwise; access_token, refresh_token, id_token and dpop_key are sealed.
CREATE TABLE account (
  id                          TEXT    NOT NULL PRIMARY KEY,
  "user"                      TEXT    NOT NULL DEFAULT '',  -- there is one person a profile; kept for the adapters' shape
  provider                    TEXT    NOT NULL,
  provider_account_id         TEXT    NOT NULL,             -- `sub`, or the provider's own name for the person
  type                        TEXT    NOT NULL CHECK (type IN ('oidc', 'oauth')),
  token_type                  TEXT,
  scope                       TEXT,                         -- as granted, separated by spaces
  access_token                BLOB,
  refresh_token               BLOB,
  id_token                    BLOB,
  expires_at                  INTEGER,
  session_state               TEXT,                         -- OpenID Connect Session Management
  -- What it was signed in with; never read again from configuration.
  issuer                      TEXT    NOT NULL,
  client_id                   TEXT    NOT NULL,
  token_endpoint_auth_method  TEXT    NOT NULL,
  token_endpoint              TEXT    NOT NULL,
  revocation_endpoint         TEXT,
  userinfo_endpoint           TEXT,
  end_session_endpoint        TEXT,
  jwks_uri                    TEXT,
  dpop_key                    BLOB,
  refresh_expires_at          INTEGER,
  generation                  INTEGER NOT NULL,
  -- What people see.
  label                       TEXT    NOT NULL UNIQUE,
  position                    INTEGER NOT NULL,
  name                        TEXT,
  email                       TEXT,
  picture                     TEXT,
  -- How the session stands.
  session                     TEXT    NOT NULL CHECK (session IN ('signed-in', 'needs-sign-in', 'clearing', 'signed-out')),
  why                         TEXT,                         -- for needs-sign-in
  forget                      INTEGER NOT NULL DEFAULT 0,   -- for clearing: remove the row at its end
  lifetime                    INTEGER,                      -- of the access token when it was new, in milliseconds
  boot_id                     TEXT,                         -- the start of the machine that expires_boot belongs to
  expires_boot                INTEGER,                      -- the end of the access token on the boot clock, in milliseconds
  signed_in_at                INTEGER,
  refreshed_at                INTEGER,
  in_flight                   TEXT,                         -- SHA-256 of the refresh token that may be with the provider
  in_flight_tries             INTEGER NOT NULL DEFAULT 0,   -- runs of the agent that began to send it
  UNIQUE (provider, provider_account_id)
) STRICT;

-- Further access tokens of a grant, by resource (RFC 8707) and scope; the row's own is the default one.
CREATE TABLE access_token (
  account     TEXT    NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  resource    TEXT    NOT NULL DEFAULT '',
  scope       TEXT    NOT NULL DEFAULT '',
  sealed      BLOB    NOT NULL,
  expires_at  INTEGER,
  PRIMARY KEY (account, resource, scope)
) STRICT;

-- What belongs to no account: client secrets and dynamic registrations (RFC 7591), sealed with a key of their own.
CREATE TABLE client (
  issuer      TEXT    NOT NULL,
  client_id   TEXT    NOT NULL,
  kind        TEXT    NOT NULL CHECK (kind IN ('secret', 'registration')),
  sealed      BLOB    NOT NULL,
  expires_at  INTEGER,
  PRIMARY KEY (issuer, client_id, kind)
) STRICT;
