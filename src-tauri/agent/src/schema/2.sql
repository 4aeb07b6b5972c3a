-- Whom a grant's tokens are for (RFC 8707), as signed in with.
ALTER TABLE account ADD COLUMN resource TEXT;
-- How an account's tokens come, as it was signed in with: `client_credentials` is an account without a person (RFC 6749
-- section 4.4), which has no refresh token and needs none. Whatever way a person signed in by is `authorization_code`.
ALTER TABLE account ADD COLUMN grant_type TEXT NOT NULL DEFAULT 'authorization_code'
  CHECK (grant_type IN ('authorization_code', 'client_credentials'));
