-- What Tidemark keeps in every Postgres shard. Run by `tidemark-shards init` as the database's owner, any number of times.
--
--   shard.bucket          4,096 rows: which buckets this shard owns, and since which epoch. The truth about ownership.
--   shard.guard(b, e)     first statement after BEGIN of every routed write: refuses a router whose map is old.
--   shard.fence()         the same check per row, for writers that call no guard (psql, cron).
--   tidemark.epoch        one row: the db_epoch, which incarnation of this database a commit or a proof belongs to.
--   tidemark.open_incarnation()   to be called on every new connection to a primary, in a transaction of its own.
--   shard.open_timeline()         the same after a promotion, whoever promoted: slot first, then routed writes.
--   shard.retire(t, e)            tells a primary that another server of the shard was promoted to timeline t.
--
-- SQLSTATEs: SH001 bucket not owned here, or another epoch (DETAIL state=… epoch=… forward=…)   SH002 not a primary
--            SH003 a row's bucket cannot change   SH004 incarnation not open   SH005 TRUNCATE   SH006 unfit table
--            SH007 this primary has a successor: it takes no routed write any more
-- Advisory locks: (7001, bucket) shared by every writer of the bucket, exclusive by whoever fences it.

CREATE SCHEMA IF NOT EXISTS shard;
CREATE SCHEMA IF NOT EXISTS tidemark;

-- ---------------------------------------------------------------------------------------------------------- identity
CREATE TABLE IF NOT EXISTS shard.identity (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  shard    int NOT NULL CHECK (shard BETWEEN 0 AND 65535)
);

-- A move updates a row several times within a second: half-empty pages keep those updates on their page (HOT).
CREATE TABLE IF NOT EXISTS shard.bucket (
  bucket  int PRIMARY KEY CHECK (bucket BETWEEN 0 AND 4095),
  state   text NOT NULL CHECK (state IN ('owned', 'fenced', 'moved', 'importing', 'aborted')),
  epoch   bigint NOT NULL CHECK (epoch BETWEEN 1 AND 4294967295),
  move_id text,
  forward text      -- id of the shard to ask instead
) WITH (fillfactor = 50);

-- Caches hear of a bucket's new epoch in this shard's log: what it owned under a smaller one it owns no more (PROTOCOL.md,
-- "Hand-off of a bucket"). A fence says so on the shard that gives the bucket away, before any other can own it. One
-- message per statement, in its transaction; a move's origin does not hide it.
CREATE OR REPLACE FUNCTION shard.announce_epochs() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  lines text;
BEGIN
  SELECT string_agg(after.bucket || ' ' || after.epoch, E'\n' ORDER BY after.bucket) INTO lines
    FROM after_rows after JOIN before_rows before USING (bucket) WHERE after.epoch > before.epoch;
  IF lines IS NOT NULL THEN
    PERFORM pg_logical_emit_message(true, 'shard.moved', lines);
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER tidemark_announce AFTER UPDATE ON shard.bucket
  REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows
  FOR EACH STATEMENT EXECUTE FUNCTION shard.announce_epochs();

-- ------------------------------------------------------------------------------------------------------- incarnation
-- e grows at every promotion and every restart of the primary, also after a crash of one backend, where the postmaster
-- lives on: such restarts hand out transaction ids a second time (those of transactions whose commit was lost).
CREATE TABLE IF NOT EXISTS tidemark.epoch (
  only_row           boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  e                  int NOT NULL CHECK (e > 0),
  timeline           int NOT NULL,
  postmaster_start   timestamptz NOT NULL,
  checkpointer_start timestamptz NOT NULL,
  opened_at          timestamptz NOT NULL DEFAULT now()
);
-- The timeline on which this database takes no routed write any more, for it has a successor; a promoted copy of it,
-- being on another timeline, is not meant.
ALTER TABLE tidemark.epoch ADD COLUMN IF NOT EXISTS retired_timeline int;
ALTER TABLE tidemark.epoch ADD COLUMN IF NOT EXISTS retired_at timestamptz;

