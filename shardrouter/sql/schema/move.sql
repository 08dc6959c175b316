-- What a shard keeps about buckets that move to or from it. Run by `tidemark-shards init` after shard.sql, any number of
-- times. Nobody else knows about a move: whoever reads these rows on both shards can go on with it or take it back.
--
--   source:  reserved -> fenced -> moved -> cleaning -> done          (fenced -> reserved: that attempt was too slow)
--   target:  reserved -> copied -> owned -> done                      reserved, copied -> aborting -> aborted
--   buckets: source owned(e) -> fenced(e+1) -> moved(e+2), target importing(e) -> owned(e+2)
--            an attempt taken back: target importing(e) -> importing(e+3), then source fenced(e+1) -> owned(e+3)
-- Flips take even steps and retreats odd ones, so the larger epoch is always the newer decision.
--
-- While writers wait nothing waits for a disk: fence, flip and the two steps back commit with synchronous_commit = off.
-- What a crash then forgets, it forgets on one server and from the end: nothing that was acknowledged after it can have
-- survived. The target sees a fence only once it is on the source's disk (the log is sent from there); no one acts on a
-- flip before it is on the target's. An attempt that one side has forgotten is caught up with: the attempts are counted
-- on both sides, and a fence or a flip names its own.
--
-- Every function is one decision: it locks the move's row, checks the step it starts from, changes exactly as many
-- buckets as the move has or fails, and is called as one message of its own. A process that was paused and comes back
-- finds another step and changes nothing.
--
-- SQLSTATEs: SH007 the buckets or the step are not what this call needs   SH008 rows where none may be
--            SH009 the hand-over comes too late
-- Advisory locks: (7002, hash of the move's id) by the one process that drives it.

CREATE TABLE IF NOT EXISTS shard.move (
  move_id      text PRIMARY KEY CHECK (move_id ~ '^[a-z0-9_]{1,40}$'),
  role         text NOT NULL CHECK (role IN ('source', 'target')),
  bucket_lo    int NOT NULL CHECK (bucket_lo BETWEEN 0 AND 4095),
  bucket_hi    int NOT NULL CHECK (bucket_hi BETWEEN bucket_lo AND 4095),
  peer         int NOT NULL,                    -- the other shard
  tables       text[] NOT NULL,                 -- in the order in which foreign keys allow them to be filled
  step         text NOT NULL CHECK (step IN ('reserved', 'fenced', 'moved', 'cleaning', 'copied', 'owned', 'aborting',
                                             'aborted', 'undone', 'done')),
  attempt      int NOT NULL DEFAULT 1,          -- of the fence
  wish         text NOT NULL DEFAULT 'run' CHECK (wish IN ('run', 'pause', 'abort')),  -- read in the source's row
  timeline     int NOT NULL,                    -- of this shard when it was reserved
  undoes       text,                            -- the move that this one takes back
  is_held      boolean NOT NULL DEFAULT false,  -- stop after the hand-over; rows and reverse stream stay
  rows_total   bigint,                          -- in the copy's snapshot
  rows_copied  bigint NOT NULL DEFAULT 0,
  bytes_copied bigint NOT NULL DEFAULT 0,
  lag_bytes    bigint,
  checked      boolean,                         -- the second comparison, at the fence's position
  fenced_at    timestamptz,
  owned_at     timestamptz,
  note         text NOT NULL DEFAULT '',        -- what it waits for, or why it ended
  heartbeat    timestamptz NOT NULL DEFAULT clock_timestamp(),
  pids         int[] NOT NULL DEFAULT '{}',     -- the driving process's backends on this server
  started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at     timestamptz
) WITH (fillfactor = 50);

-- A fence writes one row here. It travels in the move's own stream: when the target sees it, it has seen everything.
-- Rehearsals have negative numbers.
CREATE TABLE IF NOT EXISTS shard.move_marker (
  move_id text NOT NULL,
  attempt int NOT NULL,
  PRIMARY KEY (move_id, attempt)
);

CREATE OR REPLACE FUNCTION shard.move_has_ended(id text) RETURNS boolean
LANGUAGE sql STABLE
AS $$ SELECT coalesce((SELECT step IN ('done', 'aborted', 'undone') FROM shard.move WHERE move_id = id), true) $$;

-- The move's row, locked, if it is in one of these steps; otherwise an error that says where it is.
CREATE OR REPLACE FUNCTION shard.move_in_step(id text, allowed text[]) RETURNS shard.move
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  found_move shard.move;
BEGIN
  SELECT * INTO found_move FROM shard.move WHERE move_id = id FOR UPDATE;
  IF found_move.step IS NULL OR NOT found_move.step = ANY (allowed) THEN
    RAISE EXCEPTION 'move % is % here, not %', id, coalesce(found_move.step, 'unknown'), array_to_string(allowed, ' or ')
      USING ERRCODE = 'SH007', HINT = 'Another process has gone on with it.';
  END IF;
  RETURN found_move;
END $$;

CREATE OR REPLACE FUNCTION shard.move_expect_count(m shard.move, changed bigint, what text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  IF changed <> m.bucket_hi - m.bucket_lo + 1 THEN
    RAISE EXCEPTION 'move %: % of % buckets could be %', m.move_id, changed, m.bucket_hi - m.bucket_lo + 1, what
      USING ERRCODE = 'SH007', HINT = 'They belong to another shard or to another move: tidemark-shards doctor.';
  END IF;
END $$;

-- ----------------------------------------------------------------------------------------------------------- reserve
-- Returns the buckets' epochs, ascending by bucket. `undone`: the move that this one takes back, or NULL.
CREATE OR REPLACE FUNCTION shard.move_reserve_source(id text, lo int, hi int, target int, of_tables text[], held boolean,
                                                     undone text) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move;
  changed bigint;
BEGIN
  INSERT INTO shard.move (move_id, role, bucket_lo, bucket_hi, peer, tables, step, timeline, undoes, is_held)
  VALUES (id, 'source', lo, hi, target, of_tables, 'reserved', tidemark.current_timeline(), undone, held)
  RETURNING * INTO m;
  IF undone IS NOT NULL THEN
    PERFORM shard.move_in_step(undone, ARRAY['owned']);
    UPDATE shard.move SET step = 'undone', ended_at = clock_timestamp() WHERE move_id = undone;
  END IF;
  UPDATE shard.bucket b SET move_id = id
   WHERE b.bucket BETWEEN lo AND hi AND b.state = 'owned' AND shard.move_has_ended(b.move_id);
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'reserved at the source');
  RETURN (SELECT array_agg(epoch ORDER BY bucket) FROM shard.bucket WHERE bucket BETWEEN lo AND hi);
END $$;

CREATE OR REPLACE FUNCTION shard.move_reserve_target(id text, lo int, hi int, source int, of_tables text[],
                                                     epochs bigint[], undone text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m        shard.move;
  changed  bigint;
  one      text;
  has_rows boolean;
BEGIN
  INSERT INTO shard.move (move_id, role, bucket_lo, bucket_hi, peer, tables, step, timeline, undoes)
  VALUES (id, 'target', lo, hi, source, of_tables, CASE WHEN undone IS NULL THEN 'reserved' ELSE 'copied' END,
          tidemark.current_timeline(), undone)
  RETURNING * INTO m;
  IF undone IS NOT NULL THEN
    PERFORM shard.move_in_step(undone, ARRAY['moved']);
    UPDATE shard.move SET step = 'undone', ended_at = clock_timestamp() WHERE move_id = undone;
  END IF;
  INSERT INTO shard.bucket AS b (bucket, state, epoch, move_id, forward)
  SELECT lo + n::int - 1, 'importing', e, id, source::text FROM unnest(epochs) WITH ORDINALITY AS x(e, n)
  ON CONFLICT (bucket) DO UPDATE
     SET state = 'importing', epoch = greatest(b.epoch, excluded.epoch), move_id = id, forward = excluded.forward
   -- (An aborted move may have left a larger epoch here: of an attempt that the source has forgotten in a crash.)
   WHERE (b.state = 'moved' AND b.epoch <= excluded.epoch OR b.state = 'aborted') AND shard.move_has_ended(b.move_id);
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'reserved at the target');
  IF undone IS NULL THEN
    FOREACH one IN ARRAY of_tables LOOP
      EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE bucket BETWEEN $1 AND $2)', one::regclass)
        INTO has_rows USING lo, hi;
      IF has_rows THEN
        RAISE EXCEPTION 'table % at the target has rows of buckets % to % already', one, lo, hi
          USING ERRCODE = 'SH008', HINT = 'Left behind by something that is no move: delete them by hand.';
      END IF;
    END LOOP;
  END IF;
