#!/usr/bin/env python3
"""A cache in front while buckets move, a shard fails over and a schema migrates: what it answers, drops and hits.

Writers number each key's writes and note when each was acknowledged; readers ask the node (GETL with MAXSTALE, no owner stated: the bound is all
they have) and fill what is missing with honest proofs. An answer is stale if it lacks a write that was acknowledged before the request minus
the answer's bound. Per phase: answers, invalidated keys and dropped entries against the rows written, and the hit ratio of every second.
Exit code 3: stale answers, or a storm. --plant 1 acknowledges writes half a second before they are made: exit code 3.
"""
import json
import pathlib
import random
import subprocess
import sys
import threading
import time
import urllib.request

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import Cluster, arguments, bucket_of, check, eventually  # noqa: E402

args = arguments(seconds=2.0, keys=240, json="", plant=0)
MAX_STALE_MS = 2000
STORM_MAX = 3.0  # invalidated keys per row written: the log names each once, the writer may name it once more
SCHEMA = """CREATE SCHEMA IF NOT EXISTS lab;
CREATE TABLE IF NOT EXISTS lab.item (bucket int NOT NULL, name text COLLATE "C" NOT NULL, v bigint NOT NULL, PRIMARY KEY (bucket, name));"""
FAMILIES = {"families": [{"name": "item", "pattern": "item:{<name>}", "table": "lab.item", "key_columns": ["name"], "ttl_ms": 3600000,
                          "negative_ttl_ms": 10000, "max_stale_ms": 60000}]}
files = pathlib.Path(f"/var/tmp/tidemark-front-{time.time_ns()}")
files.mkdir()
(files / "schema.sql").write_text(SCHEMA)
(files / "families.json").write_text(json.dumps(FAMILIES))
cluster = Cluster(args.bin, "--nodes", 1, "--shards", 2, "--replicas", 1, "--schema", files / "schema.sql", "--tables", "lab.item",
                  "--families", files / "families.json")
subprocess.run(["rm", "-r", files], check=True)
STATE = cluster.state()
NAMES = [f"n{i}" for i in range(args.keys)]
KEYS_OF_0 = [name for name in NAMES if bucket_of(name) < 2048]
MOVING = bucket_of(KEYS_OF_0[0])


def owners():
    return [next(s["name"] for s in shard["servers"] if s["role"] == "primary") for shard in cluster.topology()["shards"]]


class Database:
    """Each thread's own sessions; a lost or fenced one is asked for anew."""

    def __init__(self):
        self.sessions = {}

    def run(self, server, sql, values):
        try:
            if server not in self.sessions:
                self.sessions[server] = psycopg2.connect(f"{STATE[server]['conninfo']} user=tidemark_app passfile={cluster.dir}/secrets/tidemark_app.pgpass")
                self.sessions[server].autocommit = True
            cursor = self.sessions[server].cursor()
            cursor.execute(sql, values)
            return cursor.fetchall()
        except psycopg2.Error:
            if server in self.sessions and self.sessions[server].closed:
                del self.sessions[server]
            return None

    def load(self, name):
        for shard, server in enumerate(owners()):
            rows = self.run(server, "SELECT b.state, e.e, b.epoch, pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text, q.v FROM tidemark.epoch e, "
                            "shard.bucket b LEFT JOIN lab.item q ON q.bucket = b.bucket AND q.name = %s WHERE b.bucket = %s AND NOT pg_is_in_recovery()",
                            (name, bucket_of(name)))
            if rows and rows[0][0] == "owned":
                return rows[0][5], f"S:{shard}:{rows[0][1]}:{rows[0][2]}:{rows[0][3]}:{rows[0][4]}"
        return None

    def write(self, name, v):
        for server in owners():
            if self.run(server, "WITH g AS MATERIALIZED (SELECT shard.guard(%s, b.epoch) FROM shard.bucket b WHERE b.bucket = %s AND b.state = 'owned'), "
                        "w AS (INSERT INTO lab.item SELECT %s, %s, %s FROM g ON CONFLICT (bucket, name) DO UPDATE SET v = excluded.v RETURNING v) SELECT v FROM w",
                        (bucket_of(name), bucket_of(name), bucket_of(name), name, v)):
                return True
        return False


lock = threading.Lock()
acknowledged = {name: [] for name in NAMES}  # (value, when), ascending
written = answers = hits = 0
stale, curve, phases = [], [], []
over = threading.Event()


def writer(mine):
    global written
    database, v = Database(), 0
    while not over.is_set():
        name, v = random.choice(mine), v + 1
        if args.plant:
            with lock:
                acknowledged[name].append((v, time.monotonic()))
            time.sleep(0.5)
        if database.write(name, v):
            with lock:
                acknowledged[name].append((v, time.monotonic()))
                written += 1
        time.sleep(0.01)


def missing(name, value, since):
    """A write acknowledged before `since` that the value lacks. Writes whose outcome is unknown may be there as well."""
    with lock:
        known = [v for v, when in acknowledged[name] if when <= since]
    return known and (value is None or int(value) < known[-1])


