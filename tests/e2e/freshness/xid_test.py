#!/usr/bin/env python3
"""Transaction ids: subtransactions and prepared transactions (E14), ids beyond 32 bits (E15)."""
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import arguments, bucket_of, check, eventually, lab_for  # noqa: E402

args = arguments(expect_stale=0)
lab = lab_for(args, replicas=0)
bucket = bucket_of("sub")


def refused(name, session):
    value, proof = lab.load_primary(name, session)
    answer = lab.fill(name, value, proof)
    if args.expect_stale:
        return value, answer == "OK"
    return value, answer.startswith("-REJECT OLDER")


def restart(between=lambda: None):
    lab.cluster.psql("s0-primary", "ALTER SYSTEM SET max_prepared_transactions = 10")
    lab.cluster.run("shut-down", "s0-primary")
    between()
    epoch = lab.node.tide()[0]["e"]
    lab.cluster.run("start", "s0-primary")
    lab.primary = lab.cluster.session("s0-primary")
    eventually("the restart opened a new db_epoch", lambda: lab.node.tide()[0]["e"] > epoch, 30)


# E14: 200 savepoints overflow the subtransaction cache; the stream names the top id, and visibility is decided by it.
lab.put("sub", 1)
restart()
lab.wait_settled()
writer = lab.cluster.session("s0-primary", autocommit=False)
for i in range(200):
    writer.rows(f"SAVEPOINT s{i}")
    writer.rows("UPDATE lab.item SET v = %s WHERE bucket = %s AND name = 'sub'", 100 + i, bucket)
check(lab.fill_until_accepted("sub") == "1", "an uncommitted transaction with 200 subtransactions does not stop honest fills")
writer.connection.commit()
eventually("its invalidation has arrived", lambda: lab.cached("sub") is None)
check(lab.fill_until_accepted("sub") == "299", "after its commit the last value is filled")

writer.rows("UPDATE lab.item SET v = 500 WHERE bucket = %s AND name = 'sub'", bucket)
writer.rows("PREPARE TRANSACTION 'p'")
writer.connection.rollback()
check(lab.cached("sub") == "299", "a prepared transaction is not visible and invalidates nothing")
lab.primary.rows("COMMIT PREPARED 'p'")
eventually("COMMIT PREPARED invalidates", lambda: lab.cached("sub") is None)
check(lab.fill_until_accepted("sub") == "500", "after COMMIT PREPARED the new value is filled")

# E15: the same ghost as ever, with ids of epoch 5. Cut to 32 bits, the writer's id would look long finished.
data = lab.cluster.psql("s0-primary", "SHOW data_directory")


def fifth_epoch():
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if pathlib.Path(data).owner() == "postgres" else []
    subprocess.run([*as_postgres, "/usr/lib/postgresql/15/bin/pg_resetwal", "-f", "-e", "5", data], check=True, cwd="/", stdout=subprocess.DEVNULL)


restart(fifth_epoch)
check(int(lab.primary.one("SELECT pg_current_xact_id()::text")) > 5 << 32, "transaction ids are beyond 2^34 now")
lab.put("wide", 42)
lab.wait_settled()
check(lab.fill_until_accepted("wide") == "42", "honest fills with wide ids are accepted")
lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "ghost")
hanging_session = lab.cluster.session("s0-primary")
hanging = threading.Thread(target=lambda: lab.put("wide", 43, hanging_session), daemon=True)
since = lab.position()
hanging.start()
lab.wait_invalidated("wide", since)
value, verdict = refused("wide", lab.cluster.session("s0-primary"))
check(value == "42" and verdict, "the stale fill is refused" if not args.expect_stale else "without the proof rule the stale fill is accepted")
lab.cluster.reload_setting("s0-primary", "synchronous_standby_names", "")
hanging.join(30)
if not args.expect_stale:
    check(lab.fill_until_accepted("wide") == "43", "once visible, the honest fill is accepted")
