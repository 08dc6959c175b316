#!/usr/bin/env python3
"""E4: a crash loses a transaction that has staged its value, and the restarted server gives its xid to another one.

Everything is as safe as Postgres can be told to be (fsync, synchronous_commit): what is lost was never committed. The value that was staged for
the lost transaction must not be installed for its namesake. With --expect-stale the node knows a transaction by its xid alone, and installs it.
"""
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import Write, arguments, bucket_of, check, eventually, lab_for  # noqa: E402

LOST = 6  # transactions lost at once: the first xids after the restart go to whoever opens the new incarnation
ROUNDS = 5  # a crash that lost no xid (their log records had reached the disk by chance) is tried again

args = arguments(expect_stale=0)
lab = lab_for(args, "--fsync", replicas=0)
NAMES = [f"crash{i}" for i in range(LOST)]
# Nothing but the lost transactions may make the server write its log to disk: not its writer …
lab.cluster.reload_setting("s0-primary", "wal_writer_delay", "10s")
for key in NAMES:
    lab.put(key, 1)
lab.wait_settled()


def lose():
    """Open transactions that change one row each and stage it; then the crash. By their xid."""
    sessions = {key: lab.cluster.session("s0-primary", autocommit=False) for key in NAMES}
    state = lab.cluster.state()
    postmaster, invalidator = (state[name]["pid"] for name in ("s0-primary", "invalidator"))
    os.kill(invalidator, signal.SIGSTOP)  # … and not the heartbeat that the invalidator commits
    lost = {}
    for key, session in sessions.items():
        written = Write(key, 666, epoch, lab.change(session, key, 666), session.one("SELECT pg_current_xact_id()::text"))
        if lab.stage(written) != "STAGED":
            check(False, "a STAGE before the commit is accepted")
        lost[written.xid] = written
    # At once, by signal: a program started to do it would give the log's writer the time to save what is to be lost.
    os.kill(postmaster, signal.SIGQUIT)
    eventually("the primary is gone", lambda: not pathlib.Path(f"/proc/{postmaster}").exists())
    os.kill(invalidator, signal.SIGCONT)
    lab.cluster.run("start", "s0-primary")
    lab.primary = lab.cluster.session("s0-primary")
    return lost


def commit_under_a_lost_xid(lost):
    """Transactions until one has an xid that was lost: it changes the row of its namesake. None: no xid was lost."""
    session = lab.cluster.session("s0-primary", autocommit=False)
    for _ in range(LOST + 4):
        xid = session.one("SELECT pg_current_xact_id()::text")
        if xid in lost:
            name = lost[xid].name
            session.rows("UPDATE lab.item SET v = 7 WHERE bucket = %s AND name = %s", bucket_of(name), name)
            session.connection.commit()
            return lost[xid]
        session.connection.commit()
        if all(int(xid) > int(other) for other in lost):
            return None
    return None


for _ in range(ROUNDS):
    epoch = lab.e()
    lost = lose()
    namesake = commit_under_a_lost_xid(lost)
    eventually("the node has learnt the new db_epoch", lambda: lab.node.tide().get(0, {"e": 0})["e"] > epoch, 30)
    if namesake is not None:
        break
check(namesake is not None, f"a crash lost a transaction, and its xid was given out again ({lost.keys()})")
check(lab.value(namesake.name) == "7", f"xid {namesake.xid} has committed 7 where the lost transaction had written 666")
if args.expect_stale:
    lab.stage(namesake, e=lab.e())  # FENCEALL took what was parked; a slow network brings it once more
    eventually("a node that knows a transaction by its xid alone installs the lost value", lambda: lab.cached(namesake.name) == "666")
    sys.exit(0)
lab.serves_only(namesake.name, [None, "7"], "E4: the lost value is not installed for its namesake")
answer = lab.stage(namesake, lsn=lab.primary.one("SELECT pg_current_wal_insert_lsn()::text"))
check(answer.startswith("-EPOCH"), f"the lost transaction's STAGE, arriving late, is of an old db_epoch ({answer})")
answer = lab.stage(namesake, e=lab.e())
check(not answer.startswith("-EPOCH"), f"even with the new db_epoch forged onto it it is only parked or dropped ({answer})")
lab.serves_only(namesake.name, [None, "7"], "…and never served: the commit under this xid named no such stage")
check(lab.fill_until_accepted(namesake.name) == "7", "an honest fill brings what is committed")
