#!/usr/bin/env python3
"""Two nodes of two workers each: every worker is fed by the invalidator and serves exactly its own slots, fresh."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fixture import Lab, arguments, bucket_of, check, eventually, lsn  # noqa: E402

args = arguments()
lab = Lab(args.bin, "--threads", 2, nodes=2, replicas=0)
workers = [lab.cluster.node(name, worker) for name in ("n1", "n2") for worker in (0, 1)]
by_port = {worker.port: worker for worker in workers}
for worker in workers:
    eventually(f"the worker at {worker.port} has joined shard 0", lambda worker=worker: 0 in worker.tide())
check(len(by_port) == 4, "four workers have joined the shard")

names = [f"w{i}" for i in range(80)]


def owner_of(name):
    """The worker that answers; every other one must name it in MOVED."""
    answers = {worker.port: worker.ask("GETL", f"item:{{{name}}}") for worker in workers}
    own = [port for port, answer in answers.items() if not isinstance(answer, str)]
    if len(own) != 1 or any(not str(answer).endswith(f":{own[0]}") for port, answer in answers.items() if port != own[0]):
        check(False, f"one worker serves {name} and the others point to it: {answers}")
    return by_port[own[0]]


owners = {name: owner_of(name) for name in names}
check(len(set(owners.values())) == 4, "the keys lie on all four workers, and each worker points to the others' ports, its sibling's too")


def fill(name):
    lab.node = owners[name]
    return lab.fill_until_accepted(name)


def hit(name):
    lab.node = owners[name]
    return lab.cached(name)


for name in names:
    lab.put(name, 1)
check(all(fill(name) == "1" for name in names), "every worker takes honest fills of its keys")
eventually("all are hits", lambda: all(hit(name) == "1" or fill(name) is None for name in names))

lab.primary.rows("UPDATE lab.item SET v = 2")
for name in names:
    eventually(f"the old value of {name} is gone from the worker at {owners[name].port}", lambda name=name: hit(name) != "1", 30)
check(all(fill(name) == "2" for name in names), "one commit over all keys has invalidated each at its worker")

position = lsn(lab.primary.one("SELECT pg_current_wal_insert_lsn()::text"))
for worker in workers:
    eventually(f"the tide mark at {worker.port} passes the present", lambda worker=worker: worker.tide()[0]["complete_through"] >= position, 30)
check(True, "every worker's tide mark has passed the present")

# A node that was killed comes back with both workers.
lab.cluster.run("kill", "n1")
lab.cluster.run("start", "n1")
for worker in (0, 1):
    node = lab.cluster.node("n1", worker)
    eventually(f"worker {worker} of n1 has joined again", lambda node=node: 0 in node.tide(), 30)
    by_port[node.port] = node
workers = list(by_port.values())
name = next(name for name in names if owners[name].port == lab.cluster.node("n1", 1).port)
owners = {name: owner_of(name)}
check(hit(name) is None and fill(name) == "2" and bucket_of(name) >= 0, "its second worker is empty, and takes fills")
