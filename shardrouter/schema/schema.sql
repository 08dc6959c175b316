-- What migrations need in every shard. Run after shard.sql by the database's owner, any number of times.
--
--   shard.migration          the ledger: which file ran here, with its checksum, written in the file's own transaction
--   shard.reader             programs that said which schema they understand; a lease, renewed by them
--   shard.register_reader()  a program's first statement: refused when the schema has moved on without it
--   shard.reference_table    tables with the same rows on every shard, and which shard holds the original
--
-- SQLSTATEs: SH011 the schema is newer than the reader   SH012 rows would change without an event
--            SH013 a copy of a reference table is not written
-- Advisory locks: (7005, 0) shared by register_reader, exclusive by a contract or an undo; (7006, 0) one migration tool.

CREATE TABLE IF NOT EXISTS shard.migration (
  id         text NOT NULL,
  phase      text NOT NULL CHECK (phase IN ('expand', 'backfill', 'contract')),
  checksum   text NOT NULL,
  state      text NOT NULL CHECK (state IN ('running', 'done', 'undone')),
  rows       bigint NOT NULL DEFAULT 0,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (id, phase)
);

CREATE TABLE IF NOT EXISTS shard.reader (
  name       text PRIMARY KEY,
  understands text NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE OR REPLACE FUNCTION shard.migration_number(id text) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT substring(id FROM '^[0-9]+')::bigint $$;

-- `understands` is the id of the newest migration whose expand the program knows. To be called again well before the
-- lifetime is over. A program that gets SH011 must not start: what it reads is gone.
CREATE OR REPLACE FUNCTION shard.register_reader(name text, understands text, lifetime interval DEFAULT '1 minute')
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  contracted text;
  missing    text;
BEGIN
  IF shard.migration_number(understands) IS NULL THEN
    RAISE EXCEPTION 'reader %: "%" is no migration (NUMBER_NAME)', name, understands USING ERRCODE = '22023';
  END IF;
  IF lifetime <= interval '0' OR lifetime > interval '1 day' THEN
    RAISE EXCEPTION 'reader %: a lifetime of % is not between 0 and 1 day', name, lifetime USING ERRCODE = '22023';
  END IF;
  PERFORM pg_advisory_xact_lock_shared(7005, 0);
  SELECT m.id INTO contracted FROM shard.migration m
   WHERE m.phase = 'contract' AND m.state = 'done'
     AND shard.migration_number(m.id) > shard.migration_number(understands)
   ORDER BY shard.migration_number(m.id) DESC LIMIT 1;
  IF contracted IS NOT NULL THEN
    RAISE EXCEPTION 'reader % understands the schema up to %, but % is contracted here', name, understands, contracted
      USING ERRCODE = 'SH011', HINT = 'Start a newer version of the program.';
  END IF;
  -- The other way round: a program that is newer than the schema would not find what it reads.
  IF EXISTS (SELECT FROM shard.migration m WHERE m.phase = 'expand' AND m.id = understands AND m.state = 'undone') THEN
    RAISE EXCEPTION 'reader % relies on %, which was undone here', name, understands
      USING ERRCODE = 'SH011', HINT = 'Run tidemark-shards migrate expand first.';
  END IF;
  INSERT INTO shard.reader AS r (name, understands, expires_at)
  VALUES (name, understands, clock_timestamp() + lifetime)
  ON CONFLICT ON CONSTRAINT reader_pkey DO UPDATE
     SET understands = excluded.understands, expires_at = excluded.expires_at;
END $$;

CREATE OR REPLACE FUNCTION shard.forget_reader(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
  DELETE FROM shard.reader r WHERE r.name = name;
  RETURN FOUND;
END $$;

-- -------------------------------------------------------------------------------------------- DDL that makes no events
-- A rewritten table has other rows than before, a reader with an older snapshot sees it empty, and no event tells any
-- cache (ALTER COLUMN TYPE, ADD COLUMN with a volatile default, SET UNLOGGED …). Refused for everybody on a table that
-- belongs to buckets; whoever cannot do without says SET tidemark.eventless_ddl = 'allowed', and every cache then
-- revalidates all that it holds of this shard.
CREATE OR REPLACE FUNCTION shard.refuse_rewrite() RETURNS event_trigger
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = pg_event_trigger_table_rewrite_oid() AND tgname = 'tidemark_fence')
  THEN
    IF current_setting('tidemark.eventless_ddl', true) = 'allowed' THEN
      PERFORM pg_logical_emit_message(true, 'cache.ddl', 'rewrite of ' || pg_event_trigger_table_rewrite_oid()::regclass);
      RETURN;
    END IF;
    RAISE EXCEPTION 'rewriting table % would change its rows without an event, and caches would keep the old ones',
      pg_event_trigger_table_rewrite_oid()::regclass USING ERRCODE = 'SH012',
      HINT = 'Add a new column, fill it in a backfill, and drop the old one in the contract.';
  END IF;
END $$;

-- The rows of a dropped table, and of one that leaves the publication, are gone for caches without an event. A migration
-- that has seen, under its lock, that the table is empty says so.
CREATE OR REPLACE FUNCTION shard.refuse_drop() RETURNS event_trigger
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  lost text;
BEGIN
  IF current_setting('tidemark.eventless_ddl', true) = 'empty' THEN
    RETURN;
  END IF;
  SELECT string_agg(object_identity, ', ') INTO lost FROM pg_event_trigger_dropped_objects()
   WHERE (object_type = 'trigger' AND address_names[3] IN ('tidemark_fence', 'tidemark_fence_truncate'))
      OR (object_type = 'publication relation' AND object_identity LIKE '% in publication tidemark');
  IF lost IS NOT NULL AND current_setting('tidemark.eventless_ddl', true) = 'allowed' THEN
    PERFORM pg_logical_emit_message(true, 'cache.ddl', 'loss of ' || lost);
  ELSIF lost IS NOT NULL THEN
    RAISE EXCEPTION 'caches would not hear of the rows any more: %', lost USING ERRCODE = 'SH012',
      HINT = 'DELETE the rows in a backfill and drop the table in the contract: tidemark-shards migrate.';
  END IF;
END $$;

-- What would stay without events from now on is refused, whatever the setting: rows that come and go with a child table, a
-- publication that leaves something out, a table under another name. A table that comes into the publication with
-- rows in it has had changes that no cache heard of: all revalidate.
CREATE OR REPLACE FUNCTION shard.check_ddl() RETURNS event_trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found    text;
  added    regclass;
  has_rows boolean;
BEGIN
  SELECT format('%s would show the rows of %s', i.inhparent::regclass, i.inhrelid::regclass) INTO found
    FROM pg_event_trigger_ddl_commands() c
    JOIN pg_inherits i ON c.classid = 'pg_class'::regclass AND c.objid IN (i.inhparent, i.inhrelid)
    JOIN pg_trigger t ON t.tgrelid = i.inhparent AND t.tgname = 'tidemark_fence' LIMIT 1;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION '% without an event, and caches would not', found USING ERRCODE = 'SH012',
      HINT = 'INSERT the rows into the table itself.';
  END IF;
  SELECT format('table %s was protected as %s', n.nspname || '.' || r.relname, p.name) INTO found
    FROM shard.protected_table p JOIN pg_class r ON r.oid = p.id JOIN pg_namespace n ON n.oid = r.relnamespace
    JOIN pg_trigger t ON t.tgrelid = p.id AND t.tgname = 'tidemark_fence'
   WHERE n.nspname || '.' || r.relname <> p.name LIMIT 1;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION '%, and caches know its rows by that name', found USING ERRCODE = 'SH012',
      HINT = 'Make a table of the new name in an expand, copy the rows in a backfill, drop this one in the contract.';
  END IF;
  IF TG_TAG <> 'ALTER PUBLICATION' THEN
    RETURN;
  END IF;
  SELECT CASE WHEN p.oid IS NULL THEN 'there is no publication "tidemark" any more'
              WHEN NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate)
              THEN 'publication "tidemark" would not publish every kind of change'
              WHEN EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid
                              AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL))
              THEN 'publication "tidemark" would filter rows or columns' END INTO found
    FROM (SELECT) one LEFT JOIN pg_publication p ON p.pubname = 'tidemark';
  IF found IS NOT NULL THEN
    RAISE EXCEPTION '%, and caches would not hear of the rest', found USING ERRCODE = 'SH012',
      HINT = 'Publish whole tables WITH (publish = ''insert, update, delete, truncate'').';
  END IF;
  FOR added IN
    SELECT r.prrelid FROM pg_event_trigger_ddl_commands() c
      JOIN pg_publication_rel r ON c.classid = 'pg_publication_rel'::regclass AND c.objid = r.oid
      JOIN pg_publication p ON p.oid = r.prpubid AND p.pubname = 'tidemark'
  LOOP
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', added);  -- who writes now wrote before it was published
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', added) INTO has_rows;
    IF has_rows THEN
      PERFORM pg_logical_emit_message(true, 'cache.ddl', 'publication of ' || added);
    END IF;
  END LOOP;