def reader():
    global answers, hits
    database, node = Database(), cluster_node()
    while not over.is_set():
        name = random.choice(NAMES)
        asked = time.monotonic()
        answer = node.ask("GETL", f"item:{{{name}}}", "MAXSTALE", MAX_STALE_MS)
        is_hit = answer[0] in ("HIT", "ABSENT")
        if is_hit:
            value, bound = (answer[1], answer[2]) if answer[0] == "HIT" else (None, answer[1])
            since = asked - int(bound) / 1000
            if missing(name, value, since):
                stale.append(f"{name}: {answer[0]} {value} with bound {bound} ms")
        elif loaded := database.load(name):
            if answer[0] == "MISS":
                node.ask("SETV", f"item:{{{name}}}", answer[1], loaded[1], *(["", "NEG"] if loaded[0] is None else [loaded[0]]))
        with lock:
            answers += 1
            hits += is_hit
        time.sleep(0.002)


def cluster_node():
    from harness import CacheNode
    return CacheNode(STATE["n1"]["ports"][0])


def counters():
    text = urllib.request.urlopen(f"http://127.0.0.1:{STATE['n1']['metrics_port']}/metrics", timeout=10).read().decode()

    def total(name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("tidemark_cache_" + name) and "#" not in line[:1])
    return {"keys": total("invalidated_keys_total"), "dropped": total("invalidated_entries_total"), "fencealls": total("joins_total")}


def every_second():
    before = (0, 0)
    while not over.wait(1):
        with lock:
            now = (answers, hits)
        curve.append(round((now[1] - before[1]) / max(1, now[0] - before[0]), 3))
        before = now


def phase(name, action):
    before, rows, asked, began = counters(), written, answers, len(curve)
    action()
    time.sleep(args.seconds)
    after = counters()
    one = {"phase": name, "answers": answers - asked, "rows_written": written - rows, **{k: int(after[k] - before[k]) for k in after},
           "storm_factor": round((after["keys"] - before["keys"]) / max(1, written - rows), 2), "hit_ratio": curve[began:]}
    phases.append(one)
    print(json.dumps(one), flush=True)


def tool(*words):
    done = subprocess.run([args.bin / "tidemark-shards", *map(str, words), "--shards", cluster.dir / "shards.json", "--topology", f"file:{cluster.dir}/topology"],
                          capture_output=True, text=True, timeout=120, check=False)
    check(done.returncode == 0, f"tidemark-shards {' '.join(map(str, words[:4]))}{'' if done.returncode == 0 else ': ' + done.stdout + done.stderr}")


def moves():
    for target in (1, 0):
        tool("move", "--buckets", f"{MOVING}-{MOVING + 3}", "--to", target)


def migration():
    global written
    directory = cluster.dir / "migrations"
    directory.mkdir()
    (directory / "0001_w.expand.sql").write_text("ALTER TABLE lab.item ADD COLUMN w bigint;\n")
    (directory / "0001_w.backfill.sql").write_text("UPDATE lab.item SET w = v WHERE w IS NULL;\n")
    (directory / "0001_w.contract.sql").write_text("ALTER TABLE lab.item DROP COLUMN w;\n")
    tool("migrate", "expand", "--directory", directory)
    tool("migrate", "backfill", "--directory", directory)
    with lock:
        written += len(NAMES)  # each row, by the backfill
    tool("migrate", "contract", "--migration", "0001_w", "--directory", directory)


eventually("the node has joined both shards", lambda: set(cluster_node().tide()) == {0, 1}, 30)
setup = Database()
for one in NAMES:
    check(setup.write(one, 0), "the rows are there") if one == NAMES[0] else setup.write(one, 0)
    acknowledged[one].append((0, time.monotonic()))
threads = [threading.Thread(target=writer, args=(NAMES[i::2],)) for i in range(2)] + [threading.Thread(target=reader) for _ in range(2)]
threads.append(threading.Thread(target=every_second))
for thread in threads:
    thread.start()
try:
    phase("still", lambda: time.sleep(1))
    phase("moves", moves)
    phase("migration", migration)
    phase("fail-over", lambda: tool("promote", 0, "--to", "s0-replica1"))
finally:
    over.set()
    for thread in threads:
        thread.join()
bars = "▁▂▃▄▅▆▇█"
print("hit ratio per second " + "".join(bars[min(7, int(ratio * 8))] for ratio in curve))
result = {"answers": answers, "hits": hits, "rows_written": written, "stale": len(stale), "stale_first": stale[:3], "phases": phases, "hit_ratio": curve}
if args.json:
    pathlib.Path(args.json).write_text(json.dumps(result, indent=1))
storms = [one["phase"] for one in phases if one["storm_factor"] > STORM_MAX]
print(f"{answers} answers, {hits} hits, {written} rows written, {len(stale)} stale beyond their bound {stale[:3]}, storms: {storms or 'none'}")
sys.exit(3 if stale or storms else 0)
