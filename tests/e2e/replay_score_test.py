#!/usr/bin/env python3
"""tools/replay-score: its formula, on a program whose answers are known, and its figures, against single replays of a tiny trace.

usage: replay_score_test.py --bin BUILD/bin
"""
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import ROOT, arguments, check, fail  # noqa: E402

args = arguments()
work = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-score-test-", dir="/var/tmp"))
# Answers with hits by policy; it fails for a policy called "broken".
PROGRAM = """#!/usr/bin/env python3
import sys
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
policy = words["--policy"]
if policy == "broken":
    sys.exit("no such policy")
print("policy=x evictions=0")
print("requests=100 hits=%d hit_ratio=0" % {"ours": 60, "lru": 50, "s3fifo": 62, "gdsf": 40}[policy])
"""


def score(*options):
    return subprocess.run([sys.executable, ROOT / "tools/replay-score", *map(str, options)], capture_output=True, text=True, timeout=120, check=False)


def figures(output, policy):
    """family, mean, worst, regret, largest regret of the first table."""
    line = next((line for line in output.splitlines() if line.startswith(policy + " ")), None)
    if line is None:
        fail(f"no line for {policy}:\n{output}")
    words = line.replace("%", "").split()
    at = words.index("at")
    return [float(word) for word in (words[1], words[2], words[3], words[at + 2], words[at + 3])]


def write_trace(path, varies):
    dice = random.Random(7)
    with open(path, "wb") as out:
        for _ in range(20_000):
            key = min(int(dice.paretovariate(0.8)), 2000) - 1
            out.write(struct.pack("<II", key, 100 + key % 7 * 300 if varies else 1))


def replayed(policy, unit, capacity):
    done = subprocess.run([args.bin / "tidemark-replay", "--trace", work / "sized/one_a.bin", "--policy", policy, f"--capacity-{unit}", str(capacity)],
                          capture_output=True, text=True, timeout=60, check=True)
    return float(done.stdout.strip().splitlines()[-1].split("hit_ratio=")[1])


try:
    (work / "plain").mkdir()
    (work / "sized").mkdir()
    write_trace(work / "plain/one_a.bin", False)
    write_trace(work / "plain/one_b.bin", False)
    write_trace(work / "plain/two_c.bin", False)
    write_trace(work / "sized/one_a.bin", True)
    (work / "program").write_text(PROGRAM)
    os.chmod(work / "program", 0o755)

    done = score("--traces", work / "plain", "--program", work / "program", "--policies", "ours")
    check(done.returncode == 0, f"it ends well {done.stderr}")
    check("uniform: 12 points" in done.stdout and "bytes" not in done.stdout, "no cache of less than eight objects, no bytes where there are no sizes")
    check(figures(done.stdout, "ours") == [20.0, 20.0, 20.0, 2.0, 2.0], "50 misses less 40 are a fifth fewer; the best anchor is two points better")
    check(figures(done.stdout, "gdsf") == [-20.0, -20.0, -20.0, 22.0, 22.0], "worse than lru counts against it")
    done = score("--traces", work / "plain", "--program", work / "program", "--policies", "broken")
    check(done.returncode == 1 and "no such policy" in done.stderr and "broken" in done.stderr, "a replay that fails is named, with what it said")
    check(score("--traces", work, "--program", work / "program").returncode == 2, "a folder without traces is refused")

    done = score("--traces", work / "sized", "--program", args.bin.resolve() / "tidemark-replay", "--points", work / "points", "--jobs", 2)
    check(done.returncode == 0 and "\nbytes: " in done.stdout, f"a trace with sizes is scored in objects and in bytes {done.stderr}")
    points = {tuple(line.split("\t")[:4]): float(line.split("\t")[4]) for line in (work / "points").read_text().splitlines()}
    keys = 1 + max(key for key, _ in struct.iter_unpack("<II", (work / "sized/one_a.bin").read_bytes()))
    sizes = {key: size for key, size in struct.iter_unpack("<II", (work / "sized/one_a.bin").read_bytes())}
    for policy in ("adaptive", "lru", "gdsf"):
        check(points["uniform", "one_a", "10", policy] == replayed(policy, "objects", int(keys * 0.1 + 0.5)), f"{policy}: as a single replay says, in objects")
        check(points["bytes", "one_a", "30", policy] == replayed(policy, "bytes", int(sum(sizes.values()) * 0.3 + 0.5)), f"{policy}: and in bytes")
finally:
    shutil.rmtree(work, ignore_errors=True)