END $$;

-- ------------------------------------------------------------------------------------------------------- copy, apply
-- First statement of every transaction that applies rows at the target: nobody may decide against the move meanwhile.
CREATE OR REPLACE FUNCTION shard.move_applying(id text, at_step text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM FROM shard.move WHERE move_id = id AND role = 'target' AND step = at_step FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'move % takes no rows here (%)', id, coalesce((SELECT step FROM shard.move WHERE move_id = id), 'unknown')
      USING ERRCODE = 'SH007', HINT = 'Another process has gone on with it.';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION shard.move_copied(id text, row_count bigint, byte_count bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM shard.move_in_step(id, ARRAY['reserved']);
  UPDATE shard.move SET step = 'copied', rows_copied = row_count, bytes_copied = byte_count WHERE move_id = id;
END $$;

-- ------------------------------------------------------------------------------------------------------------- fence
-- The way of a fence's marker, gone through beforehand while nobody waits: how long will it take now?
CREATE OR REPLACE FUNCTION shard.move_rehearse(id text, number int) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  PERFORM shard.move_in_step(id, ARRAY['reserved']);
  DELETE FROM shard.move_marker WHERE move_id = id AND attempt < 0;
  INSERT INTO shard.move_marker (move_id, attempt) VALUES (id, -number);
END $$;

-- The advisory locks wait for writers that are under way; statement_timeout bounds the whole.
CREATE OR REPLACE FUNCTION shard.move_fence(id text, of_attempt int) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move := shard.move_in_step(id, ARRAY['reserved']);
  changed bigint;
BEGIN
  IF m.role <> 'source' OR m.attempt <> of_attempt OR m.wish <> 'run' THEN
    RAISE EXCEPTION 'move %: attempt % cannot be fenced (attempt %, wish %)', id, of_attempt, m.attempt, m.wish
      USING ERRCODE = 'SH007';
  END IF;
  PERFORM set_config('synchronous_commit', 'off', true);
  PERFORM pg_advisory_xact_lock(7001, b) FROM generate_series(m.bucket_lo, m.bucket_hi) b;
  -- FOR UPDATE as well: a REPEATABLE READ writer that checked FOR SHARE must not pass beside a plain UPDATE.
  PERFORM FROM shard.bucket WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi FOR UPDATE;
  UPDATE shard.bucket SET state = 'fenced', epoch = epoch + 1, forward = m.peer::text
   WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi AND state = 'owned' AND move_id = id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'fenced');
  INSERT INTO shard.move_marker (move_id, attempt) VALUES (id, of_attempt);
  UPDATE shard.move SET step = 'fenced', fenced_at = clock_timestamp(), heartbeat = clock_timestamp() WHERE move_id = id;
END $$;

-- Target first: after this no flip of the old attempt can happen.
CREATE OR REPLACE FUNCTION shard.move_next_attempt(id text, of_attempt int) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move := shard.move_in_step(id, ARRAY['copied']);
  changed bigint;
BEGIN
  IF m.attempt <> of_attempt THEN
    RAISE EXCEPTION 'move % is at attempt % here, not %', id, m.attempt, of_attempt USING ERRCODE = 'SH007';
  END IF;
  PERFORM set_config('synchronous_commit', 'off', true);
  UPDATE shard.bucket SET epoch = epoch + 3
   WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi AND state = 'importing' AND move_id = id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'kept for a next attempt');
  UPDATE shard.move SET attempt = of_attempt + 1 WHERE move_id = id;
