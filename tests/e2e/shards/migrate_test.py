#!/usr/bin/env python3
"""tidemark-shards migrate on two real shards: expand, backfill, contract, undo; killed, refused, and gone on with."""
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Cluster, arguments, check, eventually  # noqa: E402

args = arguments()
ITEMS = """CREATE SCHEMA IF NOT EXISTS shop;
CREATE TABLE IF NOT EXISTS shop.item (bucket int NOT NULL, id bigint NOT NULL, price numeric NOT NULL, PRIMARY KEY (bucket, id));"""
ROWS = 32 * 60  # per shard

schema = pathlib.Path(f"/var/tmp/tidemark-migrate-{time.time_ns()}.sql")
schema.write_text(ITEMS)
try:
    cluster = Cluster(args.bin, "--shards", 2, "--replicas", 0, "--nodes", 0, "--no-invalidator", "--schema", schema, "--tables", "shop.item")
finally:
    schema.unlink()
files = cluster.dir / "migrations"
files.mkdir()
for shard in (0, 1):
    cluster.psql(f"s{shard}-primary", f"INSERT INTO shop.item SELECT {shard * 2048} + b * 64, i, 1.5 FROM generate_series(0, 31) b, "
                                      "generate_series(1, 60) i")


def command(what, *options):
    return [args.bin / "tidemark-shards", "migrate", what, "--shards", cluster.dir / "shards.json", "--topology",
            f"file:{cluster.dir}/topology", "--directory", files, *map(str, options)]


