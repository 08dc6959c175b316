"""What the eviction policies cost: CPU time of a hit and of an insert with its eviction, at a million items, without keyspace and network."""
import json
import subprocess

from .figures import median
from .servers import Failure, settle
from .table import markdown_table

TITLE = "Cost of a policy"
BENCHMARKS = {"eviction_hit": "hit", "eviction_replace": "insert and eviction"}
NOTHING = "eviction_nothing"
LIMIT_SECONDS = 300


def estimate(settings):
    return 12 * settings.policy_repetitions * (settings.policy_seconds + 0.3) + 8


def run(settings, generator, result, progress):
    program = generator.program.parent / "tidemark-microbench"
    if not program.exists():
        raise Failure(f"{program} is missing: run tools/build release")
    progress("a million items of each policy")
    done = subprocess.run([program, "--benchmark_filter=^eviction_", f"--benchmark_min_time={settings.policy_seconds}", "--benchmark_format=json",
                           f"--benchmark_repetitions={settings.policy_repetitions}", "--benchmark_enable_random_interleaving=true"], capture_output=True,
                          text=True, check=False, timeout=LIMIT_SECONDS, preexec_fn=lambda: settle(settings.server_cpu, settings.priority))
    if done.returncode != 0:
        raise Failure(f"tidemark-microbench: {done.stderr.strip()[-500:]}")
    result.setdefault("rows", []).extend(rows_of(json.loads(done.stdout)))


def rows_of(report):
    """The medians over the repetitions in a report of tidemark-microbench."""
    runs = {}
    for one in sorted(report["benchmarks"], key=lambda one: one.get("family_index", 0)):  # they ran in random order
        if one["run_type"] == "iteration":
            runs.setdefault(one["run_name"], []).append(one)
    return [{"benchmark": name, "ns": median([one["cpu_time"] for one in of]), "bytes_per_item": of[0].get("bytes_per_item")} for name, of in runs.items()]


def markdown(result):
    of = {row["benchmark"]: row for row in result["rows"]}
    policies = list(dict.fromkeys(name.split("/", 1)[1] for name in of if "/" in name))
    body = []
    for policy in policies:
        found = [of.get(f"{benchmark}/{policy}") for benchmark in BENCHMARKS]
        memory = next((row["bytes_per_item"] for row in found if row and row["bytes_per_item"] is not None), None)
        body.append([policy.replace("_sizes", ", sizes vary"), *[f"{row['ns']:.0f}" if row else "-" for row in found], f"{memory:.2f}" if memory is not None else "-"])
    note = "Medians, in nanoseconds of CPU time, a million items of one cache line each chosen at random."
    if NOTHING in of:
        note += f" Finding the item in memory alone takes {of[NOTHING]['ns']:.0f} ns of each; a hit of the node has paid that already."
    return markdown_table(["policy", *[f"{what}, ns" for what in BENCHMARKS.values()], "bytes per item beside the entry"], body) + "\n" + note + "\n"