-- One row for each timeline that was opened for writes. Between `switch_lsn`, where its predecessor in this table ended,
-- and `opened_lsn` no row of a protected table was written, and the slot stood before `opened_lsn`: so whoever had
-- everything up to the switch lacks nothing. (A server cannot always read its history file: switch_lsn is then NULL.)
CREATE TABLE IF NOT EXISTS shard.timeline (
  timeline       int PRIMARY KEY,
  e              int NOT NULL,           -- the first db_epoch on it
  prev_timeline  int,                    -- NULL: the first one known here
  prev_e         int,
  switch_lsn     pg_lsn,
  opened_lsn     pg_lsn NOT NULL,
  opened_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE OR REPLACE FUNCTION tidemark.current_timeline() RETURNS int
LANGUAGE sql VOLATILE PARALLEL SAFE
-- The control file's timeline lags behind a promotion until its checkpoint; the name of the WAL file does not.
AS $$ SELECT ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int $$;

-- The checkpointer is a new process after every crash recovery, that of one backend's crash included. Where it has not
-- started yet there is no answer, and callers must try again.
CREATE OR REPLACE FUNCTION tidemark.checkpointer_start() RETURNS timestamptz
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT backend_start FROM pg_stat_activity WHERE backend_type = 'checkpointer' $$;

CREATE OR REPLACE FUNCTION tidemark.incarnation_is_open() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN NOT pg_is_in_recovery() AND EXISTS (
    SELECT FROM tidemark.epoch
     WHERE timeline = tidemark.current_timeline() AND postmaster_start = pg_postmaster_start_time()
       AND checkpointer_start = tidemark.checkpointer_start());
END $$;

-- Where `ended` gave way to its successor in the history of the timeline `of`; NULL: this server's owner may not read it.
CREATE OR REPLACE FUNCTION shard.switch_lsn(of int, ended int) RETURNS pg_lsn
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN (SELECT split_part(line, E'\t', 2)::pg_lsn
            FROM regexp_split_to_table(
                   pg_read_file('pg_wal/' || upper(lpad(to_hex(of), 8, '0')) || '.history'), E'\n') line
           WHERE split_part(line, E'\t', 1) = ended::text LIMIT 1);
EXCEPTION WHEN insufficient_privilege OR undefined_file THEN
  RETURN NULL;
END $$;

-- Returns the db_epoch of the running incarnation; the first caller after a restart or promotion makes it. Whoever gets
-- an answer may write. It refuses until the slot `tidemark` exists: commits before the slot would reach no cache.
-- The epochs of a timeline t > 1 begin at t * 65536: an old primary that is restarted after its successor was promoted
-- must not give the same number to another history.
CREATE OR REPLACE FUNCTION tidemark.open_incarnation() RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known       tidemark.epoch;
  now_tl      int;
  now_start   timestamptz := pg_postmaster_start_time();
  now_checker timestamptz;
  next_e      int;
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'this server is a replica: an incarnation is opened on the primary' USING ERRCODE = 'SH002';
  END IF;
  now_tl := tidemark.current_timeline();
  now_checker := tidemark.checkpointer_start();
  IF now_checker IS NULL THEN
    RAISE EXCEPTION 'the checkpointer has not started yet' USING ERRCODE = 'SH004', HINT = 'Try again in a moment.';
  END IF;
  SELECT * INTO known FROM tidemark.epoch;
  IF known.retired_timeline = now_tl THEN
    RAISE EXCEPTION 'this primary has a successor: it was retired on timeline %', now_tl USING ERRCODE = 'SH007',
      HINT = 'Make it a standby of the new primary (pg_rewind, or a new base backup).';
  END IF;
  IF known.timeline = now_tl AND known.postmaster_start = now_start AND known.checkpointer_start = now_checker THEN
    RETURN known.e;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'tidemark' AND slot_type = 'logical'
                    AND database = current_database()) THEN
    RAISE EXCEPTION 'the replication slot "tidemark" does not exist on this primary' USING ERRCODE = 'SH004',
      HINT = 'SELECT shard.open_timeline() creates it, and so does the invalidator when it attaches.';
  END IF;
  -- Must be durable before anybody uses the number. On this server: standbys may be gone, and a commit that waits for
  -- one keeps the shard shut for nothing.
  PERFORM set_config('synchronous_commit', 'local', true);
  PERFORM pg_advisory_xact_lock(7003, 0);
  SELECT * INTO known FROM tidemark.epoch;
  IF known.timeline = now_tl AND known.postmaster_start = now_start AND known.checkpointer_start = now_checker THEN
    RETURN known.e;  -- another session opened it while this one waited for the lock
  END IF;
  IF now_tl > 32767 THEN
    RAISE EXCEPTION 'timeline % is beyond what a db_epoch can tell', now_tl USING ERRCODE = 'SH004',
      HINT = 'Dump the shard into a new database cluster.';
  END IF;
  next_e := coalesce(known.e, 0) + 1;
  IF now_tl > 1 THEN
    next_e := greatest(next_e, now_tl * 65536);
  END IF;
  IF known.e IS NULL THEN
    INSERT INTO tidemark.epoch (e, timeline, postmaster_start, checkpointer_start)
    VALUES (next_e, now_tl, now_start, now_checker);
  ELSE
    UPDATE tidemark.epoch SET e = next_e, timeline = now_tl, postmaster_start = now_start,
           checkpointer_start = now_checker, opened_at = clock_timestamp(), retired_timeline = NULL,
           retired_at = NULL;
  END IF;
  IF known.timeline IS DISTINCT FROM now_tl THEN
    INSERT INTO shard.timeline (timeline, e, prev_timeline, prev_e, switch_lsn, opened_lsn)
    VALUES (now_tl, next_e, known.timeline, known.e, shard.switch_lsn(now_tl, known.timeline),
            pg_current_wal_insert_lsn())
    ON CONFLICT (timeline) DO NOTHING;
  END IF;
  RETURN next_e;
