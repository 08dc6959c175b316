"""What the functions of a shard refuse, each on two small databases that stand for the source and the target of a move.

A test is a function of a Pair whose name is a sentence; it fails by an assertion or a database error. guards.py runs each
on the schema as it is, and again for each guard of sql.toml that names it, with that guard taken out: then it must fail.
"""
import threading
import time

import psycopg2

LO, HI, ALL = 4, 7, 4  # the range that moves


class Refused(Exception):
    pass


class Pair:
    """Source (owns buckets 0-15 at epoch 1) and target (knows them as moved); `connect(side)` opens further sessions."""

    def __init__(self, connect):
        self.connect = connect
        self.sessions = {"source": connect("source"), "target": connect("target")}

    def run(self, session, sql, *values):
        with session.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def s(self, sql, *values):
        return self.run(self.sessions["source"], sql, *values)

    def t(self, sql, *values):
        return self.run(self.sessions["target"], sql, *values)

    def state(self, side, bucket=LO):
        return self.run(self.sessions[side], "SELECT state, epoch FROM shard.bucket WHERE bucket = %s", bucket)[0]

    def step(self, side, move="m"):
        rows = self.run(self.sessions[side], "SELECT step FROM shard.move WHERE move_id = %s", move)
        return rows[0][0] if rows else None

    # ------------------------------------------------------------------------- a move, up to a step
    def reserve(self, move="m", lo=LO, hi=HI):
        epochs = self.s("SELECT shard.move_reserve_source(%s, %s, %s, 1, '{public.item}', false, NULL)", move, lo, hi)[0][0]
        self.t("SELECT shard.move_reserve_target(%s, %s, %s, 0, '{public.item}', %s::bigint[], NULL)", move, lo, hi, epochs)

    def copied(self):
        self.reserve()
        self.t("SELECT shard.move_copied('m', 0, 0)")

    def fenced(self):
        self.copied()
        self.s("SELECT shard.move_fence('m', 1)")

    def flipped(self):
        self.fenced()
        self.t("SELECT shard.move_flip('m', 1, NULL)")

    def moved(self):
        self.flipped()
        self.s("SELECT shard.move_mark_moved('m')")

    def cleaning(self):
        self.moved()
        self.s("SELECT shard.move_start_cleaning('m', true)")

    def aborting(self):
        self.copied()
        self.t("SELECT shard.move_abort_target('m', %s, %s, 0, '{public.item}')", LO, HI)

    def steal(self, side):
        """One bucket of the range belongs to another move now."""
        self.run(self.sessions[side], "UPDATE shard.bucket SET move_id = 'thief' WHERE bucket = %s", LO + 1)


def refuses(state, pair, session, sql, *values):
    """The statement fails with that SQLSTATE."""
    try:
        rows = pair.run(session, sql, *values)
    except psycopg2.Error as error:
        assert error.pgcode == state, f"{sql}: {error.pgcode} {error}, not {state}"
        if session.info.transaction_status != 0:
            session.rollback()
        return
    raise AssertionError(f"{sql}: not refused: {rows}")


def source_refuses(state, pair, sql, *values):
    refuses(state, pair, pair.sessions["source"], sql, *values)


def target_refuses(state, pair, sql, *values):
    refuses(state, pair, pair.sessions["target"], sql, *values)


def begun(pair, side="source", how="BEGIN"):
    session = pair.connect(side)
    pair.run(session, how)
    return session


# ------------------------------------------------------------------------------------------------- writers and the owner
def a_write_that_matches_no_row_is_refused_where_the_bucket_was(pair):
    pair.moved()
    writer = begun(pair)
    refuses("SH001", pair, writer, "SELECT shard.guard(%s, 1); UPDATE item SET value = 1 WHERE bucket = %s", LO, LO)


def a_write_with_another_epoch_is_refused(pair):
    pair.s("UPDATE shard.bucket SET epoch = 3 WHERE bucket = %s", LO)
    refuses("SH001", pair, begun(pair), "SELECT shard.guard(%s, 1)", LO)
    pair.run(begun(pair), "SELECT shard.guard(%s, 3)", LO)


def a_write_to_a_bucket_that_is_only_being_filled_is_refused(pair):
    pair.copied()
    refuses("SH001", pair, begun(pair, "target"), "SELECT shard.guard(%s, 1)", LO)