END $$;

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'tidemark_ddl') THEN
    CREATE EVENT TRIGGER tidemark_ddl ON ddl_command_end
      WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'ALTER SCHEMA',
                   'ALTER PUBLICATION')
      EXECUTE FUNCTION shard.check_ddl();
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'tidemark_rewrite') THEN
    CREATE EVENT TRIGGER tidemark_rewrite ON table_rewrite EXECUTE FUNCTION shard.refuse_rewrite();
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'tidemark_drop') THEN
    CREATE EVENT TRIGGER tidemark_drop ON sql_drop EXECUTE FUNCTION shard.refuse_drop();
  END IF;
END $$;

-- ---------------------------------------------------------------------------------------------------- reference tables
CREATE TABLE IF NOT EXISTS shard.reference_table (
  name     text PRIMARY KEY,  -- "shop.currency"
  original int NOT NULL CHECK (original BETWEEN 0 AND 65535)  -- the shard whose rows the others copy
);

CREATE OR REPLACE FUNCTION shard.refuse_copy_write() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  here int := (SELECT shard FROM shard.identity);
  home int := (SELECT original FROM shard.reference_table WHERE to_regclass(name) = TG_RELID);
BEGIN
  IF here IS DISTINCT FROM home AND current_setting('tidemark.reference_copy', true) IS DISTINCT FROM 'on' THEN
    RAISE EXCEPTION 'the original of reference table %.% is on shard %, this is a copy', TG_TABLE_SCHEMA, TG_TABLE_NAME,
      home USING ERRCODE = 'SH013', HINT = 'Change it there, then run tidemark-shards references.';
  END IF;
  RETURN NULL;
