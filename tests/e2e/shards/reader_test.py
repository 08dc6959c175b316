#!/usr/bin/env python3
"""A service that says which schema it understands: no contract while it runs, no start after the contract."""
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Cluster, arguments, check, eventually, fail  # noqa: E402

args = arguments()
cluster = Cluster(args.bin, "--shards", 2, "--replicas", 0, "--nodes", 1, "--no-invalidator", "--sessions")
files = cluster.dir / "migrations"
files.mkdir()
(files / "0001_hint.expand.sql").write_text("CREATE TABLE public.hint (bucket int NOT NULL, id bigint, old text, PRIMARY KEY (bucket, id));\n")
(files / "0002_hint.contract.sql").write_text("ALTER TABLE public.hint DROP COLUMN old;\n")


def migrate(what, *options, code=0):
    done = subprocess.run([args.bin / "tidemark-shards", "migrate", what, "--shards", cluster.dir / "shards.json", "--topology",
                           f"file:{cluster.dir}/topology", "--directory", files, *options], capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != code:
        fail(f"migrate {what}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def service(name, understands):
    log = open(cluster.dir / f"logs/{name}.log", "w")
    return subprocess.Popen([args.bin / "tidemark-session", "--topology", f"file:{cluster.dir}/topology", "--passfile",
                             cluster.dir / "secrets/tidemark_app.pgpass", "--ready-file", cluster.dir / f"{name}.ready", "--instance", name,
                             "--understands", understands], stderr=log, stdout=log)


def readers():
    return [cluster.psql(f"s{shard}-primary", "SELECT name || ' ' || understands FROM shard.reader") for shard in (0, 1)]


migrate("expand")
old = service("session-old", "0001_hint")
try:
    eventually("it serves", (cluster.dir / "session-old.ready").exists, 30)
    check(readers() == ["session-old 0001_hint"] * 2, "a service that serves is known to every shard")
    check("reader session-old understands the schema up to 0001_hint only" in migrate("contract", "--migration", "0002_hint", code=3),
          "no contract while it runs")
finally:
    old.send_signal(signal.SIGTERM)
    code = old.wait(30)
check(code == 0 and readers() == ["", ""], "when it ends its leases end")
migrate("contract", "--migration", "0002_hint")
check(service("session-late", "0001_hint").wait(60) == 1, "after the contract it does not start")
check("0002_hint is contracted here" in (cluster.dir / "logs/session-late.log").read_text(), "and its log says why")