def a_fence_waits_for_the_writer_that_is_under_way(pair):
    pair.copied()
    writer = begun(pair)
    pair.run(writer, "SELECT shard.guard(%s, 1)", LO + 2)
    source_refuses("57014", pair, "SET statement_timeout = '150ms'; SELECT shard.move_fence('m', 1)")
    pair.s("SET statement_timeout = 0")
    assert pair.state("source") == ("owned", 1)
    pair.run(writer, "COMMIT")
    pair.s("SELECT shard.move_fence('m', 1)")


def a_writer_that_waited_for_the_fence_sees_it(pair):
    pair.copied()
    fencer = begun(pair)
    pair.run(fencer, "SELECT shard.move_fence('m', 1)")
    outcome = []

    def write():
        writer = begun(pair)
        try:
            outcome.append(pair.run(writer, "SELECT shard.guard(%s, 1)", LO))
        except psycopg2.Error as error:
            outcome.append(error.pgcode)

    waiting = threading.Thread(target=write)
    waiting.start()
    end = time.monotonic() + 15
    while not pair.s("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") and time.monotonic() < end and not outcome:
        time.sleep(0.01)
    pair.run(fencer, "COMMIT")
    waiting.join(15)
    assert outcome == ["SH001"], outcome


def a_repeatable_read_writer_from_before_the_fence_is_aborted(pair):
    pair.copied()
    writer = begun(pair, how="BEGIN ISOLATION LEVEL REPEATABLE READ")
    pair.run(writer, "SELECT count(*) FROM item")
    pair.s("SELECT shard.move_fence('m', 1)")
    refuses("40001", pair, writer, "SELECT shard.guard(%s, 1)", LO)


def a_key_share_lock_does_not_pass_beside_the_fence(pair):
    pair.copied()
    writer = begun(pair, how="BEGIN ISOLATION LEVEL REPEATABLE READ")
    pair.run(writer, "SELECT count(*) FROM item")
    pair.s("SELECT shard.move_fence('m', 1)")
    refuses("40001", pair, writer, "SELECT FROM shard.bucket WHERE bucket = %s AND state = 'owned' FOR KEY SHARE", LO)


def psql_on_the_wrong_shard_is_refused(pair):
    pair.moved()
    refuses("SH001", pair, pair.connect("source"), "INSERT INTO item VALUES (%s, 1, 1)", LO)


def a_guard_speaks_for_its_own_bucket_only(pair):
    pair.moved()
    writer = begun(pair)
    pair.run(writer, "SELECT shard.guard(1, 1)")
    refuses("SH001", pair, writer, "INSERT INTO item VALUES (%s, 1, 1)", LO)


def a_row_does_not_change_its_bucket(pair):
    pair.s("INSERT INTO item VALUES (1, 1, 1)")
    source_refuses("SH003", pair, "UPDATE item SET bucket = 2")


def a_table_is_not_truncated(pair):
    source_refuses("SH005", pair, "TRUNCATE item")


def an_incarnation_that_nobody_has_opened_takes_no_routed_write(pair):
    pair.s("UPDATE tidemark.epoch SET postmaster_start = postmaster_start - interval '1 s'")
    refuses("SH004", pair, begun(pair), "SELECT shard.guard(1, 1)")


def an_incarnation_is_not_opened_before_its_slot_exists(pair):
    pair.s("UPDATE tidemark.epoch SET postmaster_start = postmaster_start - interval '1 s'")
    source_refuses("SH004", pair, "SELECT tidemark.open_incarnation()")


def rows_by_hand_wait_for_a_promoted_server_to_be_opened(pair):
    pair.s("UPDATE tidemark.epoch SET timeline = timeline + 1")
    refuses("SH004", pair, pair.connect("source"), "INSERT INTO item VALUES (1, 1, 1)")


def a_retired_primary_takes_no_routed_write(pair):
    writer = begun(pair)
    pair.run(writer, "SELECT shard.guard(1, 1)")  # a session that was there before
    pair.run(writer, "COMMIT")
    pair.s("UPDATE tidemark.epoch SET retired_timeline = timeline")
    refuses("SH007", pair, writer, "BEGIN; SELECT shard.guard(1, 1)")


def a_retired_primary_takes_no_row_by_hand(pair):
    pair.s("UPDATE tidemark.epoch SET retired_timeline = timeline")
    refuses("SH007", pair, pair.connect("source"), "INSERT INTO item VALUES (1, 1, 1)")


def a_retired_primary_is_not_opened_again(pair):
    pair.s("UPDATE tidemark.epoch SET retired_timeline = timeline, postmaster_start = postmaster_start - interval '1 s'")
    source_refuses("SH007", pair, "SELECT tidemark.open_incarnation()")


