#!/usr/bin/env python3
"""Staged write-through: what its writer returned is served without a load, and only if it is what was committed (E6, triggers, aborts, losses).

The writer's half is made by hand here: the statement with its message, then STAGE, in every order and with every lie that a crash, a lost
packet or a schema can make of it. With --expect-stale the node installs what was staged for a transaction as soon as the stream names that
transaction, as a write-through without the stage message would: the attacks then succeed.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import Write, arguments, bucket_of, check, eventually, lab_for, lsn  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args, replicas=0)
lab.cluster.psql("s0-primary", """
CREATE FUNCTION lab.add_thousand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.v < 1000 THEN UPDATE lab.item SET v = v + 1000 WHERE bucket = NEW.bucket AND name = NEW.name; END IF; RETURN NULL; END $$;
CREATE TRIGGER at_once AFTER UPDATE ON lab.item FOR EACH ROW WHEN (NEW.name = 'after') EXECUTE FUNCTION lab.add_thousand();
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON lab.item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.name = 'deferred')
  EXECUTE FUNCTION lab.add_thousand();
CREATE FUNCTION lab.round_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v + 1; RETURN NEW; END $$;
CREATE TRIGGER before BEFORE UPDATE ON lab.item FOR EACH ROW WHEN (NEW.name = 'before') EXECUTE FUNCTION lab.round_up();
""")
NAMES = ["good", "late", "gone", "before", "savepoint", "after", "deferred", "twice", "lost", "forged", "overtaken", "aborted"]
for key in NAMES:
    lab.put(key, 1)
lab.wait_settled()
for key in NAMES:
    check(lab.fill_until_accepted(key) == "1", f"an honest fill of {key}")


def attack(name, wrong, right, what):
    """The STAGE is out and its transaction over: the wrong value is never served (or is, by the node that must fail)."""
    if args.expect_stale:
        eventually(f"without the stage message, {what}", lambda: lab.cached(name) == wrong)
        check(lab.value(name) == right, f"…while the database has {right}: {what}")
        return
    lab.serves_only(name, [None, right], what)
    check(lab.fill_until_accepted(name) == right and lab.cached(name) == right, f"…and an honest fill brings {right}")


def in_transaction(name, v, *steps):
    """A transaction of several steps; the answer says what its STAGE would claim: the value v."""
    session = lab.session_for_writes()
    written = Write(name, v, lab.e(), 0, session.one("SELECT pg_current_xact_id()::text"))
    for step in steps:
        written.stage = step(session) or written.stage
    session.connection.commit()
    written.lsn = lab.primary.one("SELECT pg_current_wal_insert_lsn()::text")
    return written


def plain(sql, *values):
    return lambda session: session.rows(sql, *values) and None


if not args.expect_stale:
    # The good case, both orders: a hit with the commit's exact end, and nobody has loaded anything.
    before = lab.position()
    written = lab.write_through("good", 2)
    check(lab.stage(written) == "STAGED", "a STAGE after the commit is accepted")
    value, lo, hi = eventually("the staged value is served", lambda: lab.hit("good"))
    check(value == "2" and lo == hi and before < lsn(lo) <= lsn(written.lsn), f"a write-through is served without any load: {value}, lo = hi = {lo}")
    check(lab.value("good") == "2", "…and it is what the database has")

    since = lab.position()
    written = lab.write_through("late", 2)
    lab.wait_invalidated("late", since)
    check(lab.cached("late") is None, "before its STAGE, the commit alone has dropped the key")
    check(lab.stage(written) in ("STAGED", "OK"), "a STAGE that comes after the stream's commit is accepted")
    check(eventually("it is installed", lambda: lab.hit("late"))[0] == "2", "…and installed: either order will do")

    written = lab.write_through("before", 10)
    check(lab.value("before") == "11", "a BEFORE trigger changes what RETURNING shows")
    check(lab.stage(written, v="11") == "STAGED", "what RETURNING showed is staged")
    check(eventually("it is installed", lambda: lab.hit("before"))[0] == "11", "a BEFORE trigger does no harm")

    written = lab.write_through("gone", 0, sql=lab.DELETE)
    check(lab.stage(written, v=None) == "STAGED" and lab.value("gone") is None, "a deleted row is staged as gone")
    value, lo, hi = eventually("the absence is served", lambda: lab.hit("gone"))
    check(value is None and lo == hi, f"the absence is proven without any load, lo = hi = {lo}")

# E6: what the STAGE carries was rolled back; the same transaction committed something else.
written = in_transaction("savepoint", 10, plain("SAVEPOINT s"), lambda session: lab.change(session, "savepoint", 10), plain("ROLLBACK TO s"),
                         plain("UPDATE lab.item SET v = 20 WHERE bucket = %s AND name = 'savepoint'", bucket_of("savepoint")))
lab.stage(written)
attack("savepoint", "10", "20", "E6: a value that was rolled back to a savepoint is not installed")

for key, trigger in (("after", "an AFTER trigger"), ("deferred", "a deferred constraint trigger")):
    written = lab.write_through(key, 30)
    lab.stage(written)
    attack(key, "30", "1030", f"a row that {trigger} changed once more is not installed as it was before")

written = in_transaction("twice", 50, lambda session: lab.change(session, "twice", 50),
                         plain("UPDATE lab.item SET v = 51 WHERE bucket = %s AND name = 'twice'", bucket_of("twice")))
lab.stage(written)
attack("twice", "50", "51", "a row that a later statement of the transaction changed is not installed as it was before")

# Somebody claims another value for a transaction that staged nothing of the kind.
written = lab.write_through("forged", 60)
lab.stage(written, v=61, stage=written.stage ^ 1)
attack("forged", "61", "60", "a value with a stage that the transaction does not name is not installed")

if args.expect_stale:
    sys.exit(0)

# Lost, overtaken, aborted, too old: only misses.
lab.write_through("lost", 2)
lab.serves_only("lost", ["1", None], "a write-through whose STAGE is lost serves nothing new")
check(lab.cached("lost") is None and lab.fill_until_accepted("lost") == "2", "…it is a plain invalidation")

since = lab.position()
first = lab.write_through("overtaken", 2)
lab.put("overtaken", 3)
lab.wait_settled()
answer = lab.stage(first)
check(answer == "DROPPED SUPERSEDED", f"a STAGE that comes after a later writer is dropped ({answer})")
lab.serves_only("overtaken", [None], "a value that a later writer has overtaken is not served")
check(lab.fill_until_accepted("overtaken") == "3", "…the later one is")

for round_number in range(5):  # the same, racing
    first = lab.write_through("overtaken", 10 + round_number)
    lab.stage(first)
    lab.put("overtaken", 100 + round_number)
    lab.wait_settled()
    if lab.cached("overtaken") is not None:
        check(False, f"a staged value stayed although a later commit has settled: {lab.cached('overtaken')}")
check(lab.fill_until_accepted("overtaken") == "104", "five staged values, each with a later writer on its heels: none stayed")

session = lab.session_for_writes()
written = Write("aborted", 66, lab.e(), lab.change(session, "aborted", 66), session.one("SELECT pg_current_xact_id()::text"))
check(lab.stage(written) == "STAGED", "a STAGE may be sent before the commit, without an LSN")
check(lab.cached("aborted") == "1", "…and invalidates nothing yet")
session.connection.rollback()
lab.put("good", 3)
lab.serves_only("aborted", ["1"], "after a ROLLBACK the old value stays and the staged one is never served")
lab.put("aborted", 2)
lab.serves_only("aborted", ["1", None], "…nor is it when another transaction commits on the key")
check(lab.fill_until_accepted("aborted") == "2", "…whose value an honest fill brings")

written = lab.write_through("lost", 4)
answer = lab.stage(written, e=written.e + 1)
check(answer.startswith("-EPOCH"), f"a STAGE of another db_epoch is refused ({answer})")
check(lab.fill_until_accepted("lost") == "4", "and the key is what the stream made of it")
