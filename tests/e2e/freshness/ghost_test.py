#!/usr/bin/env python3
"""The ghost: a commit that is decoded but not visible yet. A fill that lacks it must be refused, and only as long as it lacks it.

`synchronous_standby_names = 'ghost'` freezes the window open: the writer's commit is flushed and decoded, and hangs before it becomes
visible. With --expect-stale (a test-only node without the proof rule) the same fills must be accepted: the test can fail.
"""
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import arguments, check, lab_for  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args)
lab.put("ghost", 42)
lab.wait_settled()
check(lab.fill_until_accepted("ghost") == "42" and lab.cached("ghost") == "42", "an honest fill is accepted and served")

lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "ghost")
writer = lab.cluster.session("s0-primary")
hanging = threading.Thread(target=lambda: lab.put("ghost", 43, writer), daemon=True)
since = lab.position()
hanging.start()
reader = lab.cluster.session("s0-primary")
lab.wait_invalidated("ghost", since)
check(lab.cached("ghost") is None, "the invalidation dropped the entry")
check(lab.value("ghost", reader) == "42", "the commit is decoded and not visible: the primary still answers 42")

if args.expect_stale:
    value, proof = lab.load_primary("ghost", reader)
    check(lab.fill("ghost", value, proof) == "OK", "without the proof rule the stale fill is accepted")
    lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "")
    hanging.join(30)
    check(lab.cached("ghost") == "42" and lab.value("ghost") == "43", "…and the stale value stays: 42 in the cache, 43 in the database")
    sys.exit(0)

for attempt in range(20):
    key = "item:{ghost}"
    miss = lab.node.miss(key)
    value, proof = lab.load_primary("ghost", reader)
    answer = lab.fill("ghost", value, proof, miss["lease"])
    if not answer.startswith("-REJECT OLDER") or miss["visible"] != "1":
        check(False, f"stale fill {attempt} refused as OLDER with the hint visible=1 (got {answer}, {miss})")
check(True, "20 stale fills with a snapshot that lacks the commit were refused, each told that it is not visible yet")

lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "")
hanging.join(30)
check(not hanging.is_alive(), "the writer returned")
check(lab.fill_until_accepted("ghost", 30) == "43" and lab.cached("ghost") == "43", "once visible, the honest fill is accepted: no false refusal lasts")
