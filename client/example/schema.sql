-- The example's table. The bucket comes first in the primary key; a slug is a natural key, its bucket is that of {<slug>}.
CREATE SCHEMA IF NOT EXISTS notes;
CREATE TABLE IF NOT EXISTS notes.note (
  bucket int    NOT NULL CHECK (bucket BETWEEN 0 AND 4095),
  slug   text   COLLATE "C" NOT NULL,
  body   text   NOT NULL,
  likes  bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (bucket, slug)
);
SELECT shard.protect_table('notes.note');
GRANT USAGE ON SCHEMA notes TO tidemark_app, tidemark_invalidator, tidemark_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON notes.note TO tidemark_app;
GRANT SELECT ON notes.note TO tidemark_invalidator, tidemark_admin;
