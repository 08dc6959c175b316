"""Hit ratio at equal memory: a trace replayed (GET, after a miss SET) against each server whose limit makes its RSS the same."""
import pathlib
import shutil
import struct
import subprocess
import tempfile

from . import servers
from .figures import median, next_limit, size
from .load import OPERATIONS_PER_SECOND
from .servers import Failure, Server, attempt
from .table import markdown_table

TITLE = "Hit ratio at equal memory"
TOLERANCE = 0.02
TRIES_MAX = 6
CLOSE = 0.01          # of the hit ratio: where two lead by less, all are replayed anew and medians count
FURTHER_REPLAYS = 4
RSS_LEAST = 64 << 20  # below, the processes themselves weigh too much
SHARES = (0.1, 0.3)   # of all bytes of a real trace
FIRST_SHARE = 0.85    # of the RSS wanted: the limit tried first, of a server of which nothing is known


def contestants(settings):
    peers = [kind for kind in settings.kinds if kind.name not in ("redis", "tidemark", "memcached")]
    ours = [kind for kind in settings.kinds if kind.name in ("tidemark", "memcached")]
    return ours[:1] + [servers.redis("allkeys-lru", "redis allkeys-lru"), servers.redis("allkeys-lfu", "redis allkeys-lfu")] + ours[1:] + [
        peer for peer in peers if peer.takes_memory]


def estimate(settings):
    per_replay = settings.trace_requests / (OPERATIONS_PER_SECOND / 2) + 0.7
    seeded = len(settings.seeded_traces) * len(settings.rss_targets) * per_replay
    return (seeded + 8 * len(settings.trace_files)) * (len(settings.kinds) + 1) * 2


def run(settings, generator, result, progress):
    result.setdefault("rows", [])
    kinds = contestants(settings)
    for name, keys in settings.seeded_traces:
        trace = f"{name}:{settings.trace_requests}:{keys}"
        for target in settings.rss_targets:
            compare(settings, generator, result, progress, kinds, trace=trace, label=name, target=target, options={}, largest=16384)
    with tempfile.TemporaryDirectory(prefix="tidemark-compare-") as folder:
        for path in settings.trace_files:
            real_trace(settings, generator, result, progress, kinds, path, pathlib.Path(folder) / "trace")


def real_trace(settings, generator, result, progress, kinds, path, unpacked):
    unpack(path, unpacked)
    total, largest = weigh(unpacked)
    label, options = path.name.removesuffix(".zst").removesuffix(".bin"), {}
    if largest <= 1:
        if not settings.unsized_bytes:
            progress(f"{label}: skipped, it has no sizes (--unsized-bytes N gives it some)")
            return
        total, largest, options = total * settings.unsized_bytes, settings.unsized_bytes, {"uniform_bytes": settings.unsized_bytes}
        label += f" ({settings.unsized_bytes} B each)"
    targets = list(dict.fromkeys(max(RSS_LEAST, int(total * share)) for share in SHARES))
    if targets[0] > total // 2:
        progress(f"{label}: skipped, all of its {size(total)} nearly fit in {size(RSS_LEAST)}")
        return
    for target in targets:
        if target <= total // 2:
            compare(settings, generator, result, progress, kinds, trace=unpacked, label=label, target=target, options=options, largest=largest)


