-- The catalog's table on every shard. Idempotent; run by the owner after the shard schema (`tidemark-shards init --schema`).
CREATE SCHEMA IF NOT EXISTS catalog;

-- sku is a natural key: its bucket is that of the key {<sku>}, so that row and cache key always share their bucket.
CREATE TABLE IF NOT EXISTS catalog.product (
  bucket      int    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
  sku         text   COLLATE "C" NOT NULL CHECK (sku ~ '^[a-z0-9][a-z0-9+.-]*$' AND length(sku) <= 128),
  version     text   NOT NULL DEFAULT '',
  section     text   NOT NULL DEFAULT '',
  description text   NOT NULL DEFAULT '',
  size_bytes  bigint NOT NULL DEFAULT 0 CHECK (size_bytes >= 0),
  price_cents bigint NOT NULL DEFAULT 0 CHECK (price_cents >= 0),
  stock       bigint NOT NULL DEFAULT 0 CHECK (stock >= 0),
  row_version bigint NOT NULL DEFAULT 1,
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (bucket, sku)
);

-- Whoever updates a row, psql too, gives it a new version: that is what tells an old answer from a new one.
CREATE OR REPLACE FUNCTION catalog.bump_row_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.row_version := OLD.row_version + 1;
  NEW.updated_at := now();
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER product_row_version BEFORE UPDATE ON catalog.product
  FOR EACH ROW EXECUTE FUNCTION catalog.bump_row_version();

-- The backstop against rows written to a shard that does not own their bucket.
SELECT shard.protect_table('catalog.product');

GRANT USAGE ON SCHEMA catalog TO tidemark_app, tidemark_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON catalog.product TO tidemark_app;
GRANT SELECT ON catalog.product TO tidemark_admin;
