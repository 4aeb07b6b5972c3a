-- Whom a grant's tokens are for (RFC 8707), as signed in with.
ALTER TABLE account ADD COLUMN resource TEXT;