def a_router_that_knows_of_a_successor_is_refused(pair):
    refuses("SH007", pair, begun(pair), "SELECT shard.guard(1, 1, 2)")
    pair.run(begun(pair), "SELECT shard.guard(1, 1, 1)")


# ---------------------------------------------------------------------------------------------------------- reservations
def a_bucket_of_another_shard_is_not_reserved(pair):
    pair.s("UPDATE shard.bucket SET state = 'moved' WHERE bucket = %s", LO + 1)
    source_refuses("SH007", pair, "SELECT shard.move_reserve_source('m', %s, %s, 1, '{}', false, NULL)", LO, HI)
    assert pair.step("source") is None


def a_bucket_in_another_move_is_not_reserved(pair):
    pair.reserve("first", LO + 1, LO + 1)
    source_refuses("SH007", pair, "SELECT shard.move_reserve_source('m', %s, %s, 1, '{}', false, NULL)", LO, HI)


def a_target_that_fills_the_bucket_for_another_move_is_not_reserved(pair):
    pair.reserve("first", LO + 1, LO + 1)
    # (What the source of the first says of it is lost.)
    pair.s("UPDATE shard.move SET step = 'aborted' WHERE move_id = 'first'")
    pair.t("UPDATE shard.bucket SET state = 'aborted' WHERE move_id = 'first'")
    target_refuses("SH007", pair, "SELECT shard.move_reserve_target('m', %s, %s, 0, '{}', '{1,1,1,1}', NULL)", LO, HI)


def a_target_that_owns_the_bucket_is_not_reserved(pair):
    pair.t("UPDATE shard.bucket SET state = 'owned' WHERE bucket = %s", LO + 1)
    target_refuses("SH007", pair, "SELECT shard.move_reserve_target('m', %s, %s, 0, '{}', '{1,1,1,1}', NULL)", LO, HI)


def a_target_that_has_heard_of_a_newer_owner_is_not_reserved(pair):
    pair.t("UPDATE shard.bucket SET epoch = 9 WHERE bucket = %s", LO + 1)
    target_refuses("SH007", pair, "SELECT shard.move_reserve_target('m', %s, %s, 0, '{}', '{1,1,1,1}', NULL)", LO, HI)


def a_target_with_rows_of_the_range_is_not_reserved(pair):
    pair.t("ALTER TABLE item DISABLE TRIGGER tidemark_fence; INSERT INTO item VALUES (%s, 1, 1)", HI)
    target_refuses("SH008", pair, "SELECT shard.move_reserve_target('m', %s, %s, 0, '{item}', '{1,1,1,1}', NULL)", LO, HI)
    assert pair.state("target") == ("moved", 1)


def a_move_that_was_given_up_before_it_began_cannot_begin(pair):
    pair.t("SELECT shard.move_abort_target('m', %s, %s, 0, '{}')", LO, HI)
    target_refuses("23505", pair, "SELECT shard.move_reserve_target('m', %s, %s, 0, '{}', '{1,1,1,1}', NULL)", LO, HI)


def a_move_that_was_completed_is_not_taken_back(pair):
    pair.cleaning()
    pair.s("SELECT shard.move_finish('m')")
    pair.t("SELECT shard.move_finish('m')")
    target_refuses("SH007", pair, "SELECT shard.move_reserve_source('m_r', %s, %s, 0, '{}', false, 'm')", LO, HI)


def a_source_that_has_cleaned_up_takes_nothing_back(pair):
    pair.cleaning()
    source_refuses("SH007", pair, "SELECT shard.move_reserve_target('m_r', %s, %s, 1, '{}', '{3,3,3,3}', 'm')", LO, HI)


# --------------------------------------------------------------------------------------------------------------- applying
def nothing_is_applied_after_an_abort(pair):
    pair.copied()
    pair.t("SELECT shard.move_applying('m', 'copied')")
    pair.t("SELECT shard.move_abort_target('m', %s, %s, 0, '{}')", LO, HI)
    target_refuses("SH007", pair, "SELECT shard.move_applying('m', 'copied')")


def an_abort_waits_for_the_batch_that_is_under_way(pair):
    pair.copied()
    applier = begun(pair, "target")
    pair.run(applier, "SELECT shard.move_applying('m', 'copied')")
    target_refuses("55P03", pair, "SET lock_timeout = '150ms'; SELECT shard.move_abort_target('m', %s, %s, 0, '{}')", LO, HI)
    pair.run(applier, "COMMIT")


def no_step_is_left_out(pair):
    pair.copied()
    target_refuses("SH007", pair, "SELECT shard.move_finish('m')")
    source_refuses("SH007", pair, "SELECT shard.move_finish('m')")