END $$;

-- Declares a table as a reference: the same rows on every shard, changed on one. It needs a primary key.
CREATE OR REPLACE FUNCTION shard.declare_reference(declared regclass, original_shard int) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  full_name text := (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
                       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = declared);
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid = declared AND indisprimary) THEN
    RAISE EXCEPTION 'reference table % has no primary key', declared USING ERRCODE = 'SH006';
  END IF;
  IF EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = declared AND tgname = 'tidemark_fence') THEN
    RAISE EXCEPTION 'table % belongs to buckets, so it cannot be a reference', declared USING ERRCODE = 'SH006';
  END IF;
  INSERT INTO shard.reference_table (name, original) VALUES (full_name, original_shard) ON CONFLICT DO NOTHING;
  EXECUTE format('CREATE OR REPLACE TRIGGER tidemark_reference BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
                 'FOR EACH STATEMENT EXECUTE FUNCTION shard.refuse_copy_write()', declared);
END $$;

REVOKE ALL ON FUNCTION shard.migration_number(text), shard.register_reader(text, text, interval),
  shard.forget_reader(text), shard.refuse_rewrite(), shard.refuse_drop(), shard.check_ddl(), shard.refuse_copy_write(), shard.declare_reference(regclass, int)
  FROM PUBLIC;
GRANT SELECT ON shard.migration, shard.reader, shard.reference_table
  TO tidemark_app, tidemark_invalidator, tidemark_admin;
GRANT EXECUTE ON FUNCTION shard.register_reader(text, text, interval) TO tidemark_app, tidemark_admin;
GRANT EXECUTE ON FUNCTION shard.forget_reader(text) TO tidemark_app, tidemark_admin;
GRANT EXECUTE ON FUNCTION shard.refuse_copy_write() TO tidemark_app, tidemark_admin;
