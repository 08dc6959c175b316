#!/usr/bin/env python3
"""A key with more invisible commits than a tombstone lists (E5): the overflow must not forget the oldest.

T1 hangs in synchronous replication; T2 to T6 commit locally. A count taken now lacks T1 although its snapshot sees every newer transaction.
"""
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import arguments, bucket_of, check, eventually, lab_for  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args, replicas=0)
key, bucket = "parts:{seven}", bucket_of("seven")
lab.wait_settled()


def load():
    row = lab.primary.rows("SELECT e.e, b.epoch, pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text, "
                           "(SELECT count(*) FROM lab.part WHERE bucket = b.bucket AND owner = 'seven') FROM tidemark.epoch e, shard.bucket b "
                           "WHERE b.bucket = %s", bucket)[0]
    return row[4], f"S:0:{row[0]}:{row[1]}:{row[2]}:{row[3]}"


lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "ghost")
hanging_session = lab.cluster.session("s0-primary")
hanging = threading.Thread(target=lambda: hanging_session.rows("INSERT INTO lab.part VALUES (%s, 'seven', 1)", bucket), daemon=True)
hanging.start()
eventually("T1's invalidation has arrived", lambda: int(lab.node.verify(key)["tombstones"]) >= 1)
lab.primary.rows("SET synchronous_commit = local")
for i in range(2, 8):
    lab.primary.rows("INSERT INTO lab.part VALUES (%s, 'seven', %s)", bucket, i)
eventually("every invalidation has arrived", lambda: int(lab.node.verify(key)["tombstones"]) >= 5)
count, proof = load()
check(count == "6", "the count lacks T1, which is invisible, and holds six later commits")
answer = lab.node.ask("SETV", key, lab.node.miss(key)["lease"], proof, count)
if args.expect_stale:
    check(answer == "OK", "without the proof rule the short count is cached")
    sys.exit(0)
check(answer.startswith("-REJECT OLDER"), f"the short count is refused ({answer})")

lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "")
hanging.join(30)


def honest():
    value, fresh_proof = load()
    return value if lab.node.ask("SETV", key, lab.node.miss(key)["lease"], fresh_proof, value) == "OK" else None


check(eventually("the full count is accepted", honest, 10) == "7", "once T1 is visible the full count is accepted")