def a_copy_that_was_given_up_is_not_kept(pair):
    pair.reserve()
    pair.t("SELECT shard.move_abort_target('m', %s, %s, 0, '{}')", LO, HI)
    target_refuses("SH007", pair, "SELECT shard.move_copied('m', 0, 0)")


# ------------------------------------------------------------------------------------------------------ fence, hand-over
def a_fence_that_is_short_of_one_bucket_fences_none(pair):
    pair.copied()
    pair.steal("source")
    source_refuses("SH007", pair, "SELECT shard.move_fence('m', 1)")
    assert pair.state("source") == ("owned", 1)


def a_fence_names_its_attempt(pair):
    pair.copied()
    source_refuses("SH007", pair, "SELECT shard.move_fence('m', 2)")


def a_paused_move_is_not_fenced(pair):
    pair.copied()
    pair.s("UPDATE shard.move SET wish = 'pause'")
    source_refuses("SH007", pair, "SELECT shard.move_fence('m', 1)")


def a_fence_leaves_its_marker_in_the_same_commit(pair):
    pair.fenced()
    assert pair.s("SELECT attempt FROM shard.move_marker WHERE move_id = 'm'") == [(1,)]


def a_flip_that_is_short_of_one_bucket_flips_none(pair):
    pair.fenced()
    pair.steal("target")
    target_refuses("SH007", pair, "SELECT shard.move_flip('m', 1, NULL)")
    assert pair.state("target") == ("importing", 1)


def an_attempt_that_was_taken_back_cannot_flip(pair):
    pair.fenced()
    pair.t("SELECT shard.move_next_attempt('m', 1)")
    target_refuses("SH007", pair, "SELECT shard.move_flip('m', 1, NULL)")


def a_move_that_was_given_up_cannot_flip(pair):
    pair.fenced()
    pair.t("SELECT shard.move_abort_target('m', %s, %s, 0, '{}')", LO, HI)
    target_refuses("SH007", pair, "SELECT shard.move_flip('m', 1, NULL)")


def a_server_that_was_promoted_hands_nothing_over(pair):
    pair.fenced()
    pair.t("UPDATE shard.move SET timeline = timeline + 1")
    target_refuses("SH007", pair, "SELECT shard.move_flip('m', 1, NULL)")


def a_flip_that_comes_too_late_does_not_happen(pair):
    pair.fenced()
    target_refuses("SH009", pair, "SELECT shard.move_flip('m', 1, clock_timestamp() - interval '1 us')")
    assert pair.state("target") == ("importing", 1)


def a_flip_does_not_wait_in_a_queue_until_it_is_too_late(pair):
    pair.fenced()
    other = begun(pair, "target")
    pair.run(other, "SELECT FROM shard.move WHERE move_id = 'm' FOR UPDATE")
    target_refuses("55P03", pair, "SET statement_timeout = '2s'; SELECT shard.move_flip('m', 1, NULL)")


def a_flip_happens_once(pair):
    pair.flipped()
    target_refuses("SH007", pair, "SELECT shard.move_flip('m', 1, NULL)")


def a_hand_over_takes_two_steps_of_the_epoch(pair):
    pair.moved()
    assert pair.state("target") == ("owned", 3), pair.state("target")
    assert pair.state("source") == ("moved", 3), pair.state("source")


def what_was_taken_back_is_newer_than_any_flip_of_that_attempt(pair):
    pair.fenced()
    pair.t("SELECT shard.move_next_attempt('m', 1)")
    pair.s("SELECT shard.move_unfence('m', 1)")
    assert pair.state("source") == ("owned", 4), pair.state("source")
    assert pair.state("target") == ("importing", 4), pair.state("target")
    pair.s("SELECT shard.move_fence('m', 2)")
    pair.t("SELECT shard.move_flip('m', 2, NULL)")
    assert pair.state("target") == ("owned", 6), pair.state("target")


def an_abort_of_a_fence_is_newer_than_any_flip(pair):
    pair.fenced()
    pair.t("SELECT shard.move_abort_target('m', %s, %s, 0, '{}')", LO, HI)
    pair.s("SELECT shard.move_abort_source('m', 'x')")
    assert pair.state("source") == ("owned", 4), pair.state("source")


def the_next_attempt_is_named_by_the_one_that_failed(pair):
    pair.fenced()
    target_refuses("SH007", pair, "SELECT shard.move_next_attempt('m', 2)")
    source_refuses("SH007", pair, "SELECT shard.move_unfence('m', 2)")


