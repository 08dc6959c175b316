"""What the Python end-to-end tests stand on: a local cluster, its nodes, its Postgres sessions.

Every test is a program: usage TEST.py --bin DIR (where our programs are). It starts its own cluster through
tidemark-localcluster, which ends every process by pid, and exits non-zero at the first broken claim.
"""
import argparse
import atexit
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import psycopg2
import redis

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments(**defaults):
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    for name, default in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    return parser.parse_args()


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else (crc << 1) & 0xFFFF
    return crc


def bucket_of(natural_key):
    return (crc16(natural_key.encode()) & 16383) >> 2


def lsn(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


def eventually(what, probe, seconds=15.0, every=0.02):
    """Waits until probe() is true and returns its value; fails naming `what` and the last value."""
    end = time.monotonic() + seconds
    value = None
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(every)
    fail(f"not within {seconds} s: {what} (last: {value!r})")


def fail(message):
    print(f"FAILED: {message}", flush=True)
    sys.exit(1)


def check(claim, message):
    if not claim:
        fail(message)
    print(f"ok  {message}", flush=True)


class Cluster:
    def __init__(self, binaries, *options, keep=False):
        self.bin = pathlib.Path(binaries).resolve()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-e2e-", dir="/var/tmp"))
        self.dir.chmod(0o755)
        self.connections = []
        atexit.register(self.close)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a test that is timed out still ends its processes
        self.run("up", *options)

    def close(self):
        if keep := os.environ.get("TIDEMARK_E2E_LOGS"):  # a folder to look at the logs in afterwards
            shutil.copytree(self.dir / "logs", keep, dirs_exist_ok=True)
        if self.dir.exists():
            subprocess.run([self.bin / "tidemark-localcluster", "down", "--dir", self.dir], check=False, stdout=subprocess.DEVNULL)
            shutil.rmtree(self.dir, ignore_errors=True)
        # Sessions end with their server: closing one whose thread still waits for a commit would wait with it.

    def run(self, verb, *options):
        done = subprocess.run([self.bin / "tidemark-localcluster", verb, "--dir", str(self.dir), *map(str, options)],
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            logs = "\n".join(f"--- {p.name}\n" + "\n".join(p.read_text(errors="replace").splitlines()[-12:])
                             for p in sorted((self.dir / "logs").glob("*.log")))
            fail(f"tidemark-localcluster {verb} {' '.join(map(str, options))}: {done.stdout}{done.stderr}\n{logs}")
        return done.stdout

    def state(self):
        return {p["name"]: p for p in json.loads(self.run("status", "--format", "json"))}

    def psql(self, name, sql):
        return self.run("psql", name, sql).strip()

    def reload_setting(self, name, setting, value):
        self.psql(name, f"ALTER SYSTEM SET {setting} = '{value}'")
        self.psql(name, "SELECT pg_reload_conf()")
        eventually(f"{setting} = {value!r} on {name}", lambda: self.psql(name, f"SHOW {setting}") == value)

    def session(self, name, user="tidemark_app", autocommit=True):
        info = self.state()[name]["conninfo"]
        connection = psycopg2.connect(f"{info} user={user} passfile={self.dir}/secrets/{user}.pgpass")
        connection.autocommit = autocommit
        self.connections.append(connection)
        return Session(connection)

    def node(self, name, worker=0):
        return CacheNode(self.state()[name]["ports"][worker])

    def topology(self):
        newest = sorted((self.dir / "topology").glob("topology.*.json"))[-1]
        return json.loads(newest.read_text())


    def change_topology(self, change):
        """One compare-and-set on the topology store: a new version made by link, as the programs do it."""
        for _ in range(100):
            newest = sorted((self.dir / "topology").glob("topology.*.json"))[-1]
            topology = json.loads(newest.read_text())
            change(topology)
            topology["version"] += 1
            draft = self.dir / "topology" / f".draft.{os.getpid()}"
            draft.write_text(json.dumps(topology, indent=1))
            try:
                os.link(draft, self.dir / "topology" / f"topology.{topology['version']:020d}.json")
                return
            except FileExistsError:
                continue
            finally:
                draft.unlink()
        fail("the topology store lost a hundred races")


class Session:
    """One Postgres session; rows come back as tuples of text."""

    def __init__(self, connection):
        self.connection = connection

    def rows(self, sql, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            if cursor.description is None:
                return []
            return [tuple(None if v is None else str(v) for v in row) for row in cursor.fetchall()]

    def one(self, sql, *values):
        rows = self.rows(sql, *values)
        return rows[0] if len(rows[0]) > 1 else rows[0][0]


class CacheNode:
    def __init__(self, port):
        self.port = port
        self.redis = redis.Redis("127.0.0.1", port, decode_responses=True, socket_timeout=10)

    def ask(self, *words):
        """The answer, or the error's text."""
        try:
            return self.redis.execute_command(*map(str, words))
        except redis.ResponseError as error:
            return "-" + str(error)

    def verify(self, key):
        flat = self.ask("VERIFY", key)
        if isinstance(flat, str):
            fail(f"VERIFY {key}: {flat}")
        return dict(zip(flat[::2], flat[1::2]))

    def miss(self, key):
        """A fill lease: GETL until it is a MISS (another lease may have to run out)."""
        answer = eventually(f"GETL {key} is a MISS", lambda: (lambda a: a if a[0] == "MISS" else None)(self.ask("GETL", key)))
        return {"lease": answer[1], "need": answer[2], "visible": str(answer[3])}

    def tide(self):
        return {int(row[0]): {"e": int(row[1]), "complete_through": lsn(row[2]), "settled": lsn(row[3]), "floor": lsn(row[4]),
                              "bound": int(row[5])} for row in self.ask("TIDE")}
