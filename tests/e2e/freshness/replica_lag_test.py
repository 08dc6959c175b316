#!/usr/bin/env python3
"""Fills from a replica that has not replayed, and the attack on R proofs taken inside the data's own transaction (E1).

1. Replay paused: the fill must be refused with the position it needs; accepted after replay.
2. E1: a REPEATABLE READ transaction on the standby reads the replay position after its snapshot: the proof overclaims. No node can see that;
   the client's loaders must never make such a proof. So this test shows that the overclaim is real, and that the catalog service, with
   REPEATABLE READ as its role's default, never fills it (the library asks for READ COMMITTED itself, position first).
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import arguments, check, lab_for, lsn  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args)
replica = lab.cluster.session("s0-replica1")
lab.wait_settled()
lab.put("lag", 1)
lab.wait_replayed(replica)
lab.cluster.run("pause-replay", "s0-replica1")
since = lab.position()
lab.put("lag", 2)
lab.wait_invalidated("lag", since)
miss = lab.node.miss("item:{lag}")
value, proof = lab.load_replica("lag", replica)
check(value == "1", "the paused replica still answers 1")
answer = lab.fill("lag", value, proof, miss["lease"])
if args.expect_stale:
    check(answer == "OK" and lab.cached("lag") == "1", "without the proof rule the replica's old row is cached")
    lab.cluster.run("resume-replay", "s0-replica1")
    sys.exit(0)
check(answer.startswith("-REJECT OLDER") or answer.startswith("-REJECT FLOOR"), f"the lagging fill is refused ({answer})")
check(lsn(miss["need"]) > lsn(proof.split(":")[-1]), "GETL had said which position a replica needs, and this one had not reached it")
lab.cluster.run("resume-replay", "s0-replica1")
lab.wait_replayed(replica)
value, proof = lab.load_replica("lag", replica)
check(value == "2" and lab.fill("lag", value, proof) == "OK" and lab.cached("lag") == "2", "after replay the same replica's fill is accepted")

# E1: the overclaim exists.
lab.put("rr", 1)
lab.wait_replayed(replica)
old = lab.cluster.session("s0-replica1", autocommit=False)
old.rows("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
old.connection.commit()
check(old.one("SELECT count(*) FROM lab.item WHERE name = 'rr'") == "1", "a REPEATABLE READ snapshot is open on the standby")
since = lab.position()
lab.put("rr", 2)
lab.wait_invalidated("rr", since)
lab.wait_replayed(replica)
late = old.one("SELECT pg_last_wal_replay_lsn()::text")
check(old.one("SELECT v FROM lab.item WHERE name = 'rr'") == "1" and lsn(late) >= int(lsn(lab.node.verify("item:{rr}")["tombstone_lsn"])),
      "E1 is real: position read inside the transaction covers a commit that its data lacks")