END $$;

-- After a promotion by whatever means: the logical slot first, since PostgreSQL 15 has none on a promoted standby, then
-- the incarnation. Run in a transaction of its own; a second caller waits for the first. What it costs when there is
-- nothing to do: the look of open_incarnation().
CREATE OR REPLACE FUNCTION shard.open_timeline() RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  opened int;
BEGIN
  BEGIN
    RETURN tidemark.open_incarnation();
  EXCEPTION WHEN SQLSTATE 'SH004' THEN
    IF tidemark.checkpointer_start() IS NULL
       OR EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'tidemark') THEN
      RAISE;
    END IF;
  END;
  -- Not the lock of open_incarnation(): creating a slot waits for running transactions, also for one that waits there.
  IF NOT pg_try_advisory_xact_lock(7003, 1) THEN
    RAISE EXCEPTION 'another session is creating the replication slot "tidemark"' USING ERRCODE = 'SH004',
      HINT = 'Try again in a moment.';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'tidemark') THEN
    PERFORM pg_create_logical_replication_slot('tidemark', 'pgoutput');
  END IF;
  opened := tidemark.open_incarnation();
  RETURN opened;
END $$;

-- What routers tell a primary as soon as they see its successor, and `tidemark-shards promote` before it promotes: it
-- takes no routed write any more, nor after a restart. Called with the successor's timeline; on that timeline, or a later
-- one, it does nothing. True: this primary is retired.
CREATE OR REPLACE FUNCTION shard.retire(successor_timeline int) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  now_tl int;
BEGIN
  IF pg_is_in_recovery() THEN
    RETURN false;
  END IF;
  now_tl := tidemark.current_timeline();
  IF successor_timeline IS NULL OR successor_timeline <= now_tl THEN
    RETURN false;
  END IF;
  PERFORM set_config('synchronous_commit', 'local', true);  -- its standbys may follow the successor by now
  UPDATE tidemark.epoch SET retired_timeline = now_tl, retired_at = clock_timestamp() WHERE retired_timeline IS DISTINCT FROM now_tl;
  RETURN true;
END $$;

-- Takes back a retirement that no promotion has followed. For the owner (tidemark-shards promote --cancel).
CREATE OR REPLACE FUNCTION shard.unretire() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ UPDATE tidemark.epoch SET retired_timeline = NULL, retired_at = NULL $$;

