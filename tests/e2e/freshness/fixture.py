"""The small world of the freshness tests: one table, one family, and fills made by hand with honest or dishonest proofs."""
import pathlib
import sys

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


class Lab:
    def __init__(self, binaries, *options, replicas=1, nodes=1):
        import tempfile
        files = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-lab-"))
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
        lease = lease or self.node.miss(key)["lease"]
        words = ["SETV", key, lease, proof, "" if value is None else value] + (["NEG"] if value is None else [])
        return self.node.ask(*words)

    def cached(self, name):
        answer = self.node.ask("GETL", f"item:{{{name}}}")
        return answer[1] if answer[0] == "HIT" else None

    def position(self):
        """Where the primary's log ends now: every commit from here on ends beyond it."""
        return lsn(self.primary.one("SELECT pg_current_wal_insert_lsn()::text"))

    def wait_invalidated(self, name, since):
        """A commit on the key that ended beyond `since` has reached the node. (A tombstone alone may be an earlier commit's.)"""
        eventually(f"the invalidation of {name} has arrived",
                   lambda: lsn(self.node.verify(f"item:{{{name}}}")["tombstone_lsn"]) > since, 30)

    def wait_replayed(self, session, position=None):
        position = position or self.primary.one("SELECT pg_current_wal_flush_lsn()::text")
        eventually("the replica has replayed", lambda: lsn(session.one("SELECT pg_last_wal_replay_lsn()::text")) >= lsn(position))

    def wait_settled(self):
        """Everything committed and visible now is applied and settled at the node."""
        position = lsn(self.primary.one("SELECT pg_current_wal_insert_lsn()::text"))
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


def lab_for(args, **options):
    """The lab of a test; with --expect-stale its node is the test-only build without the proof rule."""
    extra = ["--node-program", "tidemark-cache-noproof"] if args.expect_stale else []
    return Lab(args.bin, *extra, **options)