def nothing_is_taken_back_after_the_flip(pair):
    pair.flipped()
    target_refuses("SH007", pair, "SELECT shard.move_next_attempt('m', 1)")
    target_refuses("SH007", pair, "SELECT shard.move_abort_target('m', %s, %s, 0, '{}')", LO, HI)


def the_source_keeps_nothing_that_it_has_let_go(pair):
    pair.moved()
    source_refuses("SH007", pair, "SELECT shard.move_unfence('m', 1)")
    source_refuses("SH007", pair, "SELECT shard.move_abort_source('m', 'x')")


def a_next_attempt_that_is_short_of_one_bucket_changes_none(pair):
    pair.fenced()
    pair.steal("target")
    target_refuses("SH007", pair, "SELECT shard.move_next_attempt('m', 1)")


def an_unfence_that_is_short_of_one_bucket_gives_back_none(pair):
    pair.fenced()
    pair.steal("source")
    source_refuses("SH007", pair, "SELECT shard.move_unfence('m', 1)")
    assert pair.state("source") == ("fenced", 2)


def a_source_that_is_short_of_one_bucket_lets_none_go(pair):
    pair.flipped()
    pair.steal("source")
    source_refuses("SH007", pair, "SELECT shard.move_mark_moved('m')")


def only_a_fenced_source_lets_go(pair):
    pair.copied()
    source_refuses("SH007", pair, "SELECT shard.move_mark_moved('m')")
    source_refuses("SH007", pair, "SELECT shard.move_start_cleaning('m', true)")


def a_target_that_is_short_of_one_bucket_gives_up_none(pair):
    pair.copied()
    pair.steal("target")
    target_refuses("SH007", pair, "SELECT shard.move_abort_target('m', %s, %s, 0, '{}')", LO, HI)


def a_source_that_is_short_of_one_bucket_keeps_none(pair):
    pair.copied()
    pair.steal("source")
    source_refuses("SH007", pair, "SELECT shard.move_abort_source('m', 'x')")


# -------------------------------------------------------------------------------------------------------------- clean-up
CLEAN = "SELECT shard.move_clean('m', 'item', 10)"


def a_clean_up_that_is_over_deletes_nothing(pair):
    pair.cleaning()
    pair.s("SELECT shard.move_finish('m')")
    source_refuses("SH007", pair, CLEAN)


def a_clean_up_deletes_nothing_of_a_bucket_of_another_move(pair):
    pair.cleaning()
    pair.steal("source")
    source_refuses("SH007", pair, CLEAN)


def a_clean_up_deletes_nothing_of_a_bucket_that_came_back(pair):
    pair.s("INSERT INTO item VALUES (%s, 1, 1)", LO)
    pair.cleaning()
    pair.s("UPDATE shard.bucket SET state = 'owned' WHERE bucket = %s", LO)
    source_refuses("SH007", pair, CLEAN)
    assert pair.s("SELECT count(*) FROM item") == [(1,)]


def an_abort_deletes_nothing_of_a_bucket_that_is_owned_now(pair):
    pair.aborting()
    pair.t("UPDATE shard.bucket SET state = 'owned' WHERE bucket = %s", LO)
    target_refuses("SH007", pair, CLEAN)


def a_bucket_does_not_come_back_between_a_batch_and_its_commit(pair):
    pair.cleaning()
    cleaner = begun(pair)
    pair.run(cleaner, CLEAN)
    source_refuses("55P03", pair, "SET lock_timeout = '150ms'; UPDATE shard.bucket SET state = 'importing' WHERE bucket = %s", LO)
    pair.run(cleaner, "COMMIT")


def a_clean_up_keeps_to_its_range(pair):
    for bucket in (LO - 1, LO, HI, HI + 1):
        pair.s("INSERT INTO item VALUES (%s, 1, 1)", bucket)
    pair.cleaning()
    pair.s("SET session_replication_role = 'replica'")
    assert pair.s(CLEAN) == [(2,)]
    assert pair.s("SELECT bucket FROM item ORDER BY 1") == [(LO - 1,), (HI + 1,)]


def a_clean_up_begins_when_the_source_has_let_go(pair):
    pair.flipped()
    source_refuses("SH007", pair, "SELECT shard.move_start_cleaning('m', true)")


TESTS = {name: value for name, value in globals().items()
         if callable(value) and getattr(value, "__code__", None) and value.__code__.co_varnames[:1] == ("pair",)
         and value.__code__.co_argcount == 1 and value.__module__ == __name__}