-- ------------------------------------------------------------------------------------------------------------- guard
-- Refuses unless the bucket is owned here, and at the expected epoch (NULL: at any). Holds the bucket's
-- advisory lock to the end of the transaction. plpgsql and VOLATILE on purpose: an SQL STABLE function would go on with
-- the snapshot from before the wait for the lock. In REPEATABLE READ and SERIALIZABLE the snapshot is old by definition:
-- there FOR SHARE turns a fence that committed meanwhile into 40001.
CREATE OR REPLACE FUNCTION shard.check_owned(for_bucket int, expected_epoch bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found_state   text;
  found_epoch   bigint;
  found_forward text;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(7001, for_bucket);
  IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
    SELECT state, epoch, forward INTO found_state, found_epoch, found_forward
      FROM shard.bucket WHERE bucket = for_bucket;
  ELSE
    SELECT state, epoch, forward INTO found_state, found_epoch, found_forward
      FROM shard.bucket WHERE bucket = for_bucket FOR SHARE;
  END IF;
  IF found_state IS DISTINCT FROM 'owned' OR expected_epoch <> found_epoch THEN
    RAISE EXCEPTION 'bucket % at epoch % is not owned here', for_bucket, coalesce(expected_epoch::text, '-')
      USING ERRCODE = 'SH001',
            DETAIL = format('state=%s epoch=%s forward=%s', coalesce(found_state, 'absent'), coalesce(found_epoch, 0),
                            coalesce(found_forward, '-')),
            HINT = 'Refresh the bucket map and send the write to the owner.';
  END IF;
END $$;

-- First statement of a routed write, once per bucket it touches; returns the db_epoch. A row trigger cannot do this job:
-- it does not fire for an UPDATE that matches no row, and a router with an old map would take "0 rows" for an answer.
-- `at_least` is the greatest db_epoch of the shard that the router has heard of: a primary of an older one has a
-- successor, even if nobody could tell it.
CREATE OR REPLACE FUNCTION shard.guard(bucket int, epoch bigint, at_least int) RETURNS int
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_variable
DECLARE
  found_e        int;
  found_timeline int;
  found_retired  int;
BEGIN
  IF bucket IS NULL OR epoch IS NULL THEN
    RAISE EXCEPTION 'shard.guard needs a bucket and an epoch' USING ERRCODE = '22004';
  END IF;
  IF pg_catalog.pg_is_in_recovery() THEN
    RAISE EXCEPTION 'this server is a replica: writes go to the primary' USING ERRCODE = 'SH002';
  END IF;
  -- A crash ends every session, and a session of a replica never gets here: so once per session is enough.
  IF pg_catalog.current_setting('tidemark.incarnation', true) IS DISTINCT FROM 'open' THEN
    IF NOT tidemark.incarnation_is_open() THEN
      RAISE EXCEPTION 'this incarnation of the database is not open for routed writes' USING ERRCODE = 'SH004',
        HINT = 'Run SELECT tidemark.open_incarnation() in a transaction of its own, then try again.';
    END IF;
    PERFORM pg_catalog.set_config('tidemark.incarnation', 'open', false);
  END IF;
  PERFORM shard.check_owned(bucket, epoch);
  -- After the lock: whoever retires this primary may have had it.
  SELECT t.e, t.timeline, t.retired_timeline INTO found_e, found_timeline, found_retired FROM tidemark.epoch t;
  IF found_retired = found_timeline THEN
    RAISE EXCEPTION 'this primary has a successor: it was retired on timeline %', found_timeline
      USING ERRCODE = 'SH007', HINT = 'Write to the server that was promoted.';
  END IF;
  IF found_e < at_least THEN
    RAISE EXCEPTION 'this primary has db_epoch %, and a successor with %', found_e, at_least
      USING ERRCODE = 'SH007', HINT = 'Write to the server that was promoted.';
  END IF;
  -- Tells the row trigger which buckets need no second look in this transaction.
  PERFORM pg_catalog.set_config('tidemark.guarded',
    coalesce(pg_catalog.current_setting('tidemark.guarded', true), '') || ',' || bucket || ',', true);
  RETURN found_e;
END $$;

CREATE OR REPLACE FUNCTION shard.guard(bucket int, epoch bigint) RETURNS int
LANGUAGE sql VOLATILE
AS $$ SELECT shard.guard(bucket, epoch, 0) $$;

-- ----------------------------------------------------------------------------------------------------------- backstop
-- For writers without a guard: not on a timeline whose slot may not exist yet, nor on a retired one. Restarts need no
-- opening here: the slot has lived through them. Before `init` has opened anything whoever makes the schema may write.
CREATE OR REPLACE FUNCTION shard.check_timeline_open() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  known tidemark.epoch;
BEGIN
  SELECT * INTO known FROM tidemark.epoch;
  IF known.timeline <> tidemark.current_timeline() THEN
    RAISE EXCEPTION 'this server was promoted and is not open for writes yet' USING ERRCODE = 'SH004',
      HINT = 'Run SELECT shard.open_timeline() in a transaction of its own, then try again.';
  END IF;
  IF known.retired_timeline = known.timeline THEN
    RAISE EXCEPTION 'this primary has a successor: it was retired on timeline %', known.timeline
      USING ERRCODE = 'SH007', HINT = 'Write to the server that was promoted.';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION shard.fence() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  row_bucket int;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    RAISE EXCEPTION 'TRUNCATE of %.% would empty other shards'' buckets too', TG_TABLE_SCHEMA, TG_TABLE_NAME
      USING ERRCODE = 'SH005', HINT = 'DELETE the rows of the buckets you mean.';
  END IF;
  IF TG_OP = 'UPDATE' AND NEW.bucket IS DISTINCT FROM OLD.bucket THEN
    RAISE EXCEPTION 'the bucket of a row of %.% cannot change (% to %)', TG_TABLE_SCHEMA, TG_TABLE_NAME, OLD.bucket,
      NEW.bucket USING ERRCODE = 'SH003', HINT = 'Delete the row and insert it with its new bucket.';
  END IF;
  row_bucket := CASE WHEN TG_OP = 'DELETE' THEN OLD.bucket ELSE NEW.bucket END;
  IF strpos(coalesce(current_setting('tidemark.guarded', true), ''), ',' || row_bucket || ',') = 0 THEN
    PERFORM shard.check_owned(row_bucket, NULL);
    PERFORM shard.check_timeline_open();
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

-- Under which name a table was protected: caches know its rows by it.
CREATE TABLE IF NOT EXISTS shard.protected_table (
  id   oid PRIMARY KEY,
  name text NOT NULL
);

-- Puts the backstop on a table whose rows belong to buckets: it needs a column `bucket int NOT NULL`.
CREATE OR REPLACE FUNCTION shard.protect_table(protected regclass) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  IF (SELECT relkind <> 'r' OR relispartition FROM pg_catalog.pg_class WHERE oid = protected)
     OR EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = protected) THEN
    RAISE EXCEPTION 'table % is partitioned, a partition, or has children', protected USING ERRCODE = 'SH006',
      HINT = 'Rows would come and go with ATTACH, DETACH and INHERIT without an event; buckets are the partitions here.';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = protected AND attname = 'bucket'
                    AND atttypid = 'pg_catalog.int4'::regtype AND attnotnull AND NOT attisdropped) THEN
    RAISE EXCEPTION 'table % has no column "bucket int NOT NULL"', protected USING ERRCODE = 'SH006',
      HINT = 'Add the column and put it first in the primary key.';
  END IF;
  EXECUTE format('CREATE OR REPLACE TRIGGER tidemark_fence BEFORE INSERT OR UPDATE OR DELETE ON %s '
                 'FOR EACH ROW EXECUTE FUNCTION shard.fence()', protected);
  EXECUTE format('CREATE OR REPLACE TRIGGER tidemark_fence_truncate BEFORE TRUNCATE ON %s '
                 'FOR EACH STATEMENT EXECUTE FUNCTION shard.fence()', protected);
  INSERT INTO shard.protected_table (id, name)
  SELECT c.oid, n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid = protected
  ON CONFLICT (id) DO UPDATE SET name = excluded.name;
