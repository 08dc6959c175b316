#!/usr/bin/env python3
"""Fail-over as a cache lives through it: EPOCH keeps what both histories share and drops what may hold a lost commit.

Two standbys. a is cut off (it receives nothing more), b goes on, with its replay paused in the end; the primary commits, the cache is filled with what
it committed, and the primary dies. b is restarted with nobody to stream from: what it says it received is less than what it shows (E7), so its fills
name no `hi`, and end with the epoch. a is promoted: what b and the cache know beyond the switch is lost (E2).

Without the rule that drops them (--expect-stale 1: a node without it) the phantom is served.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import arguments, check, eventually, lab_for, lsn  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args, replicas=2)
a, b = "s0-replica1", "s0-replica2"
for name in ("survivor", "phantom", "changed", "unsure"):
    lab.put(name, 1)
in_a, in_b = lab.cluster.session(a), lab.cluster.session(b)
lab.wait_settled()
check(lab.fill_until_accepted("survivor") == "1" and lab.fill_until_accepted("changed") == "1", "two honest fills of what every server has")
survivor_hi = lsn(lab.node.verify("item:{survivor}")["hi"])
lab.put("filler", 0)
lab.wait_replayed(in_a)
lab.wait_settled()
old_epoch = lab.e()

# a is cut off for good; commits go on.
lab.cluster.psql(a, "ALTER SYSTEM SET primary_conninfo = ''")
lab.cluster.psql(a, "SELECT pg_reload_conf()")
eventually("a receives nothing more", lambda: in_a.one("SELECT count(*) FROM pg_stat_wal_receiver") == "0")
since = lab.position()
lab.put("phantom", 100)
lab.put("unsure", 100)
lab.wait_invalidated("unsure", since)
lab.wait_settled()
check(lab.fill_until_accepted("phantom") == "100", "the cache holds a commit that a never received")
lab.wait_replayed(in_b)

# b's replay is paused; what it receives meanwhile it shows after its restart.
lab.cluster.run("pause-replay", b)
lab.put("changed", 100)
for i in range(200):
    lab.put("filler", i)
lab.wait_settled()
token = lab.flushed()  # a session that wrote up to here
lab.cluster.run("crash", "s0-primary")
lab.cluster.run("restart", b)
in_b = lab.cluster.session(b)
shown = lsn(in_b.one("SELECT pg_last_wal_replay_lsn()::text"))
received = lsn(in_b.one("SELECT coalesce(pg_last_wal_receive_lsn(), '0/0')::text"))
check(received < shown, f"E7: b, restarted alone, shows more than it says it has received ({received:x} < {shown:x})")
value, proof = lab.load_replica("unsure", in_b)
check(value == "100", "b's row is one that a never had")
check(lab.fill("unsure", value, proof) == "OK", "b's row is taken without a hi, as the client does when `received` is below `replayed`")
check(lab.node.verify("item:{unsure}")["hi"] == "FFFFFFFF/FFFFFFFF", "nobody knows what it holds at most")

lab.cluster.psql(a, "SELECT pg_promote()")
# The topology still names the dead one: the invalidator finds the promoted server by itself.
eventually("the node has learnt the new db_epoch", lambda: lab.node.tide()[0]["e"] > old_epoch, 30)
new_epoch = lab.node.tide()[0]["e"]
switch = lsn(lab.cluster.psql(a, "SELECT switch_lsn FROM shard.timeline WHERE timeline = 2"))
check(survivor_hi <= switch < token, f"the histories parted between the fills ({survivor_hi:x} <= {switch:x} < {token:x})")
check(new_epoch >= 2 * 65536, f"epochs of timeline 2 begin at 131072 ({new_epoch})")
lab.primary = lab.cluster.session(a)
check(lab.value("phantom") == "1" and lab.value("changed") == "1", "the new primary never had the last commits")

if args.expect_stale:
    check(lab.cached("phantom") == "100", "without the rule the cache serves the lost commit")
    sys.exit(0)
check(lab.cached("survivor") == "1", "what both histories share is still served, without a load")
check(lab.cached("phantom") is None, "the lost commit is not served")
check(lab.cached("unsure") is None, "nor what may hold one")
check(lab.cached("changed") is None, "what the lost commit had invalidated is a miss")
check(lab.fill_until_accepted("phantom") == "1" and lab.cached("phantom") == "1", "an honest fill brings what the new primary has")

text = f"{token >> 32:X}/{token & 0xffffffff:X}"
answer = lab.node.ask("GETL", "item:{survivor}", "AFTER", old_epoch, text)
check(answer[:2] == ["BYPASS", "LOST"], f"a session's position beyond the switch is answered LOST ({answer})")
text = f"{switch >> 32:X}/{switch & 0xffffffff:X}"
answer = lab.node.ask("GETL", "item:{survivor}", "AFTER", old_epoch, text)
check(answer[0] == "HIT", "one up to the switch is served")

# The new history uses the lost LSNs again: its commits must be news to the node.
since = lab.position()
lab.put("survivor", 2)
check(lab.position() < token, "the new primary writes where the old one had written")
lab.wait_invalidated("survivor", since)
check(lab.cached("survivor") is None, "a commit of the new timeline invalidates")
check(lab.fill_until_accepted("survivor") == "2", "and the fill brings it")
