#!/usr/bin/env python3
"""A schema migration under a cache: nothing stale is served, nothing is thrown away without need.

An expand leaves the cached values alone; a backfill invalidates exactly the keys of the rows that it changes. DDL that changes rows without
an event is refused; where it is allowed all is revalidated. Without that guard the cache keeps what is wrong, and a loader with an older
snapshot takes an existing row for absent: the test can fail.
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
files = lab.cluster.dir / "migrations"
files.mkdir()
NAMES = [f"n{i}" for i in range(20)]


def migrate(what, *options, code=0):
    done = subprocess.run([args.bin / "tidemark-shards", "migrate", what, "--shards", lab.cluster.dir / "shards.json", "--topology",
                           f"file:{lab.cluster.dir}/topology", "--directory", files, *options], capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != code:
        fail(f"migrate {what}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


for name in NAMES:
    lab.put(name, 1)
lab.wait_settled()
for name in NAMES:
    lab.fill_until_accepted(name)
check(all(lab.cached(name) == "1" for name in NAMES), "twenty values are cached")

(files / "0001_w.expand.sql").write_text("ALTER TABLE lab.item ADD COLUMN w bigint DEFAULT 7;\n")
(files / "0001_w.backfill.sql").write_text("UPDATE lab.item SET v = v + 1000 WHERE v < 1000 AND name < 'n2';\n")
migrate("expand")
lab.wait_settled()
check(all(lab.cached(name) == "1" for name in NAMES), "an expand leaves every cached value alone")

changed = [name for name in NAMES if name < "n2"]
since = lab.position()
migrate("backfill")
for name in changed:
    lab.wait_invalidated(name, since)
lab.wait_settled()
check(all(lab.cached(name) is None for name in changed), f"a backfill invalidates the {len(changed)} keys whose rows it changes")
check(all(lab.cached(name) == "1" for name in NAMES if name not in changed), "and no other: no storm")
check(all(lab.fill_until_accepted(name) == "1001" for name in changed), "the new values are cached")

# --- a backfill waits for a replica that is behind
(files / "0002_x.backfill.sql").write_text("UPDATE lab.item SET w = 8 WHERE w <> 8;\n")
lab.cluster.psql("s0-replica1", "SELECT pg_wal_replay_pause()")
for i in range(300):
    lab.put("wal", i)
waiting = subprocess.Popen([args.bin / "tidemark-shards", "migrate", "backfill", "--migration", "0002_x", "--shards", lab.cluster.dir / "shards.json",
                            "--topology", f"file:{lab.cluster.dir}/topology", "--directory", files, "--lag-max", "1kb"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
while "waits for a replica or the invalidator" not in (line := waiting.stderr.readline()):
    check(line, "the backfill says that it waits")
done = lab.primary.one("SELECT count(*) FROM lab.item WHERE w = 8")
check(waiting.poll() is None and int(done) < len(NAMES), f"a backfill waits while a replica is too far behind, after {done} rows")
lab.cluster.psql("s0-replica1", "SELECT pg_wal_replay_resume()")
check(waiting.wait(60) == 0 and lab.primary.one("SELECT count(*) FROM lab.item WHERE w = 8") == str(len(NAMES) + 1), "and goes on when it has caught up")
lab.primary.rows("DELETE FROM lab.item WHERE name = 'wal'")
for name in NAMES:
    lab.fill_until_accepted(name)

# --- DDL that makes no event, E10 and E10b
owner = psycopg2.connect(json.loads((lab.cluster.dir / "shards.json").read_text())["shards"][0]["admin"])
owner.autocommit = True
rewrite = "ALTER TABLE lab.item ALTER COLUMN v TYPE numeric USING v * 100"
try:
    owner.cursor().execute(rewrite)
    check(False, "a rewrite of a cached table is refused")
except psycopg2.Error as error:
    check(error.pgcode == "SH012", "a rewrite of a cached table is refused")
lab.wait_settled()
check(all(lab.cached(name) == lab.value(name) for name in NAMES), "and every cached value is the database's")

# --- where it is allowed, the statement itself tells the caches, also those whose fill is under way
def before_the_rewrite():
    session = lab.cluster.session("s0-primary", autocommit=False)
    session.connection.set_session(isolation_level="REPEATABLE READ")
    session.rows("SELECT 1")  # its snapshot is taken now
    return session


allowed = before_the_rewrite()
owner.cursor().execute("SET tidemark.eventless_ddl = 'allowed'")
owner.cursor().execute("ALTER TABLE lab.item ALTER COLUMN v TYPE numeric USING v + 1")
owner.cursor().execute("RESET tidemark.eventless_ddl")
value, proof = lab.load_primary("n5", allowed)
check(value is None, "a loader with an older snapshot sees the rewritten table empty")
lab.wait_settled()
eventually("an allowed rewrite revalidates what is cached", lambda: lab.cached("n7") is None)
check(lab.fill("n5", value, proof) not in ("OK", "KEPT"), "and the older snapshot proves nothing")
check(all(lab.cached(name) in (None, str(lab.value(name))) for name in NAMES), "no old value is served")
allowed.connection.rollback()
for name in NAMES:
    lab.fill_until_accepted(name)
owner.cursor().execute("ALTER EVENT TRIGGER tidemark_rewrite DISABLE")
before = int(lab.value("n5"))

old = lab.cluster.session("s0-primary", autocommit=False)
old.connection.set_session(isolation_level="REPEATABLE READ")
old.rows("SELECT 1")  # its snapshot is taken now
lab.put("late", 5)
lab.wait_settled()
owner.cursor().execute(rewrite)
lab.wait_settled()
check(lab.cached("n5") == str(before) and lab.value("n5") == str(before * 100), f"without the guard the cache keeps {before}: {lab.cached('n5')} where the database has {lab.value('n5')}: the test can fail")
value, _ = lab.load_primary("n5", old)
check(value is None, "and a loader with an older snapshot takes an existing row for absent")
old.connection.rollback()
check(bucket_of("n5") >= 0 and len(lab.primary.rows("SELECT * FROM lab.item")) == len(NAMES) + 1, "though every row is there")