def unpack(path, target):
    if path.suffix != ".zst":
        shutil.copyfile(path, target)
        return
    if not shutil.which("zstd"):
        raise Failure(f"{path}: zstd is missing to unpack it (tools/install-packages)")
    with open(path, "rb") as packed, open(target, "wb") as out:  # by its input, for zstd does not read through a symbolic link
        done = subprocess.run(["zstd", "-dcq"], stdin=packed, stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise Failure(f"{path}: zstd could not unpack it: {done.stderr.decode(errors='replace').strip()}")


def weigh(path):
    """(sum of the largest size of every key, the largest of all)"""
    largest = {}
    for key, value_bytes in struct.iter_unpack("<II", path.read_bytes()):
        if largest.get(key, -1) < value_bytes:
            largest[key] = value_bytes
    return sum(largest.values()), max(largest.values(), default=0)


def compare(settings, generator, result, progress, kinds, *, trace, label, target, options, largest):
    def replayed(kind, limit, number):
        progress(f"{label}, RSS {size(target)}: {kind.name}, replay {number} with a limit of {size(limit)}")
        with Server(kind, settings.server_cpu, limit, largest, settings.priority) as server:
            figures = generator.run(server, replay=trace, **options)
        return {"trace": label, "target": target, "server": kind.name, "limit": limit, "rss_bytes": figures["rss_bytes"],
                **{key: figures[key] for key in ("requests", "hits", "hit_ratio", "byte_hit_ratio", "refused")}}

    found = {}
    for kind in kinds:
        before = [row["limit"] / row["target"] for row in result["rows"] if row["server"] == kind.name]
        first = int(target * (before[-1] if before else FIRST_SHARE))
        row = attempt(result, kind.name, lambda kind=kind, first=first: at_equal_rss(lambda limit, number: replayed(kind, limit, number), first, target))
        if row:
            found[kind] = row
    if is_close(found.values()):
        for kind, row in found.items():
            more = [attempt(result, kind.name, lambda kind=kind, row=row, i=i: replayed(kind, row["limit"], i + 2)) for i in range(FURTHER_REPLAYS)]
            found[kind] = median_of([row, *filter(None, more)])
    result["rows"] += found.values()


def is_close(rows):
    """Policies and servers throw dice: a lead this small says nothing in one replay. That all hit alike is no lead."""
    best, second = [*sorted((row["hit_ratio"] for row in rows), reverse=True), 0, 0][:2]
    return 0 < best - second < CLOSE * best


def median_of(rows):
    """The replay in the middle of those of one server at one limit."""
    middle = sorted(rows, key=lambda row: row["hit_ratio"])[(len(rows) - 1) // 2]
    return dict(middle, replays=len(rows), least=min(row["hit_ratio"] for row in rows), most=max(row["hit_ratio"] for row in rows),
                rss_bytes=int(median([row["rss_bytes"] for row in rows])))


def at_equal_rss(replayed, limit, target):
    """The replay whose RSS in the end came nearest to the target: replayed(limit, number of the try) is called until it is near enough."""
    tried, best, before = [], None, None
    for number in range(1, TRIES_MAX + 1):
        row = replayed(limit, number)
        if best is None or abs(row["rss_bytes"] - target) < abs(best["rss_bytes"] - target):
            best = row
        if abs(row["rss_bytes"] - target) <= TOLERANCE * target or everything_fits(row, before):
            break
        before = row
        tried.append((limit, row["rss_bytes"]))
        limit = next_limit(tried, target)
    return best


def everything_fits(row, before):
    """More memory brought no more hits and was not used: the trace has no more to keep."""
    return before is not None and row["limit"] > before["limit"] and row["hits"] == before["hits"] and row["rss_bytes"] < row["limit"]


def range_of(row):
    return f" ({row['least']:.4f}-{row['most']:.4f})" if row.get("replays", 1) > 1 else ""


def markdown(result):
    names = list(dict.fromkeys(row["server"] for row in result["rows"]))
    body, off = [], 0
    for trace, target in dict.fromkeys((row["trace"], row["target"]) for row in result["rows"]):
        of = {row["server"]: row for row in result["rows"] if (row["trace"], row["target"]) == (trace, target)}
        best = max(row["hit_ratio"] for row in of.values())
        cells = []
        for name in names:
            row = of.get(name)
            is_off = row is not None and abs(row["rss_bytes"] - target) > TOLERANCE * target
            off += is_off
            text = "-" if row is None else f"{row['hit_ratio']:.4f}" + range_of(row) + (f" (RSS {size(row['rss_bytes'])})" if is_off else "")
            cells.append(f"**{text}**" if row is not None and row["hit_ratio"] == best else text)
        body.append([trace, size(target), *cells])
    note = f"Each server's limit was set so that its RSS after the replay is the stated one within {TOLERANCE:.0%}"
    note += "; where that did not succeed, the RSS stands beside. " if off else ". "
    if any(row.get("replays", 1) > 1 for row in result["rows"]):
        note += f"Where two lead by less than {CLOSE:.0%}, figures are medians of {FURTHER_REPLAYS + 1} replays of each server (least-most). "
    refused = sorted({row["server"] for row in result["rows"] if row["refused"]})
    if refused:
        note += f"Some values were too large for: {', '.join(refused)}; those keys keep missing. "
    return markdown_table(["trace", "RSS", *names], body, "<>" + ">" * len(names)) + "\n" + note.strip() + "\n"
