"""Latency at half load, open loop: requests are due by the clock, and a latency counts from when its request was due."""
from . import machine
from .figures import count, median, size, with_range
from .load import OPERATIONS_PER_SECOND
from .servers import all_of, attempt
from .table import markdown_table

TITLE = "Latency at half load"
OPERATION_GET_SHARE = 10 / 11


def estimate(settings):
    return len(settings.latency_sizes) * (len(settings.kinds) * (settings.keys / OPERATIONS_PER_SECOND + 1.5 + settings.latency_rounds * 2 * (settings.latency_seconds + 1)))


def run(settings, generator, result, progress):
    rows = result.setdefault("rows", [])
    for value_bytes in settings.latency_sizes:
        with all_of(result, settings.kinds, settings.server_cpu, max(1 << 30, 4 * settings.keys * (value_bytes + 100)), priority=settings.priority) as servers:
            most = {}
            for server in list(servers):
                progress(f"{size(value_bytes)}: how much {server.name} can do")
                figures = attempt(result, server.name, lambda server=server: most_of(settings, generator, server, value_bytes))
                if figures:
                    most[server.name] = figures["ops_per_s"]
                else:
                    servers.remove(server)
            for number in range(settings.latency_rounds):
                for load in ("own", "same"):
                    load_average = machine.load_average()
                    for server in list(servers):
                        rate = (most[server.name] if load == "own" else min(most.values())) / 2
                        progress(f"{size(value_bytes)}: {server.name} at {rate:,.0f}/s")
                        figures = attempt(result, server.name, lambda server=server, rate=rate: generator.run(
                            server, rate=rate, get_share=OPERATION_GET_SHARE, keys=settings.keys, value_bytes=value_bytes,
                            run=f"{int(settings.latency_seconds * 1000)}ms", warmup=f"{min(500, int(settings.latency_seconds * 1000))}ms", seed=number + 1))
                        if not figures:
                            servers.remove(server)
                            continue
                        rows.append({"value_bytes": value_bytes, "server": server.name, "load": load, "round": number, "rate": rate,
                                     "load_average": load_average, "shed": figures["shed"],
                                     **{key: figures[key] for key in ("p50_us", "p99_us", "p999_us", "max_us")}})


def most_of(settings, generator, server, value_bytes):
    generator.fill(server, settings.keys, value_bytes)
    return generator.run(server, get_share=OPERATION_GET_SHARE, keys=settings.keys, value_bytes=value_bytes,
                         run=f"{min(1000, int(settings.latency_seconds * 1000))}ms", warmup="200ms")


def markdown(result):
    body = []
    for value_bytes, load, server in dict.fromkeys((row["value_bytes"], row["load"], row["server"]) for row in result["rows"]):
        rows = [row for row in result["rows"] if (row["value_bytes"], row["load"], row["server"]) == (value_bytes, load, server)]
        what = "half of its own most" if load == "own" else "half of the least most"
        body.append([size(value_bytes), what, server, count(median([row["rate"] for row in rows])),
                     *[with_range([row[key] for row in rows]) for key in ("p50_us", "p99_us", "p999_us")], sum(row["shed"] for row in rows)])
    loads = [row["load_average"] for row in result["rows"]]
    return markdown_table(["value", "load", "server", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "shed"], body, "<<<>>>>>") + (
        f"\n10:1 mix over 50 connections, one request each time. Load average: {min(loads):.1f} to {max(loads):.1f}; where it is above the number of cores, "
        "the tail is the scheduler's, not the server's.\n")