END $$;

-- Then the source. (A source that has forgotten the fence itself has nothing to take down and takes the epochs.)
CREATE OR REPLACE FUNCTION shard.move_unfence(id text, of_attempt int) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move := shard.move_in_step(id, ARRAY['fenced', 'reserved']);
  changed bigint;
BEGIN
  IF m.attempt <> of_attempt THEN
    RAISE EXCEPTION 'move % is at attempt % here, not %', id, m.attempt, of_attempt USING ERRCODE = 'SH007';
  END IF;
  PERFORM set_config('synchronous_commit', 'off', true);
  UPDATE shard.bucket SET state = 'owned', epoch = epoch + CASE WHEN m.step = 'fenced' THEN 2 ELSE 3 END, forward = NULL
   WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi AND move_id = id
     AND state = CASE WHEN m.step = 'fenced' THEN 'fenced' ELSE 'owned' END;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'given back to writers');
  UPDATE shard.move SET step = 'reserved', attempt = of_attempt + 1, fenced_at = NULL WHERE move_id = id;
END $$;

-- --------------------------------------------------------------------------------------------------------- hand-over
-- Not after that moment of this server's clock (NULL: whenever), and not on a server that was promoted since.
DROP FUNCTION IF EXISTS shard.move_flip(text, int);
CREATE OR REPLACE FUNCTION shard.move_flip(id text, of_attempt int, not_after timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move;
  changed bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '20ms', true);
  m := shard.move_in_step(id, ARRAY['copied']);
  IF m.attempt <> of_attempt THEN
    RAISE EXCEPTION 'move % is at attempt % here, not %', id, m.attempt, of_attempt USING ERRCODE = 'SH007';
  END IF;
  IF m.timeline <> tidemark.current_timeline() THEN
    RAISE EXCEPTION 'move % began on timeline % of this shard, which is on % now', id, m.timeline, tidemark.current_timeline()
      USING ERRCODE = 'SH007', HINT = 'The target failed over: the move ends.';
  END IF;
  UPDATE shard.bucket SET state = 'owned', epoch = epoch + 2, forward = NULL
   WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi AND state = 'importing' AND move_id = id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'owned by the target');
  UPDATE shard.move SET step = 'owned', owned_at = clock_timestamp() WHERE move_id = id;
  IF clock_timestamp() > not_after THEN
    RAISE EXCEPTION 'move %: the hand-over of attempt % comes too late', id, of_attempt
      USING ERRCODE = 'SH009', HINT = 'The source takes the buckets back, and it is tried again.';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION shard.move_mark_moved(id text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move := shard.move_in_step(id, ARRAY['fenced']);
  changed bigint;
BEGIN
  UPDATE shard.bucket SET state = 'moved', epoch = epoch + 1
   WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi AND state = 'fenced' AND move_id = id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'marked as moved');
  UPDATE shard.move SET step = 'moved' WHERE move_id = id;