def migrate(what, *options, code=0):
    done = subprocess.run(command(what, *options), capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != code:
        check(False, f"migrate {what} {options}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    return done.stdout if "json" in options else done.stdout + done.stderr


def refused(what, *options):
    return migrate(what, *options, code=3)


def everywhere(sql):
    return [cluster.psql(f"s{shard}-primary", sql) for shard in (0, 1)]


def add(name, text):
    (files / name).write_text(text)


def has_column(column):
    return everywhere(f"SELECT count(*) FROM information_schema.columns WHERE table_name = 'item' AND column_name = '{column}'")


# --- expand: planned, run, and nothing to do the second time
add("0001_cents.expand.sql", "ALTER TABLE shop.item ADD COLUMN cents bigint;\n")
add("0001_cents.backfill.sql", "UPDATE shop.item SET cents = (price * 100)::bigint WHERE cents IS NULL;\n")
add("0001_cents.contract.sql", "ALTER TABLE shop.item DROP COLUMN price;\n")
add("0001_cents.undo.sql", "ALTER TABLE shop.item DROP COLUMN cents;\n")
plan = json.loads(migrate("expand", "--dry-run", "--format", "json"))
check([(s["shard"], s["migration"]) for s in plan["planned"]] == [(0, "0001_cents"), (1, "0001_cents")] and plan["done"] == [],
      "a dry run shows the steps")
check(has_column("cents") == ["0", "0"], "and changes nothing")
migrate("expand")
check(has_column("cents") == ["1", "1"], "the expand is on both shards")
check("nothing to do" in migrate("expand"), "the second run finds nothing to do")

# --- undo, and again
migrate("undo", "--migration", "0001_cents")
check(has_column("cents") == ["0", "0"], "the undo took it back")
migrate("expand")

# --- killed while it waits for a lock on the second shard; who is in the way is named
blocker = cluster.session("s1-primary", "tidemark_app", autocommit=False)
blocker.connection.cursor().execute("SELECT * FROM shop.item LIMIT 1")
add("0002_note.expand.sql", "ALTER TABLE shop.item ADD COLUMN note text;\n")
add("0002_note.undo.sql", "ALTER TABLE shop.item DROP COLUMN note;\n")
waiting = subprocess.Popen(command("expand"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
line = waiting.stderr.readline()
check("shard 1: run 0002_note.expand  waits for a lock; in the way: pid" in line, f"says who is in the way: {line.strip()}")
other = refused("expand")
check("another migration is at work there" in other, "a second tool is refused while the first one runs")
waiting.send_signal(signal.SIGKILL)
waiting.wait()
check(has_column("note") == ["1", "0"], "killed between the shards")
blocker.connection.rollback()
eventually("the killed tool's session has ended", lambda: everywhere("SELECT count(*) FROM pg_locks WHERE classid = 7006") == ["0", "0"])
migrate("expand")
check(has_column("note") == ["1", "1"], "the next run goes on with the second shard")

# --- a backfill that is killed goes on where it was; contract waits for it
check("the backfill of 0001_cents is not done" in refused("contract", "--migration", "0001_cents"), "no contract before the backfill")
slow = subprocess.Popen(command("backfill", "--rows-per-second", 400, "--rows-per-batch", 20), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
eventually("some rows are done", lambda: int(everywhere("SELECT count(*) FROM shop.item WHERE cents IS NOT NULL")[0]) > 40)
slow.send_signal(signal.SIGKILL)
slow.wait()
eventually("the killed tool's session has ended", lambda: everywhere("SELECT count(*) FROM pg_locks WHERE classid = 7006") == ["0", "0"])
part = int(everywhere("SELECT count(*) FROM shop.item WHERE cents IS NOT NULL")[0])
check(0 < part < ROWS, f"killed after {part} of {ROWS} rows")
check("running" in migrate("status"), "status shows that it is under way")
rest = json.loads(migrate("backfill", "--format", "json"))
check([s["rows"] for s in rest["done"]] == [ROWS - part, ROWS], "the next run does the rest, and no row twice")
check(everywhere("SELECT count(*), sum(cents) FROM shop.item") == [f"{ROWS}|{ROWS * 150}"] * 2, "every row has its value")
check(everywhere("SELECT state, rows FROM shard.migration WHERE phase = 'backfill'") == [f"done|{ROWS}"] * 2, "the ledger counted them")

# --- contract: refused while an older reader is registered, or rows still need the backfill, or a move is under way
reader = cluster.session("s1-primary")
reader.connection.cursor().execute("SELECT shard.register_reader('order-1', '0000_start', '1 hour')")
check("reader order-1 understands the schema up to 0000_start only" in refused("contract", "--migration", "0001_cents"), "an older reader")
check("reader order-1 on shard 1" in migrate("status"), "status shows the readers")
reader.connection.cursor().execute("SELECT shard.register_reader('order-1', '0001_cents', '1 hour')")
check("0002_note was expanded after it" in refused("undo", "--migration", "0001_cents"), "no undo below a later expand")
cluster.psql("s1-primary", "INSERT INTO shop.item (bucket, id, price) VALUES (2048, 1000, 7)")
check("1 rows still need the backfill" in refused("contract", "--migration", "0001_cents"), "a row of an old writer")
migrate("backfill", "--migration", "0001_cents")
cluster.psql("s0-primary", "UPDATE shard.bucket SET state = 'fenced', epoch = epoch + 1, forward = '1' WHERE bucket = 5")
check("in the middle of a move" in refused("contract", "--migration", "0001_cents"), "a bucket in the middle of a move")
cluster.psql("s0-primary", "UPDATE shard.bucket SET state = 'owned', epoch = epoch + 1, forward = NULL WHERE bucket = 5")
migrate("contract", "--migration", "0001_cents")
check(has_column("price") == ["0", "0"], "the contract took the old column away")
try:
    reader.connection.cursor().execute("SELECT shard.register_reader('order-9', '0000_start')")
    check(False, "an old program may not start any more")
except Exception as error:  # psycopg2's class for SQLSTATE SH011 has no name
    check("0001_cents is contracted here" in str(error), "an old program may not start any more")
check("0001_cents is contracted" in refused("undo", "--migration", "0001_cents"), "no undo after the contract")

# --- what has run may not change
add("0002_note.expand.sql", "ALTER TABLE shop.item ADD COLUMN note varchar;\n")
check("0002_note.expand.sql has changed since shard 0 ran it" in refused("expand"), "a changed file is refused")
add("0002_note.expand.sql", "ALTER TABLE shop.item ADD COLUMN note text;\n")

# --- DDL that makes no events
add("0003_wide.expand.sql", "ALTER TABLE shop.item ALTER COLUMN cents TYPE numeric;\n")
check("would change its rows without an event" in refused("expand"), "a rewriting type change is refused by the shard")
add("0003_wide.expand.sql", "DROP TRIGGER tidemark_fence ON shop.item;\n")
check("put it into the contract" in refused("expand"), "and so is the loss of the fence")
(files / "0003_wide.expand.sql").unlink()
add("0003_wide.contract.sql", "DROP TRIGGER tidemark_fence ON shop.item;\n")
check("reader order-1 understands" in refused("contract", "--migration", "0003_wide"), "the reader is still there")
reader.connection.cursor().execute("SELECT shard.forget_reader('order-1')")
check("caches would not hear of the rows any more" in refused("contract", "--migration", "0003_wide"), "also in a contract, by the shard")
add("0003_wide.contract.sql", "ALTER TABLE shop.item REPLICA IDENTITY NOTHING;\n")
check("caches would miss changes, so nothing was done" in refused("contract", "--migration", "0003_wide"), "a table that no longer says which row went")
for sql in ("DROP TABLE shop.item", "ALTER PUBLICATION tidemark DROP TABLE shop.item", "ALTER TABLE shop.item ALTER note TYPE int USING 1"):
    owner = psycopg2.connect(json.loads((cluster.dir / "shards.json").read_text())["shards"][0]["admin"])
    try:
        owner.cursor().execute(sql)
        check(False, f"refused by the shard for everybody: {sql}")
    except psycopg2.Error as error:
        check(error.pgcode == "SH012", f"refused by the shard for everybody: {sql}")
    owner.close()
(files / "0003_wide.contract.sql").unlink()

# --- a new table whose rows belong to buckets; dropped only when it is empty
add("0004_tag.expand.sql", "-- tidemark: adopt shop.tag\nCREATE TABLE shop.tag (bucket int NOT NULL, id bigint, PRIMARY KEY (bucket, id));\n")
add("0005_untag.backfill.sql", "DELETE FROM shop.tag WHERE id > 0;\n")
add("0005_untag.contract.sql", "DROP TABLE shop.tag;\n")
migrate("expand")
check(everywhere("SELECT count(*) FROM pg_publication_tables WHERE tablename = 'tag'") == ["1", "1"], "the new table is published")
cluster.psql("s0-primary", "INSERT INTO shop.tag SELECT 3, i FROM generate_series(0, 9) i")
migrate("backfill")
check("table shop.tag still has rows" in refused("contract", "--migration", "0005_untag"), "a published table is not dropped with its rows")
cluster.psql("s0-primary", "DELETE FROM shop.tag")
migrate("contract", "--migration", "0005_untag")
check(everywhere("SELECT to_regclass('shop.tag') IS NULL") == ["t", "t"], "an empty one is")

# --- an index is built without blocking, also after an interrupted build
add("0006_index.expand.sql", "CREATE INDEX CONCURRENTLY item_note ON shop.item (note);\n")
cluster.psql("s1-primary", "CREATE INDEX item_note ON shop.item (note)")
cluster.psql("s1-primary", "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop.item_note'::regclass")
migrate("expand")
check(everywhere("SELECT indisvalid FROM pg_index WHERE indexrelid = 'shop.item_note'::regclass") == ["t", "t"], "the index is whole on both shards")

# --- a backfill that would never end is taken back
add("0007_loop.backfill.sql", "UPDATE shop.item SET note = 'x' WHERE note IS NULL OR note = 'x';\n")
check("still holds for" in refused("backfill", "--migration", "0007_loop"), "a condition that stays true is refused")
check(everywhere("SELECT count(*) FROM shop.item WHERE note IS NOT NULL") == ["0", "0"], "and nothing was changed")
check("NUMBER_NAME.PHASE.sql" not in migrate("status"), "status reads the directory")
migrate("nonsense", code=2)

# --- beside a bucket move: an expand may run, a contract waits for the move's end
def moves(verb, *options):
    done = subprocess.run([args.bin / "tidemark-shards", verb, "--shards", cluster.dir / "shards.json", "--topology", f"file:{cluster.dir}/topology",
                           *options], capture_output=True, text=True, timeout=100, check=False)
    check(done.returncode == 0, f"{verb}{'' if done.returncode == 0 else ': ' + done.stdout + done.stderr}")


moves("move", "--buckets", "2048-2051", "--to", "0", "--id", "held", "--hold")
add("0008_beside.expand.sql", "ALTER TABLE shop.item ADD COLUMN beside int;\n")
add("0008_beside.contract.sql", "ALTER TABLE shop.item DROP COLUMN beside;\n")
migrate("expand", "--migration", "0008_beside")
cluster.psql("s0-primary", "UPDATE shop.item SET beside = 1 WHERE bucket = 2048")
check("are in the middle of a move" in refused("contract", "--migration", "0008_beside"), "a held move keeps a contract waiting")
moves("complete", "--id", "held")
migrate("contract", "--migration", "0008_beside")
check(has_column("beside") == ["0", "0"], "and its end lets it go on")

# --- killed at random moments, again and again, until every phase is through
add("0010_kill.expand.sql", "ALTER TABLE shop.item ADD COLUMN k bigint;\n")
add("0010_kill.backfill.sql", "UPDATE shop.item SET k = coalesce(k, 0) + 1 WHERE k IS NULL;\n")
add("0010_kill.contract.sql", "ALTER TABLE shop.item DROP COLUMN note;\n")
(files / "0007_loop.backfill.sql").unlink()
random.seed(7)
kills = 0
for what in ("expand", "backfill", "contract"):
    options = ["--migration", "0010_kill"] + (["--rows-per-batch", 50] if what == "backfill" else [])
    for attempt in range(200):
        tool = subprocess.Popen(command(what, *options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            # Later and later, so that a slow machine comes through too.
            code = tool.wait(random.uniform(0.01, 0.08) * (1 + attempt / 2))
        except subprocess.TimeoutExpired:
            tool.kill()
            tool.wait()
            kills += 1
            continue
        if code == 0:
            break
        said = tool.stderr.read()
        check("another migration is at work" in said, f"only a killed run's session may be in the way: {said}") if code == 3 else check(False, said)
    else:
        check(False, f"{what} never came through")
check(kills > 3, f"{kills} runs were killed")
check(has_column("k") == ["1", "1"] and has_column("note") == ["0", "0"], "the schema is the contracted one")
check(everywhere("SELECT count(*) FILTER (WHERE k = 1) = count(*) FROM shop.item") == ["t", "t"], "every row was changed once")
check(everywhere("SELECT string_agg(phase || ' ' || state, ', ' ORDER BY phase) FROM shard.migration WHERE id = '0010_kill'")
      == ["backfill done, contract done, expand done"] * 2, "and the ledgers say so")
