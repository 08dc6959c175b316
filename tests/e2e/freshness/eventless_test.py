#!/usr/bin/env python3
"""DDL that changes which rows a table shows without a row event: refused with its reason, or the caches are told. Never silent.

Each case runs against real Postgres under a cache that holds a value of the table. (Rewrites and their loaders: migration_test.py.)
"""
import json
import pathlib
import subprocess
import sys

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import arguments, bucket_of, check, eventually, fail, lab_for  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args)
owner = psycopg2.connect(json.loads((lab.cluster.dir / "shards.json").read_text())["shards"][0]["admin"])
owner.autocommit = True


def do(*statements):
    for statement in statements:
        owner.cursor().execute(statement)


def refused(state, text, *statements):
    """All of them in one transaction; the last one is refused."""
    try:
        do("BEGIN", *statements)
        fail(f"not refused: {statements[-1]}")
    except psycopg2.Error as error:
        said = str(error)
        check(error.pgcode == state and text in said, f"{statements[-1]}: {said.splitlines()[0]}")
    finally:
        do("ROLLBACK")


def cache(name, v):
    lab.put(name, v)
    lab.wait_settled()
    return lab.fill_until_accepted(name)


def hears_of_changes(name, v):
    lab.put(name, v)
    eventually("the change has reached the cache", lambda: lab.cached(name) != "1")


cache("a", 1)
LIKE = "(LIKE lab.item INCLUDING ALL)"

# --- rows of children and partitions
refused("SH012", "would show the rows of", f"CREATE TABLE lab.child {LIKE} INHERITS (lab.item)")
refused("SH012", "would show the rows of", f"CREATE TABLE lab.child {LIKE}", "ALTER TABLE lab.child INHERIT lab.item")
refused("SH006", "is partitioned", "CREATE TABLE lab.parts (bucket int NOT NULL, v int) PARTITION BY RANGE (bucket)",
        "SELECT shard.protect_table('lab.parts')")
refused("SH006", "is partitioned, a partition", "CREATE TABLE lab.parts (bucket int NOT NULL, v int) PARTITION BY RANGE (bucket)",
        "CREATE TABLE lab.leaf PARTITION OF lab.parts DEFAULT", "SELECT shard.protect_table('lab.leaf')")
# As a partition of another table it keeps its rows and its events, by ATTACH and by DETACH.
do("CREATE TABLE lab.other (bucket int NOT NULL, name text COLLATE \"C\" NOT NULL, v bigint NOT NULL) PARTITION BY RANGE (bucket)",
   "ALTER TABLE lab.other ATTACH PARTITION lab.item DEFAULT")
check(lab.cached("a") == "1", "an attached table shows the rows that it showed")
hears_of_changes("a", 2)
cache("a", 1)
do("ALTER TABLE lab.other DETACH PARTITION lab.item")
hears_of_changes("a", 3)
do("DROP TABLE lab.other")
cache("a", 1)

# --- what leaves the publication
refused("SH012", "caches would not hear of the rows any more", "ALTER PUBLICATION tidemark DROP TABLE lab.item")
refused("SH012", "caches would not hear of the rows any more", "ALTER PUBLICATION tidemark SET TABLE lab.part")
refused("SH012", "caches would not hear of the rows any more", "DROP PUBLICATION tidemark")
refused("SH012", "caches would not hear of the rows any more", "DROP TABLE lab.item")
refused("SH012", "there is no publication", "ALTER PUBLICATION tidemark RENAME TO other")
refused("SH012", "would not publish every kind of change", "ALTER PUBLICATION tidemark SET (publish = 'insert, update')")
refused("SH012", "would filter rows or columns", "SET LOCAL tidemark.eventless_ddl = 'allowed'",
        "ALTER PUBLICATION tidemark SET TABLE lab.part, lab.item WHERE (bucket > 3)")
refused("SH012", "would filter rows or columns", "SET LOCAL tidemark.eventless_ddl = 'allowed'",
        "ALTER PUBLICATION tidemark SET TABLE lab.part, lab.item (bucket, name)")

