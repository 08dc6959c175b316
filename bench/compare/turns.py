"""How long one turn of our node's loop takes of its own CPU time, while the table grows, is flushed and churns."""
import time

from . import churn
from .figures import count, histogram_difference, histogram_max, histogram_quantile
from .load import OPERATIONS_PER_SECOND
from .servers import Failure, Server
from .table import markdown_table

TITLE = "Turns of the loop"
FLUSHALL = b"*1\r\n$8\r\nFLUSHALL\r\n"
LOAD = {"connections": 4, "depth": 16}  # few commands a turn: what is long then is not their number
LIMIT_SECONDS = 2 ** 10 / 1e6  # the bucket that stands for 1 ms


def estimate(settings):
    return (settings.turn_items + settings.turn_operations) / OPERATIONS_PER_SECOND + 8


def run(settings, generator, result, progress):
    rows = result.setdefault("rows", [])
    kind = next(kind for kind in settings.kinds if kind.name == "tidemark")
    with Server(kind, settings.server_cpu, max(4 << 30, settings.turn_items * 400), priority=settings.priority) as server:
        def phase(name, work):
            progress(name)
            before = server.loop_turns()
            operations = work()
            rows.append({"phase": name, "operations": operations, "buckets": histogram_difference(server.loop_turns(), before)})

        phase(f"filling to {count(settings.turn_items)} items",
              lambda: generator.run(server, fill=True, keys=settings.turn_items, value_bytes=32, **LOAD)["operations"])
        phase(f"FLUSHALL of {count(settings.turn_items)} items, under GETs", lambda: flush_under_load(settings, generator, server))
        phase(f"churn: {count(settings.turn_operations)} overwrites, deletes and expiries of changing sizes",
              lambda: generator.run(server, fill=True, operations=settings.turn_operations, keys=min(1_000_000, settings.turn_operations),
                                    value_bytes=churn.SIZES[0], value_bytes_max=churn.SIZES[1], size_phases=churn.PHASES, ttl=churn.TTL, **LOAD,
                                    **churn.MIX)["operations"])


def flush_under_load(settings, generator, server):
    load = generator.start(server, keys=settings.turn_items, run=f"{settings.flush_seconds}s", warmup="0ms", rate=5000.0, connections=10)
    time.sleep(settings.flush_seconds / 4)
    answer = server.ask(FLUSHALL)
    figures = generator.finish(load, server)
    if not answer.startswith(b"+OK"):
        raise Failure(f"FLUSHALL was answered with {answer!r}")
    return figures["operations"]


def edge_text(seconds):
    if seconds is None:
        return "-"
    if seconds == float("inf"):
        return "> 4 s"
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


def over_limit(buckets):
    return buckets[-1][1] - next(cumulative for edge, cumulative in buckets if edge >= LIMIT_SECONDS)


def markdown(result):
    body = [[row["phase"], f"{row['buckets'][-1][1]:,}", f"{row['operations'] / max(row['buckets'][-1][1], 1):.0f}", *[edge_text(histogram_quantile(row["buckets"], q)) for q in (0.5, 0.99, 0.999, 0.9999)],
             edge_text(histogram_max(row["buckets"])), f"{over_limit(row['buckets']):,}"] for row in result["rows"]]
    return markdown_table(["while", "turns", "commands each", "50 %", "99 %", "99.9 %", "99.99 %", "all", "over 1.024 ms"], body) + (
        "\nAt most so much thread CPU time (upper edges of buckets, powers of two of a microsecond). "
        f"{LOAD['connections']} connections with {LOAD['depth']} commands under way each.\n\n") + histogram(result)


def histogram(result):
    """Turns by CPU time, a column for each phase."""
    edges = [edge for edge, _ in result["rows"][0]["buckets"]]
    columns = [[b - a for a, b in zip([0] + [c for _, c in row["buckets"]], [c for _, c in row["buckets"]])] for row in result["rows"]]
    used = [i for i in range(len(edges)) if any(column[i] for column in columns)]
    if not used:
        return ""
    body = [[f"<= {edge_text(edges[i])}", *[f"{column[i]:,}" for column in columns]] for i in range(used[0], used[-1] + 1)]
    return markdown_table(["CPU time of a turn", *[row["phase"].split(":")[0].split(",")[0] for row in result["rows"]]], body)
