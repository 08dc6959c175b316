#!/usr/bin/env python3
"""tidemark-shards sql, references, doctor, plan, add-shard and remove-shard on real shards."""
import json
import pathlib
import subprocess
import sys
import threading
import time

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Cluster, arguments, bucket_of, check, eventually  # noqa: E402

args = arguments()
schema = pathlib.Path(f"/var/tmp/tidemark-fleet-{time.time_ns()}.sql")
schema.write_text("""CREATE SCHEMA IF NOT EXISTS shop;
CREATE TABLE IF NOT EXISTS shop.item (bucket int NOT NULL, id bigint NOT NULL, value text NOT NULL DEFAULT '', PRIMARY KEY (bucket, id));
CREATE TABLE IF NOT EXISTS shop.currency (code text PRIMARY KEY, name text NOT NULL, per_euro numeric, changed_at timestamptz DEFAULT now());
""")
options = ["--replicas", 0, "--nodes", 0, "--no-invalidator"]
spare = Cluster(args.bin, "--shards", 1, *options)
cluster = Cluster(args.bin, "--shards", 2, *options, "--schema", schema, "--tables", "shop.item")
kept = cluster.dir / "shop.sql"
kept.write_text(schema.read_text())
schema.unlink()
files = cluster.dir / "migrations"
files.mkdir()