# --- another name
refused("SH012", "was protected as lab.item", "ALTER TABLE lab.item RENAME TO thing")
refused("SH012", "was protected as lab.item", "CREATE SCHEMA attic", "ALTER TABLE lab.item SET SCHEMA attic")
refused("SH012", "was protected as lab.", "ALTER SCHEMA lab RENAME TO attic")

# --- a rewrite
refused("SH012", "without an event", "ALTER TABLE lab.item ALTER COLUMN v TYPE numeric USING v * 100")
refused("55000", "because it is part of a publication", "ALTER TABLE lab.item SET UNLOGGED")

# --- TRUNCATE
refused("SH005", "would empty other shards", "TRUNCATE lab.item")
check(lab.cached("a") == "1", "what was refused has changed nothing in the cache")
do("BEGIN", "ALTER TABLE lab.item DISABLE TRIGGER tidemark_fence_truncate", "TRUNCATE lab.item",
   "ALTER TABLE lab.item ENABLE TRIGGER tidemark_fence_truncate", "COMMIT")
eventually("a TRUNCATE that nobody refuses is an event", lambda: lab.cached("a") is None)
check(lab.fill_until_accepted("a") is None, "and the row is proven absent")

# --- what comes into the publication with rows in it
cache("a", 1)
do("SET tidemark.eventless_ddl = 'allowed'", "ALTER PUBLICATION tidemark DROP TABLE lab.item", "RESET tidemark.eventless_ddl")
lab.put("a", 7)  # which nobody hears of
cache_answer = lambda: lab.cached("a")  # noqa: E731
eventually("where the loss is allowed, the caches are told", lambda: cache_answer() != "1")
lab.fill("a", *lab.load_primary("a"))
lab.put("a", 8)
do("ALTER PUBLICATION tidemark ADD TABLE lab.item")
lab.wait_settled()
eventually("what comes into the publication is revalidated", lambda: cache_answer() in (None, "8"))
check(lab.fill_until_accepted("a") == "8", "and filled anew")
hears_of_changes("a", 9)

# --- a key that the stream does not carry
generated = lab.cluster.dir / "generated"
generated.mkdir()
(generated / "schema.sql").write_text(
    "CREATE TABLE lab.code (bucket int NOT NULL, name text COLLATE \"C\" NOT NULL, code text COLLATE \"C\" GENERATED ALWAYS AS (name || 'x') STORED, "
    "PRIMARY KEY (bucket, name));")
(generated / "families.json").write_text(json.dumps({"families": [
    {"name": "code", "pattern": "code:{<code>}", "table": "lab.code", "key_columns": ["code"], "ttl_ms": 1000, "negative_ttl_ms": 1000}]}))
done = subprocess.run([args.bin / "tidemark-shards", "init", "--shards", lab.cluster.dir / "shards.json", "--topology", f"file:{lab.cluster.dir}/topology",
                       "--passwords-dir", lab.cluster.dir / "secrets",
                       "--schema", generated / "schema.sql", "--tables", "lab.code", "--families", generated / "families.json"],
                      capture_output=True, text=True, timeout=100, check=False)
check(done.returncode != 0 and "is generated, and the stream does not carry it" in done.stdout + done.stderr,
      f"a generated key column is refused: {(done.stdout + done.stderr).strip()[-200:]}")

# --- keys named by hand travel as logical messages, which pgoutput gives only to whoever asks for them
slot, options = "messages_test", "'proto_version', '1', 'publication_names', 'tidemark'"
do(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
cache("a", 1)
do("SELECT pg_logical_emit_message(true, 'cache.inval', 'item:{a}')")
eventually("the invalidator asks for messages", lambda: lab.cached("a") is None)
cursor = owner.cursor()
cursor.execute(f"SELECT count(*) FILTER (WHERE get_byte(data, 0) = ascii('M')) FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL, {options})")
without = cursor.fetchone()[0]
cursor.execute("SELECT count(*) FILTER (WHERE get_byte(data, 0) = ascii('M')) FROM "
               f"pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL, {options}, 'messages', 'true')")
check(without == 0 and cursor.fetchone()[0] >= 1, "whoever does not gets none of them, and no error")
do(f"SELECT pg_drop_replication_slot('{slot}')")
check(bucket_of("a") >= 0, "done")
