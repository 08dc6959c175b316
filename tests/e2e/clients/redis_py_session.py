"""redis-py, cluster and plain: usage: redis_py_session.py HOST:PORT… (the first is also used as a plain connection)"""
import sys

import redis
from redis.cluster import ClusterNode, RedisCluster

seeds = [(host, int(port)) for host, port in (seed.split(":") for seed in sys.argv[1:])]
cluster = RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in seeds], decode_responses=True)

assert len(cluster.get_primaries()) == len(seeds), cluster.get_primaries()
for i in range(300):
    assert cluster.set(f"py:{i}", i, ex=600)
assert [cluster.get(f"py:{i}") for i in range(300)] == [str(i) for i in range(300)]
assert cluster.mget_nonatomic([f"py:{i}" for i in range(20)]) == [str(i) for i in range(20)]
assert cluster.mset_nonatomic({f"py:m{i}": i for i in range(20)})
assert 0 < cluster.ttl("py:1") <= 600
assert cluster.expire("py:1", 10) and cluster.ttl("py:1") <= 10
assert cluster.persist("py:1") and cluster.ttl("py:1") == -1
assert cluster.incrbyfloat("py:f", 2.5) == 2.5
assert cluster.append("py:s", "abc") == 3 and cluster.getrange("py:s", 1, 2) == "bc"
assert cluster.getex("py:s", px=5000) == "abc" and cluster.getdel("py:s") == "abc" and cluster.get("py:s") is None
assert cluster.exists("py:2") == 1 and cluster.type("py:2") == "string" and cluster.unlink("py:2") == 1
assert sorted(k for k in cluster.scan_iter(match="py:1?", count=50)) == [f"py:{i}" for i in range(10, 20)]
assert cluster.cluster_keyslot("py:3") == cluster.keyslot("py:3")
assert sum(cluster.dbsize(target_nodes=RedisCluster.PRIMARIES) for _ in [0]) >= 300
pipe = cluster.pipeline()
for i in range(50):
    pipe.get(f"py:{i + 100}")
assert pipe.execute() == [str(i + 100) for i in range(50)]

plain = redis.Redis(*seeds[0], decode_responses=True)
info = plain.info()
assert info["cluster_enabled"] == 1 and info["loading"] == 0 and info["used_memory"] > 0, info
assert plain.client_setname("python") and plain.client_getname() == "python"
assert any(row["name"] == "python" for row in plain.client_list())
assert plain.config_get("maxmemory")["maxmemory"].isdigit()
for wrong, text in [(("SET", "py:x", "1", "EX", "0"), "invalid expire time in 'set' command"), (("GET",), "wrong number of arguments for 'get' command"),
                    (("NOSUCH", "a"), "unknown command 'NOSUCH', with args beginning with: 'a'"), (("SELECT", "1"), "SELECT")]:
    try:
        plain.execute_command(*wrong)
        raise SystemExit(f"{wrong} was accepted")
    except redis.ResponseError as error:
        assert text in str(error) or str(error).startswith("MOVED"), (wrong, str(error))
print("ok")
