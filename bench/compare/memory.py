"""Overhead per item: growth of RSS over n items of 16-byte keys, minus keys and values, divided by n; the worst of many n."""
from .figures import size
from .load import OPERATIONS_PER_SECOND
from .servers import Server, attempt
from .table import markdown_table

TITLE = "Memory per item"
KEY_BYTES = 16


def steps(settings):
    first, last, step = settings.memory_steps
    return list(range(first, last + 1, step))


def estimate(settings):
    each = steps(settings)
    return len(settings.memory_sizes) * len(settings.kinds) * (each[-1] / OPERATIONS_PER_SECOND + len(each) * 0.6)


def run(settings, generator, result, progress):
    rows = result.setdefault("rows", [])
    for value_bytes in settings.memory_sizes:
        memory = 4 * steps(settings)[-1] * (value_bytes + 200)
        for kind in settings.kinds:
            attempt(result, kind.name, lambda kind=kind: weigh(settings, generator, kind, memory, value_bytes, rows, progress))


def weigh(settings, generator, kind, memory, value_bytes, rows, progress):
    with Server(kind, settings.server_cpu, memory, priority=settings.priority) as server:
        generator.run(server, run="100ms", warmup="0ms", keys=1000)  # its connections and buffers exist before the first item
        empty, filled = server.settled_rss_bytes(), 0
        for items in steps(settings):
            progress(f"{size(value_bytes)}: {kind.name} with {items:,} items")
            generator.fill(server, items, value_bytes, first_key=filled)
            filled = items
            growth = server.settled_rss_bytes() - empty
            rows.append({"value_bytes": value_bytes, "server": kind.name, "items": items, "rss_growth": growth,
                         "overhead": growth / items - KEY_BYTES - value_bytes})


def worst(result):
    """(value_bytes, server) -> the row with the most overhead."""
    found = {}
    for row in result.get("rows", []):
        key = (row["value_bytes"], row["server"])
        if key not in found or row["overhead"] > found[key]["overhead"]:
            found[key] = row
    return found


def markdown(result):
    body = []
    for (value_bytes, server), row in worst(result).items():
        of = [r["overhead"] for r in result["rows"] if (r["value_bytes"], r["server"]) == (value_bytes, server)]
        payload = value_bytes + KEY_BYTES
        body.append([size(value_bytes), server, f"{row['overhead']:.1f} B", f"{100 * row['overhead'] / payload:.1f} %", f"{row['items']:,}",
                     f"{min(of):.1f} B"])
    items = sorted({row["items"] for row in result["rows"]})
    return markdown_table(["value", "server", "worst overhead per item", "of payload", "at items", "best"], body, "<<>>>>") + (
        f"\nOne server filled from {items[0]:,} to {items[-1]:,} items, RSS read at {len(items)} numbers of items.\n")
