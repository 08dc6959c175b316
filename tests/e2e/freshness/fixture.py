"""The small world of the freshness tests: one table, one family, and fills made by hand with honest or dishonest proofs."""
import atexit
import pathlib
import shutil
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import Cluster, arguments, bucket_of, check, eventually, fail, lsn  # noqa: E402,F401

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS lab;
CREATE TABLE IF NOT EXISTS lab.item (
  bucket int NOT NULL, name text COLLATE "C" NOT NULL, v bigint NOT NULL DEFAULT 0, PRIMARY KEY (bucket, name));
CREATE TABLE IF NOT EXISTS lab.part (
  bucket int NOT NULL, owner text COLLATE "C" NOT NULL, id bigint NOT NULL, PRIMARY KEY (bucket, owner, id));
GRANT USAGE ON SCHEMA lab TO tidemark_app, tidemark_invalidator;
GRANT SELECT, INSERT, UPDATE, DELETE ON lab.item, lab.part TO tidemark_app;
GRANT SELECT ON lab.item, lab.part TO tidemark_invalidator;
"""
FAMILIES = """{"families": [{"name": "item", "pattern": "item:{<name>}", "table": "lab.item", "key_columns": ["name"],
 "ttl_ms": 3600000, "negative_ttl_ms": 10000, "max_stale_ms": 60000},
 {"name": "parts", "pattern": "parts:{<owner>}", "table": "lab.part", "key_columns": ["owner"],
 "ttl_ms": 3600000, "negative_ttl_ms": 10000, "max_stale_ms": 60000}]}"""


class Write:
    """What a writer knows after its commit."""

    def __init__(self, name, v, e, stage, xid, lsn_after="0/0"):
        self.name, self.v, self.e, self.stage, self.xid, self.lsn = name, v, e, stage, xid, lsn_after


class Lab:
    writer = None
    leases = {}

    def __init__(self, binaries, *options, replicas=1, nodes=1):
        files = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-lab-"))
        atexit.register(shutil.rmtree, files, True)
        files.chmod(0o755)
        (files / "lab.sql").write_text(SCHEMA)
        (files / "families.json").write_text(FAMILIES)
        self.cluster = Cluster(binaries, "--nodes", nodes, "--shards", 1, "--replicas", replicas, "--schema", files / "lab.sql",
                               "--tables", "lab.item", "lab.part", "--families", files / "families.json", *options)
        self.node = self.cluster.node("n1")
        self.primary = self.cluster.session("s0-primary")
        eventually("the node has joined shard 0", lambda: 0 in self.node.tide())
        self.e = lambda: int(self.primary.one("SELECT e FROM tidemark.epoch"))

    def put(self, name, v, session=None):
        (session or self.primary).rows(
            "INSERT INTO lab.item VALUES (%s, %s, %s) ON CONFLICT (bucket, name) DO UPDATE SET v = excluded.v", bucket_of(name), name, v)

    def value(self, name, session=None):
        rows = (session or self.primary).rows("SELECT v FROM lab.item WHERE bucket = %s AND name = %s", bucket_of(name), name)
        return rows[0][0] if rows else None

    def load_primary(self, name, session=None):
        """An honest primary load: value and S proof of one statement, epochs in the same snapshot."""
        row = (session or self.primary).rows(
            "SELECT e.e, b.epoch, pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text, q.v FROM tidemark.epoch e, shard.bucket b "
            "LEFT JOIN lab.item q ON q.bucket = b.bucket AND q.name = %s WHERE b.bucket = %s", name, bucket_of(name))[0]
        return row[4], f"S:0:{row[0]}:{row[1]}:{row[2]}:{row[3]}"

    def load_replica(self, name, session):
        """An honest replica load: the replay position in an earlier, ended statement."""
        position = session.one("SELECT pg_last_wal_replay_lsn()::text")
        row = session.rows("SELECT e.e, b.epoch, q.v FROM tidemark.epoch e, shard.bucket b LEFT JOIN lab.item q ON q.bucket = b.bucket "
                           "AND q.name = %s WHERE b.bucket = %s", name, bucket_of(name))[0]
        return row[2], f"R:0:{row[0]}:{row[1]}:{position}"

    def fill(self, name, value, proof, lease=None):
        """SETV; a value of None is a proven absence. The answer, an error with a '-' in front."""
        key = f"item:{{{name}}}"
        rest = [proof, "" if value is None else value] + (["NEG"] if value is None else [])
        if kept := self.leases.pop(name, None) if lease is None else None:
            answer = self.node.ask("SETV", key, kept, *rest)
            if not answer.startswith("-REJECT LEASE"):
                return answer
        return self.node.ask("SETV", key, lease or self.node.miss(key)["lease"], *rest)

    # ---- staged write-through by hand
    UPDATE = "UPDATE lab.item SET v = %s WHERE bucket = %s AND name = %s RETURNING v"
    DELETE = "DELETE FROM lab.item WHERE v <> %s AND bucket = %s AND name = %s RETURNING v"

    def change(self, session, name, v, stage=None, sql=UPDATE):
        """The row's change with its stage message, in whatever transaction `session` is in. The stage as the message names it."""
        stage = stage or random.getrandbits(64)
        session.rows(f"WITH r AS ({sql}) SELECT r.*, pg_logical_emit_message(true, 'cache.stage', %s::text || E'\\n' || %s::text) FROM r",
                     v, bucket_of(name), name, f"item:{{{name}}}", stage)
        return stage

    def write_through(self, name, v, sql=UPDATE):
        """A whole transaction as the client library makes it, up to its STAGE."""
        session = self.session_for_writes()
        written = Write(name, v, self.e(), self.change(session, name, v, sql=sql), session.one("SELECT pg_current_xact_id()::text"))
        session.connection.commit()
        written.lsn = self.primary.one("SELECT pg_current_wal_insert_lsn()::text")
        return written

    def session_for_writes(self):
        if self.writer is None or self.writer.connection.closed:
            self.writer = self.cluster.session("s0-primary", autocommit=False)
        return self.writer

    def stage(self, written, **other):
        """STAGE as its writer sends it; `other` replaces what it says. The answer, an error with a '-' in front."""
        said = {**vars(written), **other}
        words = ["STAGE", 0, said["e"], said["lsn"], said["xid"], said["stage"], f"item:{{{said['name']}}}"]
        return self.node.ask(*words, *(["", "NEG"] if said["v"] is None else [said["v"]]))

    def hit(self, name):
        """The answer of GETL if it is one of the node's own: HIT or ABSENT, as (value or None, lo, hi)."""
        answer = self.node.ask("GETL", f"item:{{{name}}}")
        if answer[0] == "MISS":
            self.leases[name] = answer[1]
        return (answer[1], answer[3], answer[4]) if answer[0] == "HIT" else (None, answer[2], answer[3]) if answer[0] == "ABSENT" else None

    def serves_only(self, name, allowed, what):
        """Until everything committed by now is applied and settled, and a little beyond: no value but these (None: a miss)."""
        position = self.flushed()
        seen = []

        def is_over():
            seen.append(self.cached(name))
            return seen[-1] not in allowed or self.node.tide()[0]["settled"] >= position
        eventually("the node's settled position has passed the present", is_over, 30)
        seen += [self.cached(name) for _ in range(20)]
        wrong = [value for value in seen if value not in allowed]
        check(not wrong, f"{what} (served {len(seen)} times none but {allowed})" if not wrong else f"{what}: served {wrong}")

    def cached(self, name):
        """What the node serves; None: nothing. A lease that it gives instead is kept for fill(): the key would be BUSY until it ends."""
        answer = self.node.ask("GETL", f"item:{{{name}}}")
        if answer[0] == "MISS":
            self.leases[name] = answer[1]
        return answer[1] if answer[0] == "HIT" else None

    def position(self):
        """Where the primary's log ends now: every commit from here on ends beyond it."""
        return lsn(self.primary.one("SELECT pg_current_wal_insert_lsn()::text"))

    def flushed(self):
        """Every commit acknowledged by now ends at or before it. (What reads write to the log may stay unflushed for long.)"""
        return lsn(self.primary.one("SELECT pg_current_wal_flush_lsn()::text"))

    def wait_invalidated(self, name, since):
        """A commit on the key that ended beyond `since` has reached the node. (A tombstone alone may be an earlier commit's.)"""
        eventually(f"the invalidation of {name} has arrived",
                   lambda: lsn(self.node.verify(f"item:{{{name}}}")["tombstone_lsn"]) > since, 30)

    def wait_replayed(self, session, position=None):
        position = position or self.primary.one("SELECT pg_current_wal_flush_lsn()::text")
        eventually("the replica has replayed", lambda: lsn(session.one("SELECT pg_last_wal_replay_lsn()::text")) >= lsn(position))

    def wait_settled(self):
        """Everything committed and visible now is applied and settled at the node."""
        position = self.flushed()
        eventually("the node's settled position has passed the present", lambda: self.node.tide()[0]["settled"] >= position, 30)

    def fill_until_accepted(self, name, seconds=30):
        """What an honest client does: load and fill again until the node takes it. No false refusal lasts."""
        def attempt():
            value, proof = self.load_primary(name)
            return (value,) if self.fill(name, value, proof) in ("OK", "KEPT") else None
        return eventually(f"an honest fill of {name} is accepted", attempt, seconds)[0]

    def promote(self, name):
        """Promotes a replica and tells the topology, as a failover manager's script would."""
        self.cluster.psql(name, "SELECT pg_promote()")
        eventually(f"{name} has left recovery", lambda: self.cluster.psql(name, "SELECT pg_is_in_recovery()") == "f")

        def change(topology):
            servers = topology["shards"][0]["servers"]
            topology["shards"][0]["servers"] = [dict(s, role="primary" if s["name"] == name else "replica")
                                                for s in servers if s["name"] == name or s["role"] == "replica"]
        self.cluster.change_topology(change)
        self.primary = self.cluster.session(name)


def lab_for(args, *more, **options):
    """The lab of a test; with --expect-stale its node is the test-only build without the proof rule."""
    extra = ["--node-program", "tidemark-cache-noproof"] if args.expect_stale else []
    return Lab(args.bin, *extra, *more, **options)