END $$;

-- ------------------------------------------------------------------------------------------------------------- abort
-- Target first. Without a row here one is made, so that a slower process cannot reserve afterwards.
CREATE OR REPLACE FUNCTION shard.move_abort_target(id text, lo int, hi int, source int, of_tables text[]) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move;
  changed bigint;
BEGIN
  INSERT INTO shard.move (move_id, role, bucket_lo, bucket_hi, peer, tables, step, timeline, ended_at)
  VALUES (id, 'target', lo, hi, source, of_tables, 'aborted', tidemark.current_timeline(), clock_timestamp())
  ON CONFLICT DO NOTHING;
  IF FOUND THEN
    RETURN;
  END IF;
  m := shard.move_in_step(id, ARRAY['reserved', 'copied']);
  UPDATE shard.bucket SET state = 'aborted'
   WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi AND state = 'importing' AND move_id = id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'given up by the target');
  UPDATE shard.move SET step = 'aborting' WHERE move_id = id;
END $$;

CREATE OR REPLACE FUNCTION shard.move_abort_source(id text, why text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move := shard.move_in_step(id, ARRAY['reserved', 'fenced']);
  changed bigint;
BEGIN
  UPDATE shard.bucket SET epoch = CASE WHEN state = 'fenced' THEN epoch + 2 ELSE epoch END, state = 'owned',
         forward = NULL
   WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi AND state IN ('owned', 'fenced') AND move_id = id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM shard.move_expect_count(m, changed, 'kept by the source');
  UPDATE shard.move SET step = 'aborted', note = why, ended_at = clock_timestamp() WHERE move_id = id;
END $$;

-- ---------------------------------------------------------------------------------------------------------- clean-up
CREATE OR REPLACE FUNCTION shard.move_start_cleaning(id text, was_checked boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
  PERFORM shard.move_in_step(id, ARRAY['moved']);
  UPDATE shard.move SET step = 'cleaning', checked = was_checked WHERE move_id = id;
END $$;

-- One batch of rows that are nobody's: at the source after the hand-over, at the target after an abort. Fences,
-- triggers and foreign keys do not look at it (the session replays as a replica), so it looks itself.
CREATE OR REPLACE FUNCTION shard.move_clean(id text, cleaned regclass, rows_max int) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m       shard.move := shard.move_in_step(id, ARRAY['cleaning', 'aborting']);
  held    bigint;
  deleted bigint;
BEGIN
  SELECT count(*) INTO held FROM (
    SELECT FROM shard.bucket
     WHERE bucket BETWEEN m.bucket_lo AND m.bucket_hi AND move_id = id
       AND state = CASE WHEN m.role = 'source' THEN 'moved' ELSE 'aborted' END
       FOR SHARE) b;
  PERFORM shard.move_expect_count(m, held, 'cleaned');
  EXECUTE format('DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE bucket BETWEEN $1 AND $2 LIMIT $3))',
                 cleaned, cleaned) USING m.bucket_lo, m.bucket_hi, rows_max;
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN deleted;
END $$;

-- The last step on either side: cleaning -> done, aborting -> aborted, owned -> done.
CREATE OR REPLACE FUNCTION shard.move_finish(id text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
  m shard.move := shard.move_in_step(id, ARRAY['cleaning', 'aborting', 'owned']);
BEGIN
  UPDATE shard.move SET step = CASE WHEN m.step = 'aborting' THEN 'aborted' ELSE 'done' END,
         ended_at = clock_timestamp(), pids = '{}' WHERE move_id = id;
  DELETE FROM shard.move_marker WHERE move_id = id;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA shard FROM PUBLIC;
GRANT SELECT ON shard.move, shard.move_marker TO tidemark_admin, tidemark_invalidator;
