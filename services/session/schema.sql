-- The session service's table on every shard. Idempotent; run by the owner after the shard schema
-- (`tidemark-shards init --schema`).
CREATE SCHEMA IF NOT EXISTS session;

-- token_digest is a natural key: the SHA-256 of the token, in hexadecimal digits. Its bucket is that of the key
-- {<token_digest>}. The token itself is stored nowhere: neither this table nor its log lets anybody in.
CREATE TABLE IF NOT EXISTS session.session (
  bucket          int    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
  token_digest    text   COLLATE "C" NOT NULL CHECK (token_digest ~ '^[0-9a-f]{64}$'),
  customer_id     bigint NOT NULL CHECK (customer_id > 0),
  created_ms      bigint NOT NULL,
  touched_ms      bigint NOT NULL,
  idle_timeout_ms bigint NOT NULL CHECK (idle_timeout_ms > 0),
  expires_ms      bigint NOT NULL,
  attributes      jsonb  NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
  row_version     bigint NOT NULL DEFAULT 1,
  PRIMARY KEY (bucket, token_digest)
);

-- The sweep's way to what has ended.
CREATE INDEX IF NOT EXISTS session_ends ON session.session ((least(touched_ms + idle_timeout_ms, expires_ms)));

-- Whoever updates a row, psql too, gives it a new version: that is what tells an old answer from a new one.
CREATE OR REPLACE FUNCTION session.bump_row_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.row_version := OLD.row_version + 1;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER session_row_version BEFORE UPDATE ON session.session
  FOR EACH ROW EXECUTE FUNCTION session.bump_row_version();

-- The backstop against rows written to a shard that does not own their bucket.
SELECT shard.protect_table('session.session');

GRANT USAGE ON SCHEMA session TO tidemark_app, tidemark_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON session.session TO tidemark_app;
GRANT SELECT ON session.session TO tidemark_admin;
