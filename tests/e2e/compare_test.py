#!/usr/bin/env python3
"""tools/compare runs every section in miniature against redis, memcached and our node, and its tables are complete and sane. Nothing is said of speed.

usage: compare_test.py --bin BUILD/bin
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import ROOT, arguments, check, fail  # noqa: E402

args = arguments()
work = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-compare-test-", dir="/var/tmp"))
COMMAND = [sys.executable, str(ROOT / "tools/compare"), "--bin", str(args.bin.resolve()), "--quick"]
SERVERS = {"tidemark", "redis", "memcached"}
PEER = "second=redis-server --port {port} --save '' --appendonly no --dir " + str(work) + " --maxmemory {memory} --maxmemory-policy allkeys-lru"


def compare(name, *options, seconds=150, exit_code=0):
    out = work / name
    done = subprocess.run([*COMMAND, "--out", str(out), *options], capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != exit_code:
        fail(f"{name}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    xml.etree.ElementTree.parse(out / "performance.svg")
    return json.loads((out / "results.json").read_text())["sections"], (out / "performance.md").read_text()


def rows_of(page, first_column):
    return [line for line in page.splitlines() if line.startswith(f"| {first_column} |")]


def servers_left(environment_mark):
    """Processes that a run started and did not end: they carry its mark in their environment."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if environment_mark in path.read_bytes():
                found.append(path.parent.name)
    return found


try:
    sections, page = compare("speed", "speed", "latency", "--rounds", "1", "--seconds", "0.2", "--sizes", "32", "--items", "2000", "--peer", PEER)
    rows = sections["speed"]["rows"]
    cells = {(r["value_bytes"], r["operation"], r["depth"], r["server"]) for r in rows}
    check(len(cells) == len(rows) == 3 * 4 * 4, f"speed: every operation, depth and server once ({len(rows)} rows)")
    check(all(0.01 < r["cpu_us"] < 10_000 and r["ops_per_s"] > 0 and r["misses"] == 0 for r in rows if r["operation"] != "SET, full"), "speed: every figure is a sane one, every GET hits")
    check(len(rows_of(page, "32 B")) == 12 + 8, "the page has a row for each")
    check("second is" not in page and "tidemark is cheaper than second" in page, "a peer takes part")
    check("-" not in {cell.strip() for line in rows_of(page, "32 B") for cell in line.split("|")}, "no cell is empty")
    rows = sections["latency"]["rows"]
    check(len(rows) == 8 and all(0 < r["p50_us"] <= r["p99_us"] <= r["p999_us"] for r in rows), "latency: quantiles rise, for every server at both loads")

    sections, page = compare("failing", "speed", "--rounds", "1", "--seconds", "0.2", "--sizes", "32", "--items", "2000", "--peer", "broken=false {port}", exit_code=1)
    check({r["server"] for r in sections["speed"]["rows"]} == SERVERS, "a server that does not start stops no other")
    check("| broken | broken ended at once with 1" in page, "and the page says what it did")

    sections, page = compare("memory", "memory", "churn", "turns", "--sizes", "512", "--items", "40000", "--operations", "60000")
    rows = sections["memory"]["rows"]
    check({(r["value_bytes"], r["server"]) for r in rows} == {(512, s) for s in SERVERS}, "memory: every server")
    check(all(-10 < r["overhead"] < 2000 for r in rows), f"memory: sane overheads ({sorted(round(r['overhead']) for r in rows)})")
    for row in sections["churn"]["rows"]:
        last = row["samples"][-1]
        check(last["operations"] == 66_000 and 0 < last["live_bytes"] < last["rss_bytes"], f"churn: {row['server']} holds what lives ({last})")
    limited = sections["churn"]["limit_rows"]
    check({r["server"] for r in limited} == SERVERS and all(0 < r["last_rss"] <= r["highest_rss"] for r in limited), "churn: also at a limit")
    turns = sections["turns"]["rows"]
    check([row["buckets"][-1][1] > 0 for row in turns] == [True] * 3, "turns: there are some while filling, flushing and churning")

    sections, page = compare("hits", "hits", "--operations", "10000")
    rows = sections["hits"]["rows"]
    check(len(rows) == 3 * 4 and all(0 < r["hit_ratio"] < 1 and r["requests"] == 10000 for r in rows), "hits: a ratio for every trace and server")
    check(len({r["hits"] for r in rows if r["trace"] == "shifting"}) == 1, "hits: where everything fits, all servers hit alike")

    environment = dict(os.environ, TIDEMARK_COMPARE_TEST=str(work))
    process = subprocess.Popen([*COMMAND, "speed", "--out", str(work / "stopped")], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "round 1" in line:
            break
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    check(process.wait(30) == 130, "^C ends a run with its own exit code")
    check("incomplete" in (work / "stopped/performance.md").read_text(), "and what was measured is written, marked as incomplete")
    check(not servers_left(str(work).encode()), "no server is left")
finally:
    shutil.rmtree(work, ignore_errors=True)
