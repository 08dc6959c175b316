#!/usr/bin/env python3
"""Real clients and tools against a real cluster of three nodes with two workers each: redis-cli, redis-cli --cluster check, redis-benchmark, redis-py, ioredis."""
import os
import pathlib
import re
import subprocess
import sys

import redis
import redis.cluster
import redis.crc

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[0]))
from harness import Cluster, arguments, check  # noqa: E402

args = arguments(threads=2)
cluster = Cluster(args.bin, "--nodes", 3, "--shards", 0, "--threads", args.threads)
nodes = [p["ports"] for name, p in sorted(cluster.state().items()) if name.startswith("n")]
ports = [port for workers in nodes for port in workers]  # to a client every worker is a node
check(len(ports) == 3 * args.threads, f"3 nodes listen on {len(ports)} ports")
seeds = [f"127.0.0.1:{port}" for port in ports]


def run(*command, stdin=None, seconds=60, ok=True):
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    check(not ok or done.returncode == 0, f"{command[0]} {' '.join(str(c) for c in command[1:6])}… exits 0" +
          ("" if done.returncode == 0 else f": {done.stdout[-1500:]}{done.stderr[-1500:]}"))
    return done.stdout


def cli(*words, port=ports[0], cluster_mode=True):
    return run("redis-cli", *(["-c"] if cluster_mode else []), "-p", port, *words, ok=False).strip()


# redis-cli, as a person would use it
check(cli("SET", "greeting", "hello", "EX", "60") == "OK" and cli("GET", "greeting") == "hello", "redis-cli -c follows MOVED and reads back")
check("MOVED" in "".join(cli("GET", "greeting", port=p, cluster_mode=False) for p in ports), "without -c the wrong node says MOVED")
check(cli("-3", "HELLO", "3").find("tidemark_protocol") >= 0, "HELLO 3 names the protocol version")
check(re.search(r"cluster_enabled:1", cli("INFO", "cluster")) is not None, "INFO says that the cluster is enabled")
check(cli("CLUSTER", "KEYSLOT", "123456789") == "12739", "CLUSTER KEYSLOT is Redis's")
check("cluster_state:ok" in cli("CLUSTER", "INFO") and "cluster_slots_assigned:16384" in cli("CLUSTER", "INFO"), "CLUSTER INFO: ok, 16384 slots")
check(len(cli("CLUSTER", "NODES").splitlines()) == len(ports), f"CLUSTER NODES has {len(ports)} lines")
plain = [redis.Redis("127.0.0.1", port, decode_responses=True) for port in ports]
ranges = redis.cluster.parse_cluster_slots(plain[0].execute_command("CLUSTER SLOTS"))
owners = {slot: owner["primary"][1] for (first, last), owner in ranges.items() for slot in range(int(first), int(last) + 1)}
check(len(owners) == 16384 and set(owners.values()) == set(ports), f"CLUSTER SLOTS covers every slot, by every worker, in {len(ranges)} ranges")
check(len(ranges) <= 256 + len(ports), "…and stays short: blocks of 64 slots, one more range for each further worker")
load = sorted(list(owners.values()).count(port) for port in ports)
check(load[-1] - load[0] <= 8, f"the workers share evenly: {load}")
for key in (f"direct:{i}" for i in range(40)):
    owner = owners[redis.crc.key_slot(key.encode())]
    for port, node in zip(ports, plain):
        try:
            node.set(key, "x", ex=600)
            answered_by = port
        except redis.ResponseError as moved:  # "MOVED 3999 127.0.0.1:6381"
            answered_by = int(str(moved).rsplit(":", 1)[-1])
        if answered_by != owner:
            check(False, f"{key}: the worker at {port} says {answered_by}, CLUSTER SLOTS says {owner}")
