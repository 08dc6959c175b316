"""Memory under change, while serving: overwrites, deletes and expiries with changing sizes, RSS against what must live; and, where more is
written than fits, RSS against the limit."""
from .figures import count, median, size
from .load import OPERATIONS_PER_SECOND
from .servers import Server, attempt
from .table import markdown_table

TITLE = "Memory under churn"
MIX = {"get_share": 0.1, "delete_share": 0.1, "ttl_share": 0.2}
TTL = "3s"
SIZES = (32, 2048)
PHASES = 5


def estimate(settings):
    return len(settings.kinds) * (settings.churn_operations + settings.churn_keys + settings.limit_operations) / OPERATIONS_PER_SECOND


def run(settings, generator, result, progress):
    rows = result.setdefault("rows", [])
    for kind in settings.kinds:
        progress(f"{kind.name}: {count(settings.churn_operations)} operations")
        row = attempt(result, kind.name, lambda kind=kind: with_room(settings, generator, kind))
        rows += [row] if row else []
    limit_rows = result.setdefault("limit_rows", [])
    for kind in settings.kinds:
        if kind.takes_memory:
            progress(f"{kind.name}: {count(settings.limit_operations)} operations at a limit of {size(settings.churn_limit)}")
            row = attempt(result, kind.name, lambda kind=kind: at_the_limit(settings, generator, kind))
            limit_rows += [row] if row else []


def with_room(settings, generator, kind):
    with Server(kind, settings.server_cpu, settings.churn_keys * 8192, priority=settings.priority) as server:
        figures = generator.run(server, fill=True, operations=settings.churn_operations, keys=settings.churn_keys, value_bytes=SIZES[0],
                                value_bytes_max=SIZES[1], size_phases=PHASES, ttl=TTL, connections=10, depth=16, count_live=True,
                                sample_every="250ms", **MIX)
    return {"server": kind.name, "operations": settings.churn_operations, "keys": settings.churn_keys, "seconds": figures["seconds"],
            "samples": figures["samples"]}


def at_the_limit(settings, generator, kind):
    """The keys hold some three times as many bytes as the limit allows in the last phase, so that every phase but the first evicts."""
    with Server(kind, settings.server_cpu, settings.churn_limit, priority=settings.priority) as server:
        empty = server.rss_bytes()
        keys = max(1000, 3 * settings.churn_limit // 330)
        figures = generator.run(server, operations=settings.limit_operations, keys=keys, value_bytes=SIZES[0], value_bytes_max=SIZES[1], size_phases=PHASES,
                                ttl=TTL, connections=10, depth=16, sample_every="100ms", **MIX)
    return {"server": kind.name, "limit": settings.churn_limit, "operations": settings.limit_operations, "empty_rss": empty,
            "highest_rss": max(sample["rss_bytes"] for sample in figures["samples"]), "last_rss": figures["samples"][-1]["rss_bytes"]}


def waste(sample):
    return sample["rss_bytes"] / sample["live_bytes"]


def second_half(row):
    """The samples after the filling and the first half of the operations."""
    return [s for s in row["samples"] if s["operations"] >= row["keys"] + row["operations"] / 2 and s["live_bytes"] > 0] or row["samples"][-1:]


def markdown(result):
    body = []
    for row in result["rows"]:
        last = row["samples"][-1]
        ratios = [waste(s) for s in second_half(row)]
        body.append([row["server"], count(row["operations"]), f"{last['live_items']:,}", size(last["live_bytes"]), size(last["rss_bytes"]),
                     f"{waste(last):.2f}", f"{median(ratios):.2f}", f"{max(ratios):.2f}", size(max(s["rss_bytes"] for s in row["samples"]))])
    return markdown_table(["server", "operations", "live items", "live bytes", "RSS", "RSS / live at the end", "median of the second half", "worst of it",
                           "highest RSS"], body) + (
        f"\nValues of {SIZES[0]} to {SIZES[1]} bytes, whose range changes {PHASES} times; {MIX['delete_share']:.0%} DEL, {MIX['get_share']:.0%} GET, a fifth "
        f"of the SETs expires after {TTL}. Live bytes are keys and values that must be there, by the generator's own account; RSS is the whole process.\n") + limit_markdown(result)


def limit_markdown(result):
    rows = result.get("limit_rows", [])
    if not rows:
        return ""
    body = [[row["server"], size(row["limit"]), size(row["empty_rss"]), size(row["highest_rss"]), f"{row['highest_rss'] / row['limit']:.2f}",
             f"{row['last_rss'] / row['limit']:.2f}"] for row in rows]
    return "\nThe same mix where more is written than fits, so that every server evicts:\n\n" + markdown_table(
        ["server", "its limit", "RSS when empty", "highest RSS", "highest RSS / limit", "at the end"], body)