END $$;

-- -------------------------------------------------------------------------------------------------- roles and grants
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tidemark_app') THEN
    CREATE ROLE tidemark_app LOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tidemark_invalidator') THEN
    CREATE ROLE tidemark_invalidator LOGIN REPLICATION;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tidemark_admin') THEN
    CREATE ROLE tidemark_admin LOGIN;
  END IF;
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO tidemark_app, tidemark_invalidator, tidemark_admin',
                 current_database());
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'tidemark') THEN
    CREATE PUBLICATION tidemark;
  END IF;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA shard, tidemark FROM PUBLIC;
GRANT USAGE ON SCHEMA shard, tidemark TO tidemark_app, tidemark_invalidator, tidemark_admin;
GRANT SELECT ON shard.bucket, shard.identity, shard.timeline, tidemark.epoch TO tidemark_app, tidemark_invalidator, tidemark_admin;
GRANT INSERT, UPDATE ON shard.bucket, shard.protected_table TO tidemark_admin;
GRANT SELECT ON shard.protected_table TO tidemark_admin;
GRANT EXECUTE ON FUNCTION tidemark.open_incarnation(), tidemark.incarnation_is_open(), tidemark.current_timeline(),
  tidemark.checkpointer_start(), shard.open_timeline(), shard.retire(int)
  TO tidemark_app, tidemark_invalidator, tidemark_admin;
GRANT EXECUTE ON FUNCTION shard.guard(int, bigint), shard.guard(int, bigint, int), shard.check_owned(int, bigint) TO tidemark_app, tidemark_admin;
GRANT EXECUTE ON FUNCTION shard.fence() TO tidemark_app, tidemark_admin;
GRANT EXECUTE ON FUNCTION shard.protect_table(regclass) TO tidemark_admin;
-- Replication lag and slots are shown by `tidemark-shards status`.
GRANT pg_monitor TO tidemark_admin;
-- The invalidator compares its walsender's state with its own position, and sees transactions that block a slot.
GRANT pg_read_all_stats TO tidemark_invalidator;
