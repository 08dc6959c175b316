#!/usr/bin/env python3
"""One node without a topology, four workers: plain clients that know one address, cluster clients, and redis-cli all get every key."""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import urllib.request

import redis
import redis.cluster

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[0]))
from harness import arguments, check  # noqa: E402

args = arguments(threads=4)
with tempfile.TemporaryDirectory(prefix="tidemark-e2e-", dir="/var/tmp") as directory:
    ready = pathlib.Path(directory) / "ready"
    node = subprocess.Popen([args.bin / "tidemark-cache", "--port", "0", "--threads", str(args.threads), "--ready-file", ready],
                            stderr=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if node.poll() is not None:
                check(False, f"the node starts (exit code {node.returncode})")
        ports = json.loads(ready.read_text())["ports"]
        check(len(ports) == args.threads, f"the node listens on {len(ports)} ports")
        plain = [redis.Redis("127.0.0.1", port, decode_responses=True, socket_timeout=60) for port in ports]

        # One address, every key
        keys = [f"key:{i}" for i in range(500)]
        for key in keys:
            plain[0].set(key, key.upper())
        check(all(client.get(key) == key.upper() for client in plain for key in keys[::7]), "redis-py at every port reads what one port wrote")
        check(plain[1].mget(keys) == [key.upper() for key in keys], "MGET of 500 keys of all workers keeps their order")
        check(all(client.dbsize() == 500 for client in plain), "DBSIZE counts the keys of all workers")
        check(sorted(plain[2].scan_iter(count=20)) == sorted(keys), "SCAN passes every key once")
        check(plain[3].delete(*keys[:100]) == 100 and plain[0].exists(*keys) == 400, "DEL and EXISTS span the workers")
        check(plain[0].randomkey() in keys, "RANDOMKEY is one of them")
        out = subprocess.run(["redis-cli", "-p", str(ports[0]), "GET", "key:499"], capture_output=True, text=True, timeout=60, check=True).stdout
        check(out.strip() == "KEY:499", "redis-cli without -c gets it, and no MOVED")

        # Pipelines that mix everything, of several clients at once, each against a model of its own
        def session(number, wrong):
            rng = random.Random(number)
            client = redis.Redis("127.0.0.1", ports[number % len(ports)], decode_responses=True, socket_timeout=60)
            model = {}
            for _ in range(30):
                pipe = client.pipeline(transaction=False)
                expected = []
                for _ in range(rng.randint(1, 120)):
                    key = f"s{number}:{rng.randint(0, 20)}"
                    choice = rng.randint(0, 4)
                    if choice == 0:
                        value = "x" * rng.choice([1, 30, 3000, 90000])
                        pipe.set(key, value)
                        model[key] = value
                        expected.append(True)
                    elif choice == 1:
                        pipe.delete(key)
                        expected.append(1 if model.pop(key, None) is not None else 0)
                    elif choice == 2:
                        pipe.echo(key)
                        expected.append(key)
                    elif choice == 3:
                        others = [f"s{number}:{rng.randint(0, 20)}" for _ in range(3)]
                        pipe.mget(others)
                        expected.append([model.get(other) for other in others])
                    else:
                        pipe.get(key)
                        expected.append(model.get(key))
                if pipe.execute() != expected:
                    wrong.append(number)
                    return

        wrong = []
        sessions = [threading.Thread(target=session, args=(number, wrong)) for number in range(8)]
        for thread in sessions:
            thread.start()
        for thread in sessions:
            thread.join()
        check(wrong == [], "eight clients' pipelines of local and forwarded requests are answered in order")

        # Cluster clients go straight to the right worker
        def forwarded():
            return sum(int(float(line.rsplit(" ", 1)[1])) for line in metrics().splitlines() if line.startswith("tidemark_cache_forwarded_total{"))

        def metrics():
            port = json.loads(ready.read_text())["metrics_port"]
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()

        check(forwarded() > 1000, "requests were forwarded, and counted")
        cluster = redis.cluster.RedisCluster("127.0.0.1", ports[0], decode_responses=True, socket_timeout=60)
        before = forwarded()
        for i in range(200):
            cluster.set(f"cluster:{i}", i)
        check(all(cluster.get(f"cluster:{i}") == str(i) for i in range(200)), "a cluster client reads its writes")
        check(forwarded() == before, "and none of its requests was forwarded")
        plain[0].flushall()
        check(plain[1].dbsize() == 0, "FLUSHALL empties every worker")
        node.terminate()
        check(node.wait(60) == 0, "SIGTERM drains and exits 0")
    finally:
        if node.poll() is None:
            node.kill()
