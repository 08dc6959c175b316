#!/usr/bin/env python3
"""The invalidation stream with holes: a slot that was advanced behind our back (E9), an invalidator with an empty journal while a commit
hangs invisible (E16), a slot that is gone.
"""
import pathlib
import shutil
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import arguments, check, eventually, lab_for  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args, replicas=0)

# E9: somebody confirms the slot past commits that our journal never saw.
lab.put("gap", 1)
lab.put("calm", 1)
lab.wait_settled()
check(lab.fill_until_accepted("gap") == "1" and lab.fill_until_accepted("calm") == "1", "two honest fills")
lab.cluster.run("terminate", "invalidator")
lab.put("gap", 2)
eventually("the slot is free", lambda: lab.cluster.psql("s0-primary", "SELECT active FROM pg_replication_slots WHERE slot_name = 'tidemark'") == "f")
lab.cluster.psql("s0-primary", "SELECT pg_replication_slot_advance('tidemark', pg_current_wal_flush_lsn())")
check(lab.cached("gap") == "1", "while the invalidator is away the node serves the old value, with a bound that grows")
lab.put("gap", 3)
lab.cluster.run("start", "invalidator")
eventually("the node no longer serves the value that lacks the skipped commit", lambda: lab.cached("gap") is None)
check(lab.fill_until_accepted("gap") == "3", "an honest fill brings the newest value")
check(lab.fill_until_accepted("calm") == "1", "keys that did not change are refilled too")

# A slot that is gone: nothing tells what was missed, so everything is revalidated first.
lab.cluster.run("terminate", "invalidator")
eventually("the slot is free", lambda: lab.cluster.psql("s0-primary", "SELECT active FROM pg_replication_slots WHERE slot_name = 'tidemark'") == "f")
lab.cluster.psql("s0-primary", "SELECT pg_drop_replication_slot('tidemark')")
lab.put("gap", 4)
lab.cluster.run("start", "invalidator")
eventually("after the loss of the slot the old value is not served", lambda: lab.cached("gap") is None, 30)
check(lab.fill_until_accepted("gap") == "4", "…and honest fills are accepted again")

# E16: a decoded, confirmed, still invisible commit, and an invalidator that has never heard of it.
lab.put("hang", 42)
lab.wait_settled()
lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "ghost")
writer = lab.cluster.session("s0-primary")
hanging = threading.Thread(target=lambda: lab.put("hang", 43, writer), daemon=True)
since = lab.position()
hanging.start()
lab.wait_invalidated("hang", since)  # decoded, not yet visible
reader = lab.cluster.session("s0-primary")
lab.cluster.run("kill", "invalidator")
shutil.rmtree(lab.cluster.dir / "journal")
lab.cluster.run("kill", "n1")
lab.cluster.run("start", "n1")
lab.cluster.run("start", "invalidator")
lab.node = lab.cluster.node("n1")
eventually("the new node has joined through the new invalidator", lambda: 0 in lab.node.tide())
check(lab.value("hang", reader) == "42", "the commit is still invisible")
for _ in range(20):
    value, proof = lab.load_primary("hang", reader)
    answer = lab.fill("hang", value, proof)
    if args.expect_stale:
        check(answer == "OK", "without the proof rule the stale fill is accepted")
        sys.exit(0)
    if not answer.startswith("-REJECT"):
        check(False, f"a fill that lacks the invisible commit is refused (got {answer})")
check(True, "20 fills that lack the invisible commit were refused by a node and an invalidator that both never saw it")
lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "")
hanging.join(30)
check(lab.fill_until_accepted("hang") == "43", "once visible, the honest fill is accepted")
