"""Server CPU per operation, closed loop: every server takes its turn in every round, so that a machine that slows down slows all down alike."""
from . import machine
from .figures import count, median, paired_ratios, size, times, with_range
from .load import OPERATIONS_PER_SECOND
from .servers import all_of, attempt
from .table import markdown_table

TITLE = "Speed"
OPERATIONS = (("GET", 1.0), ("SET", 0.0), ("10:1", 10 / 11))
EVICTING = (("SET, full", 0.0),)
ORDER = [name for name, _ in OPERATIONS + EVICTING]
DEPTHS = (1, 16, 64)
ALONE_BYTES = 32          # values of the measurement of servers that are full
FULL_LIMIT = 64 << 20
KEYS_PER_FULL_LIMIT = 30  # bytes of the limit for each key: several times what any server can keep


def rounds_of(settings, value_bytes, depth):
    """Small values show most of a server's own work: they have most rounds."""
    if value_bytes > settings.small_bytes:
        return settings.rounds_large
    return max(settings.rounds, settings.rounds_depth_1) if depth == 1 else settings.rounds


def keys_of(settings, value_bytes):
    return settings.keys if value_bytes < 2048 else settings.keys // 5


def estimate(settings):
    runs = sum(rounds_of(settings, value, depth) for value in settings.sizes for depth in settings.depths) * len(settings.operations)
    runs += settings.rounds_large * len(settings.depths) * len(EVICTING)
    fills = sum(keys_of(settings, value) for value in settings.sizes) + settings.full_limit // KEYS_PER_FULL_LIMIT
    return len(settings.kinds) * (runs * (settings.seconds + settings.warmup + 0.1) + fills / OPERATIONS_PER_SECOND)


def run(settings, generator, result, progress):
    """Fills result["rows"] as it goes: one row per run."""
    result.setdefault("rows", [])
    for value_bytes in settings.sizes:
        keys = keys_of(settings, value_bytes)
        memory = max(1 << 30, 4 * keys * (value_bytes + 100))
        measure(settings, generator, result, progress, settings.kinds, settings.operations, value_bytes, keys, memory)
    kinds = [kind for kind in settings.kinds if kind.takes_memory]
    measure(settings, generator, result, progress, kinds, EVICTING, ALONE_BYTES, settings.full_limit // KEYS_PER_FULL_LIMIT, settings.full_limit)


def measure(settings, generator, result, progress, kinds, operations, value_bytes, keys, memory):
    """All rounds of one value size. A server that fails takes part no longer."""
    what = size(value_bytes) + (", full" if operations is EVICTING else "")
    rounds = {depth: settings.rounds_large if operations is EVICTING else rounds_of(settings, value_bytes, depth) for depth in settings.depths}
    with all_of(result, kinds, settings.server_cpu, memory, priority=settings.priority) as servers:
        for server in list(servers):
            progress(f"{what}: filling {server.name}")
            if not attempt(result, server.name, lambda server=server: generator.fill(server, keys, value_bytes, ttl_share=settings.ttl_share, ttl="3600s")):
                servers.remove(server)
        for number in range(max(rounds.values())):
            for depth in settings.depths:
                if number < rounds[depth]:
                    progress(f"{what}, depth {depth}: round {number + 1} of {rounds[depth]}")
                    one_round(settings, generator, servers, result, operations, value_bytes=value_bytes, keys=keys, depth=depth, number=number)


def one_round(settings, generator, servers, result, operations, *, value_bytes, keys, depth, number):
    for operation, get_share in operations:
        load_average = machine.load_average()
        turn = number % max(len(servers), 1)
        for server in servers[turn:] + servers[:turn]:
            figures = attempt(result, server.name, lambda server=server: generator.run(
                server, depth=depth, get_share=get_share, keys=keys, value_bytes=value_bytes, run=f"{int(settings.seconds * 1000)}ms",
                warmup=f"{int(settings.warmup * 1000)}ms", ttl_share=settings.ttl_share, ttl="3600s", seed=number + 1))
            if not figures:
                servers.remove(server)
                continue
            if figures["server_cpu_us_per_op"] is None:  # nothing was answered in so short a time
                continue
            result["rows"].append({"value_bytes": value_bytes, "operation": operation, "depth": depth, "server": server.name, "round": number,
                         "cpu_us": figures["server_cpu_us_per_op"], "generator_us": figures["own_cpu_us_per_op"], "ops_per_s": figures["ops_per_s"],
                         "misses": figures["misses"], "load_average": load_average})


def select(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def by_round(rows, key):
    return {row["round"]: row[key] for row in rows}


def cells(result):
    """(value_bytes, operation, depth), in the order measured."""
    return list(dict.fromkeys((row["value_bytes"], row["operation"], row["depth"]) for row in result.get("rows", [])))


def ratios(result, cell, server, reference):
    """How many times cheaper `server` is than `reference`, one figure a round."""
    at = dict(zip(("value_bytes", "operation", "depth"), cell))
    ours = by_round(select(result["rows"], server=server, **at), "cpu_us")
    return paired_ratios(by_round(select(result["rows"], server=reference, **at), "cpu_us"), ours)


def markdown(result):
    names = list(dict.fromkeys(row["server"] for row in result["rows"]))
    ours, peers = names[0], names[1:]
    header = ["value", "operation", "depth", *[f"{name}: CPU µs/op" for name in names], *[f"{ours} is cheaper than {peer}" for peer in peers],
              *[f"{name}: op/s" for name in names], "generator µs/op"]
    body = []
    for cell in sorted(cells(result), key=lambda cell: (cell[0], ORDER.index(cell[1]), cell[2])):
        at = dict(zip(("value_bytes", "operation", "depth"), cell))
        of = {name: select(result["rows"], server=name, **at) for name in names}
        body.append([size(cell[0]), cell[1], cell[2], *[with_range([row["cpu_us"] for row in of[name]]) for name in names],
                     *[times(ratios(result, cell, ours, peer)) for peer in peers],
                     *[count(median([row["ops_per_s"] for row in of[name]])) if of[name] else "-" for name in names],
                     with_range([row["generator_us"] for row in of[ours]])])
    loads = [row["load_average"] for row in result["rows"]]
    note = (f"Load average before the rounds: {min(loads):.1f} to {max(loads):.1f}. CPU: median over rounds (range); \"cheaper\": median of the ratios of "
            "the same round (range).")
    if "memcached 1.6.18" in " ".join(result["stamp"]["versions"]):
        note += (" memcached 1.6.18, which Debian 12 has, answers each GET of a pipeline by a system call of its own, which newer versions do not: its GETs at depth "
                 "16 and 64 say nothing about memcached as such.")
    return markdown_table(header, body) + "\n" + note + "\n"
