#!/usr/bin/env python3
"""E11: a staged value whose commit is decoded but not visible on the primary yet must not be served: nobody may read what a failover can still undo.

`synchronous_standby_names = 'ghost'` holds the commit in that state. With --expect-stale the node installs at once, and serves a value that the
primary does not have.
"""
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import Write, arguments, check, eventually, lab_for, lsn  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args, replicas=0)
lab.put("ghost", 42)
lab.wait_settled()
check(lab.fill_until_accepted("ghost") == "42", "an honest fill")
reader = lab.cluster.session("s0-primary")
lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "ghost")

writer = lab.cluster.session("s0-primary", autocommit=False)
written = Write("ghost", 43, lab.e(), lab.change(writer, "ghost", 43), writer.one("SELECT pg_current_xact_id()::text"))
check(lab.stage(written) == "STAGED", "the value is staged before its commit")
since = lab.position()
hanging = threading.Thread(target=writer.connection.commit, daemon=True)
hanging.start()
lab.wait_invalidated("ghost", since - 1)
check(lab.value("ghost", reader) == "42", "the commit is decoded, and the primary still answers 42")
if args.expect_stale:
    eventually("a node that does not wait for visibility serves what the primary does not have", lambda: lab.cached("ghost") == "43")
    check(lab.value("ghost", reader) == "42", "…a dirty read: 43 in the cache, 42 in the database")
    lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "")
    hanging.join(30)
    sys.exit(0)
for _ in range(100):
    served = lab.cached("ghost")
    if served is not None:
        check(False, f"nothing is served while the commit is invisible (served {served})")
check(lab.value("ghost", reader) == "42", "100 reads during the stall: all misses, the primary still has 42")

lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "")
hanging.join(30)
check(not hanging.is_alive(), "the writer's commit returned")
value, lo, hi = eventually("the staged value is served", lambda: lab.hit("ghost"), 9)
check(value == "43" and lo == hi and lsn(lo) > since, f"once visible, the staged value is served without any load, lo = hi = {lo}")
