#!/usr/bin/env python3
"""tidemarkctl status over two nodes of two workers and two shards with a replica each: healthy, degraded in four ways, healthy again."""
import json
import subprocess
import time

from harness import Cluster, arguments, check, eventually

args = arguments()
cluster = Cluster(args.bin, "--nodes", 2, "--threads", 2, "--shards", 2, "--replicas", 1)
SECONDS_MAX = 20  # for an answer, whatever hangs: --timeout is 3 s, the rest is for a slow machine


def ctl(*options):
    began = time.monotonic()
    done = subprocess.run([args.bin / "tidemarkctl", "status", "--topology", f"file:{cluster.dir}/topology", "--timeout", "3s", "--passfile",
                           cluster.dir / "secrets/tidemark_admin.pgpass", *options], capture_output=True, text=True, timeout=60, check=False)
    if (seconds := time.monotonic() - began) > SECONDS_MAX:
        check(False, f"an answer within {SECONDS_MAX} s (it took {seconds:.1f} s)")
    return done.returncode, done.stdout, done.stderr


def status():
    code, out, errors = ctl("--format", "json")
    if code not in (0, 3):
        check(False, f"exit code 0 or 3, not {code}: {errors}")
    report = json.loads(out)
    if (code == 0) != report["healthy"] or report["healthy"] != (not report["problems"]):
        check(False, f"exit code {code}, healthy {report['healthy']}, problems {report['problems']}")
    return report


def degraded(what, problem):
    """Waits until exactly the expected kind of problem is there; the report."""
    last = []

    def probe():
        report = status()
        last[:] = report["problems"]
        return report if any(problem in line for line in report["problems"]) else None
    try:
        return eventually(what, probe, 30, 0.3)
    finally:
        print("   ", last)


def healthy(what):
    return eventually(what, lambda: (lambda report: report if report["healthy"] else print("   ", report["problems"]))(status()), 60, 0.5)


report = healthy("everything is well after the start")
workers, shards = report["workers"], report["shards"]
check([(w["node"], w["worker"]) for w in workers] == [("n1", 0), ("n1", 1), ("n2", 0), ("n2", 1)], "four workers")
check(sum(w["slots"] for w in workers) == report["slots_served"] == 16384, "they serve every slot")
check(all(sorted(t["shard"] for t in w["tides"]) == [0, 1] for w in workers), "each has a tide mark of both shards")
check(all(t["bound_ms"] is not None and t["lag_bytes"] is not None for w in workers for t in w["tides"]), "…with its bound and its lag")
check(sum(s["buckets"] for s in shards) == 4096 and all(s["buckets"] == s["buckets_owned"] for s in shards), "buckets add up, in topology and shards")
check([s["role"] for s in shards[0]["servers"]] == ["primary", "replica"] and shards[0]["servers"][1]["lag_bytes"] is not None, "primary and replica, with its lag")
check(all(s["timeline"] == 1 for shard in shards for s in shard["servers"]), "all on timeline 1")
check([s["active"] for s in shards[1]["wal_slots"] if s["name"] == "tidemark"] == [True], "the invalidator reads the slot")
code, table, _ = ctl()
check(code == 0 and table.rstrip().endswith("healthy") and "s1-primary" in table, f"the table says so too\n{table}")
check(ctl("--role", "nobody")[0] == 3, "a role that cannot log in is shown as degraded, not as an error")
check(ctl("--role", "nobody", "--without-shards")[0] == 0, "--without-shards does not ask them")

cluster.run("pause-replay", "s1-replica1")
session = cluster.session("s1-primary", user="tidemark_admin")
session.rows("UPDATE shard.bucket SET epoch = epoch WHERE bucket = (SELECT min(bucket) FROM shard.bucket)")
report = degraded("paused replay is seen", "replay is paused on s1-replica1")
replica = next(s for s in report["shards"][1]["servers"] if s["role"] == "replica")
check(replica["replay_paused"] and replica["lag_bytes"] > 0, f"the paused replica lags by {replica['lag_bytes']} bytes, {replica['lag_ms']} ms")
cluster.run("resume-replay", "s1-replica1")

cluster.run("stop", "n2")
report = degraded("a node that hangs is seen", "worker 1 of n2")
check([w["reachable"] for w in report["workers"]] == [True, True, False, False], "its two workers, and only they")
check(report["slots_served"] == sum(w["slots"] for w in report["workers"][:2]), "…and the slots that nobody serves now")
cluster.run("cont", "n2")

cluster.run("shut-down", "s0-replica1")
report = degraded("a replica that is down is seen", "s0-replica1 of shard 0")
check(not report["shards"][0]["servers"][1]["reachable"] and report["shards"][0]["servers"][0]["reachable"], "the replica, and only it")
cluster.run("start", "s0-replica1")

cluster.run("stop", "s0-primary")
report = degraded("a primary that hangs is seen", "s0-primary of shard 0")
replica = report["shards"][0]["servers"][1]
check(replica["reachable"] and replica["lag_bytes"] is None, "its replica answers, and its lag is unknown")
cluster.run("cont", "s0-primary")

healthy("everything is well again")
check(True, "healthy in the end")
code, _, errors = ctl("--password-file", "/nowhere")
check(code == 1 and "/nowhere" in errors, "a missing secret is an error of its own")