check(True, "every worker serves its own slots and names the right worker's port for all others, its sibling's too")
check(cli("--json", "CLUSTER", "SHARDS").startswith("["), "CLUSTER SHARDS reads as JSON")
check(cli("MGET", "{a}1", "{b}2").find("CROSSSLOT") >= 0, "CROSSSLOT for keys of different slots")
check(cli("OBJECT", "ENCODING", "nosuch") == "", "OBJECT ENCODING of a missing key is nil")
inline = run("bash", "-c", f"printf 'PING\\r\\n\\r\\nPING hi\\r\\nQUIT\\r\\n' | timeout 5 nc -q 2 127.0.0.1 {ports[0]}" if pathlib.Path("/usr/bin/nc").exists()
             else f"exec 3<>/dev/tcp/127.0.0.1/{ports[0]}; printf 'PING\\r\\n\\r\\nPING hi\\r\\nQUIT\\r\\n' >&3; timeout 5 cat <&3", ok=False)
check(inline.replace("\r", "") == "+PONG\n$2\nhi\n+OK\n", f"inline commands and empty lines ({inline!r})")
many = "".join(f"SET pipe:{{p}}:{i} {i}\r\n" for i in range(1000))
owner = next(p for p in ports if not cli("GET", "{p}", port=p, cluster_mode=False).startswith("MOVED"))
piped = run("redis-cli", "-p", owner, "--pipe", stdin=many)
check("errors: 0, replies: 1000" in piped, "redis-cli --pipe: 1000 replies, 0 errors")
check("keys in 1000" not in piped and "1000" in cli("DBSIZE", port=owner, cluster_mode=False) or int(cli("DBSIZE", port=owner, cluster_mode=False).split()[-1]) >= 1000, "DBSIZE counts them")
check("Biggest" in run("redis-cli", "-p", owner, "--bigkeys", "-i", "0"), "redis-cli --bigkeys")

checked = run("redis-cli", "--cluster", "check", seeds[0])
check("[OK] All 16384 slots covered." in checked and "[OK] All nodes agree about slots configuration." in checked, "redis-cli --cluster check: all slots covered, all nodes agree")

bench = run("redis-benchmark", "--cluster", "-p", ports[0], "-t", "ping,set,get,incr,mset", "-P", "16", "-n", "100000", "-q", seconds=120)
for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET"):
    check(re.search(rf"{name}[^\n]*: [\d.]+ requests per second", bench.replace("\r", "\n")) is not None, f"redis-benchmark --cluster -P 16 finishes {name}")
check("rror" not in bench.replace("WARNING", ""), "…without an error")

check(run("/usr/bin/python3", HERE / "redis_py_session.py", *seeds).strip() == "ok", "redis-py: the whole session")

modules = pathlib.Path(os.environ.get("TIDEMARK_NODE_MODULES", HERE.parents[2] / "build" / "node"))
modules.mkdir(parents=True, exist_ok=True)
for name in ("package.json", "package-lock.json", "ioredis_session.mjs"):
    (modules / name).write_bytes((HERE / name).read_bytes())
if not (modules / "node_modules" / "ioredis").exists():
    run("npm", "ci", "--no-audit", "--no-fund", "--prefix", modules, seconds=120)
session = run("node", modules / "ioredis_session.mjs", *seeds)
check(session.count("ok ") == 9, f"ioredis: 9 checks of its session\n{session}")

# A program is ready to be ended as soon as its ready file says that it is there.
for i in range(5):
    ready = cluster.dir / f"ready.{i}"
    node = subprocess.Popen([args.bin / "tidemark-cache", "--port", "0", "--threads", "2", "--ready-file", ready], stderr=subprocess.DEVNULL)
    while not ready.exists() and node.poll() is None:
        pass
    node.terminate()
    if (code := node.wait(30)) != 0 or ready.exists():
        check(False, f"SIGTERM right after the ready file drains (exit code {code}, ready file left: {ready.exists()})")
check(True, "SIGTERM right after the ready file drains and exits 0, five times")