def shards(verb, *more, code=0, file="shards.json", topology=True):
    line = [args.bin / "tidemark-shards", verb]
    if file:
        line += ["--shards", cluster.dir / file]
    if topology:
        line += ["--topology", f"file:{cluster.dir}/topology"]
    done = subprocess.run([*map(str, line), *map(str, more)], capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != code:
        check(False, f"{verb} {more}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    if "json" in more:
        return json.loads(done.stdout)
    return done.stdout + done.stderr


def sql(*more, code=0, role="tidemark_admin"):
    return shards("sql", "--passfile", cluster.dir / f"secrets/{role}.pgpass", *more, code=code, file=None)


def references(*more):
    return shards("references", *more, topology=False)


def move_by_hand(bucket, source, target):
    sessions[source].execute(f"SELECT epoch + 2 FROM shard.bucket WHERE bucket = {bucket}")
    epoch = sessions[source].fetchone()[0]
    sessions[source].execute(f"UPDATE shard.bucket SET state = 'moved', epoch = {epoch}, forward = '{target}' WHERE bucket = {bucket}")
    sessions[target].execute(f"UPDATE shard.bucket SET state = 'owned', epoch = {epoch}, forward = NULL WHERE bucket = {bucket}")


def owner_session(conninfo):
    connection = psycopg2.connect(conninfo)
    connection.autocommit = True
    return connection.cursor()


described = json.loads((cluster.dir / "shards.json").read_text())["shards"]
sessions = [owner_session(one["admin"]) for one in described]

# --- one way to say the shard key in SQL
low, high = "sku-1", next(f"sku-{i}" for i in range(100) if bucket_of(f"sku-{i}") >= 2048)
low = next(f"sku-{i}" for i in range(100) if bucket_of(f"sku-{i}") < 2048)
for key in (low, high):
    said = sql("--write", "--key", key, f"INSERT INTO shop.item VALUES (:bucket, 7, '{key}')", role="tidemark_app")
    check("INSERT 0 1" in said and f"on shard {bucket_of(key) // 2048} " in said, f"{key} is written on its shard, which is named: {said.split(chr(10))[0]}")
rows = sql("--key", f"item:{{{high}}}:7", "--format", "json", "SELECT bucket, value FROM shop.item WHERE bucket = :bucket")
check(rows["rows"] == [{"bucket": str(bucket_of(high)), "value": high}], "a whole cache key finds the same bucket")
check("read-only transaction" in sql("--key", low, "DELETE FROM shop.item", code=1), "without --write nothing is written")
check("a transaction of its own" in sql("--key", low, "COMMIT", code=1), "and the read-only transaction cannot be left")
check("one statement is run, 2 are given" in sql("--key", low, "SELECT 1; DELETE FROM shop.item", code=1), "one statement only")
check("exactly one of" in sql("SELECT 1", code=1), "the place must be given")
check("in a copy" not in sql("--bucket", 4095, "SELECT ':bucket', 1::int"), "a quoted :bucket is left alone")
bucket = bucket_of(low)
sessions[1].execute("SET session_replication_role = replica")
sessions[1].execute(f"INSERT INTO shop.item VALUES ({bucket}, 7, 'moved')")
sessions[1].execute("RESET session_replication_role")
move_by_hand(bucket, 0, 1)
check("moved" in sql("--key", low, "SELECT value FROM shop.item WHERE bucket = :bucket"), "an old map is healed by the shard's refusal")
check("UPDATE 1" in sql("--write", "--key", low, "UPDATE shop.item SET value = 'new' WHERE bucket = :bucket", role="tidemark_app"), "for writes too")

# --- doctor finds what does not fit, and cleans what nobody uses
said = shards("doctor", code=1)
check("its copy of 1 buckets is old" in said, "doctor: the topology's copy is old")
check("shop.item holds 1 rows of buckets that are elsewhere" in said, "doctor: stray rows")
move_by_hand(bucket, 1, 0)
sessions[1].execute("SET session_replication_role = replica")
sessions[1].execute(f"DELETE FROM shop.item WHERE bucket = {bucket}")
sessions[1].execute("RESET session_replication_role")
init = ["--schema", kept, "--tables", "shop.item", "--passwords-dir", cluster.dir / "secrets"]
shards("init", *init)
check("nothing is wrong" in shards("doctor"), "and nothing is wrong afterwards")
sessions[0].execute("CREATE PUBLICATION mv_old; SELECT pg_replication_origin_create('mv_old_c')")
sessions[0].execute("SELECT pg_create_logical_replication_slot('mv_old', 'pgoutput')")
sessions[1].execute("INSERT INTO shard.reader VALUES ('gone', '0001_a', now() - interval '2 days')")
said = shards("doctor", "--clean", "--dry-run", code=1)
check(said.count("belongs to no live move") == 3 and "reader gone" in said, "doctor: leftovers of moves and readers")
check("nothing is wrong" not in shards("doctor", "--clean"), "doctor cleans them")
check("nothing is wrong" in shards("doctor"), "and they are gone")

# --- reference tables
sessions[0].execute("INSERT INTO shop.currency SELECT 'c' || i, 'name ' || i, i * 1.5 FROM generate_series(1, 2500) i")
sessions[1].execute("INSERT INTO shop.currency VALUES ('c1', 'wrong', NULL), ('zzz', 'extra', 1)")
shards("init", *init, "--references", "shop.currency")
equal = "SELECT count(*), sum(hashtextextended(row(code, name, per_euro, changed_at)::text, 0)) FROM shop.currency"


def contents(session):
    session.execute(equal)
    return session.fetchone()


check(contents(sessions[0]) == contents(sessions[1]) and contents(sessions[0])[0] == 2500, "init copies a declared reference table")
try:
    sessions[1].execute("UPDATE shop.currency SET name = 'x' WHERE code = 'c1'")
    check(False, "a copy is not written")
except psycopg2.Error as error:
    check("on shard 0, this is a copy" in str(error), "a copy is not written, and the shard of the original is named")
sessions[0].execute("UPDATE shop.currency SET name = 'new' WHERE code = 'c2'; DELETE FROM shop.currency WHERE code = 'c3'")
check("shop.currency differs from its original on shard 0" in shards("doctor", code=1), "doctor: a copy that differs")
check(references("--dry-run", "--format", "json")["copies"][0]["to"] == 1, "a dry run says which")
copied = references("--format", "json")["copies"]
check([(c["rows_written"], c["rows_deleted"]) for c in copied] == [(1, 1)], "only what differs is written")
check("every copy is equal" in references() and "nothing is wrong" in shards("doctor"), "and then they are equal")
(files / "0001_color.expand.sql").write_text("-- tidemark: reference shop.color\nCREATE TABLE shop.color (id int PRIMARY KEY, made timestamptz DEFAULT clock_timestamp());\n"
                                             "INSERT INTO shop.color VALUES (1), (2);\n")
said = shards("migrate", "expand", "--directory", files)
check("shop.color copied from shard 0 to shard 1" in said, "a migration's reference table is equal everywhere, its clock too")

# --- plan: rows, bytes and load
sessions[0].execute("INSERT INTO shop.item SELECT b, i, repeat('x', 100) FROM generate_series(0, 2047) b, generate_series(100, 109) i")
sessions[1].execute("INSERT INTO shop.item SELECT b, i, repeat('x', 100) FROM generate_series(2048, 4095) b, generate_series(100, 102) i")
stop = threading.Event()


def write():
    session = owner_session(described[0]["admin"])
    while not stop.is_set():
        session.execute("UPDATE shop.item SET value = 'y' WHERE bucket = 100 AND id = 100")
        time.sleep(0.002)


writer = threading.Thread(target=write, daemon=True)
writer.start()
plan = shards("plan", "--window", "1s", "--format", "json")
stop.set()
writer.join()
before = {s["shard"]: s for s in plan["before"]}
check(plan["has_load"] and before[0]["writes_per_second"] > 5 and before[1]["writes_per_second"] == 0, f"writes are counted: {before[0]['writes_per_second']:.0f}/s")
check(before[0]["rows"] == 20481 and before[1]["rows"] == 6145, "rows are counted exactly")
plan = shards("plan", "--window", "0s", "--format", "json")
check(plan["moves"] and all(m["from"] == 0 and m["to"] == 1 for m in plan["moves"]), "the fuller shard gives")
check(all(abs(s["share_percent"] - 50) < 3 for s in plan["after"]), "and both end at their share")
check(plan["moves"][0]["reason"].startswith("shard 0 carries 7") and plan["moves"][0]["blocked_ms"] > 0, f"with the reason: {plan['moves'][0]['reason']}")
check("SHARD=WEIGHT" in shards("plan", "--weight", "9=1", code=1), "a weight of no shard is refused")
check("tidemark_plan" not in str(sessions[0].execute("SELECT slot_name FROM pg_replication_slots") or sessions[0].fetchall()), "no slot is left over")

# --- a third shard: made from nothing, twice, and equal to the others
stranger = json.loads((spare.dir / "shards.json").read_text())["shards"][0]
bare = owner_session(stranger["admin"] + " dbname=postgres")
bare.execute("SELECT pg_drop_replication_slot('tidemark')")
bare.execute("DROP DATABASE tidemark WITH (FORCE)")
third = {"id": 2, "admin": stranger["admin"], "servers": [{**s, "name": "s2-" + s["role"]} for s in stranger["servers"]]}
(cluster.dir / "three.json").write_text(json.dumps({"shards": [*described, third]}))
given = ["--id", 2, "--schema", kept, "--passwords-dir", cluster.dir / "secrets"]
check("names no shard 2" in shards("add-shard", *given, code=1), "the shards file must name it")
check("would add shard 2" in shards("add-shard", *given, "--dry-run", file="three.json"), "a dry run")
check("give their --directory" in shards("add-shard", *given, code=1, file="three.json"), "migrations are not forgotten")
for _ in range(2):
    said = shards("add-shard", *given, "--directory", files, file="three.json")
    check("shard 2 owns 0 buckets" in said, "add-shard, also the second time")
sessions.append(owner_session(third["admin"]))
check(contents(sessions[2]) == contents(sessions[0]), "it has the reference tables")
check("nothing is wrong" in shards("doctor", file="three.json"), "doctor agrees")
status = shards("status", "--passfile", cluster.dir / "secrets/tidemark_admin.pgpass", "--format", "json", file=None, code=1)
check([s["id"] for s in status["shards"]] == [0, 1, 2], "it is in the topology, and its roles have the others' passwords")
plan = shards("plan", "--window", "0s", "--format", "json", file="three.json")
check({m["to"] for m in plan["moves"]} >= {2} and all(abs(s["share_percent"] - 33.3) < 3 for s in plan["after"]), "the plan gives it its share")
check("that the shards file does not name" in shards("plan", code=1), "a shard is not forgotten")

# --- a hot bucket leaves alone
stop = threading.Event()


def heat():
    session = owner_session(described[0]["admin"])
    while not stop.is_set():
        for hot in (100, 100, 101):
            try:
                session.execute(f"UPDATE shop.item SET value = 'z' WHERE bucket = {hot} AND id = 100")
            except psycopg2.Error:
                pass  # while it is handed over
        time.sleep(0.002)


writer = threading.Thread(target=heat, daemon=True)
writer.start()
said = shards("split-hot", "--window", "1s", "--dry-run", "--format", "json", file="three.json")
check([m["buckets"] for m in said["moves"]] == ["100-100"] and "writes/s of shard 0" in said["moves"][0]["reason"], f"split-hot takes the hottest: {said['moves'][0]['reason']}")
check("finished" in shards("split-hot", "--window", "1s", "--to", 2, file="three.json"), "and moves it")
stop.set()
writer.join()
sessions[2].execute("SELECT state FROM shard.bucket WHERE bucket = 100")
check(sessions[2].fetchone() == ("owned",), "to the shard that was named")
check("window 0" in shards("split-hot", "--window", "0s", code=1, file="three.json"), "without counting writes nothing is hot")
check("no shard 9" in shards("split-hot", "--window", "1s", "--from", 9, code=1, file="three.json"), "a shard that is not there")

# --- the plan carried out: every row is somewhere once, and the plan has nothing left to say
def rows_of_shards():
    counts = []
    for session in sessions:
        session.execute("SELECT count(*) FROM shop.item")
        counts.append(session.fetchone()[0])
    return counts


total = sum(rows_of_shards())
shards("rebalance", "--window", "0s", "--buckets-per-move", 1024, file="three.json")
counts = rows_of_shards()
check(sum(counts) == total and min(counts) > total * 0.28, f"rebalance moves the rows, and loses none: {counts}")
check("nothing to move" in shards("plan", "--window", "0s", file="three.json"), "then the plan has nothing left to say")
check("nothing is wrong" in shards("doctor", file="three.json"), "and doctor finds nothing left over")
shards("rebalance", "--window", "0s", "--weight", "2=0", "--buckets-per-move", 4096, file="three.json")
check(rows_of_shards()[2] == 0 and sum(rows_of_shards()) == total, "a weight of 0 empties it")
sessions[1].execute("SELECT state FROM shard.bucket WHERE bucket = 4000")
if sessions[1].fetchone() != ("owned",):
    shards("move", "--buckets", "4000-4000", "--to", 1, file="three.json")

# --- and removed again
move_by_hand(4000, 1, 2)
check("1 of its buckets are owned" in shards("remove-shard", "--id", 2, code=1, file="three.json"), "it is not removed while it owns a bucket")
empty = shards("plan", "--window", "0s", "--weight", "2=0", "--format", "json", file="three.json")
check([(m["from"], m["buckets"]) for m in empty["moves"] if m["from"] == 2] == [(2, "4000-4000")], "a weight of 0 empties it")
move_by_hand(4000, 2, 0)
sessions[1].execute("UPDATE shard.bucket SET forward = '2' WHERE bucket = 4000")
said = shards("remove-shard", "--id", 2, file="three.json")
check("1 forward addresses corrected" in said and "its slot is dropped" in said, "it is removed, and nothing leads to it")
sessions[1].execute("SELECT forward FROM shard.bucket WHERE bucket = 4000")
check(sessions[1].fetchone() == ("0",), "the forward address is the owner's")
check("holds 3 rows of buckets that are elsewhere" in shards("doctor", code=1), "doctor sees the rows that the hand-made move left")
sessions[1].execute("SET session_replication_role = replica")
sessions[1].execute("DELETE FROM shop.item WHERE bucket = 4000")
check("nothing is wrong" in shards("doctor"), "doctor agrees")
