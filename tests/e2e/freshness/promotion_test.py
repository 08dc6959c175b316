#!/usr/bin/env python3
"""Promotion: what a standby knew of the old timeline proves nothing on the new one (E2, E3).

E2: standby b was ahead of standby a; a is promoted. A loader that still asks b gets a row of a commit that the new primary never had, with a
    replay position beyond the new commits. The epoch in the proof is read in b's own snapshot, so it is the old one, and the fill is refused.
E3: a REPEATABLE READ transaction opened on a while it was a standby lives on through the promotion; its recovery snapshot has an empty xip and
    claims to see a transaction that its data lacks. Its epoch, read in that snapshot, is the old one too.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import arguments, bucket_of, check, eventually, lab_for, lsn  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args, replicas=2)
a, b = "s0-replica1", "s0-replica2"
lab.put("phantom", 1)
lab.put("survivor", 1)
in_a = lab.cluster.session(a)
lab.wait_replayed(in_a)
check(lab.fill_until_accepted("survivor") == "1", "an honest fill before the promotion")
old_epoch = lab.e()

# E3's transaction, opened while a is a standby; a row changes under it and is replayed.
surviving = lab.cluster.session(a, autocommit=False)
surviving.rows("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
surviving.connection.commit()
surviving.rows("SELECT count(*) FROM lab.item")
lab.put("survivor", 2)
lab.wait_replayed(in_a)

# E2's lost commit: a is cut off, b goes on.
in_b = lab.cluster.session(b)
lab.cluster.run("pause-replay", a)
lab.put("phantom", 100)
for i in range(200):
    lab.put("filler", i)
lab.wait_replayed(in_b)
position = lab.primary.one("SELECT pg_current_wal_flush_lsn()::text")
lab.cluster.run("crash", "s0-primary")
ahead = lsn(in_b.one("SELECT pg_last_wal_replay_lsn()::text"))
check(ahead >= lsn(position), "standby b holds the last commits of the dead primary")
lab.promote(a)
eventually("the node has learnt the new db_epoch", lambda: lab.node.tide()[0]["e"] > old_epoch, 30)
check(lab.e() > old_epoch, f"the promoted primary opened a new db_epoch ({old_epoch} -> {lab.e()})")
check(lab.cached("survivor") is None, "entries from before the promotion are revalidated first")

since = lab.position()
lab.put("phantom", 200)
lab.wait_invalidated("phantom", since)
value, proof = lab.load_replica("phantom", in_b)
answer = lab.fill("phantom", value, proof)
if args.expect_stale:
    check(answer == "OK", f"without the proof rule the old timeline's row is cached ({value})")
    sys.exit(0)
check(answer.startswith("-REJECT EPOCH"), f"E2: the row {value} of the old timeline, proof {proof}, is refused ({answer})")

row = surviving.rows("SELECT e.e, bk.epoch, pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text, q.v FROM tidemark.epoch e, shard.bucket bk, "
                     "lab.item q WHERE bk.bucket = %s AND q.bucket = bk.bucket AND q.name = 'survivor'", bucket_of("survivor"))[0]
check(row[4] == "1", "E3: the transaction that outlived the promotion still reads the old row")
answer = lab.fill("survivor", row[4], f"S:0:{row[0]}:{row[1]}:{row[2]}:{row[3]}")
check(answer.startswith("-REJECT EPOCH"), f"E3: its recovery snapshot {row[2]} is refused ({answer})")
surviving.connection.rollback()

check(lab.fill_until_accepted("survivor") == lab.value("survivor"), "honest fills from the new primary are accepted")
check(lab.fill_until_accepted("phantom") == "200", "…for the disputed row as well")
