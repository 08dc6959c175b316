#!/usr/bin/env python3
"""docs/DATA-TIER.md holds: its transcripts are run, command by command, and what they print is compared.

usage: docs_test.py --bin DIR [--write 1]      --write 1: prints the page with what the commands printed now

In an expected line "…" stands for anything; a line "…" alone for any number of lines. Beforehand there are two shards
with the page's first table (demo/), a third server without a database (three.json names it), a shard with one replica
(pair/), and nothing else.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import ROOT, Cluster, arguments, check, fail  # noqa: E402

args = arguments(write=0)
PAGE = ROOT / "docs/DATA-TIER.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.S)
END = "transcript-command-ended"


def commands_of(block):
    """[(command, [expected line])]; a here-document belongs to its command."""
    steps = []
    lines = iter(block.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            steps[-1][1].append(line)
            continue
        command = line[2:]
        if match := re.search(r"<<'(\w+)'", command):
            for line in lines:
                command += "\n" + line
                if line == match[1]:
                    break
        steps.append((command, []))
    return steps


def matches(expected, printed):
    pattern = "".join(r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


options = ["--replicas", 0, "--nodes", 0, "--no-invalidator"]
spare = Cluster(args.bin, "--shards", 1, *options)
page = PAGE.read_text()
first_table = re.search(r"```sql\n(.*?)```", page, re.S)[1]
cluster = Cluster(args.bin, "--shards", 2, *options)
pair = Cluster(args.bin, "--shards", 1, "--replicas", 1, "--nodes", 0, "--no-invalidator")  # for a promotion
work = cluster.dir
(work / "pair").symlink_to(pair.dir)
(work / "demo").symlink_to(work)
(work / "shop.sql").write_text(first_table)
described = json.loads((work / "shards.json").read_text())["shards"]
stranger = json.loads((spare.dir / "shards.json").read_text())["shards"][0]
bare = psycopg2.connect(stranger["admin"] + " dbname=postgres")
bare.autocommit = True
bare.cursor().execute("SELECT pg_drop_replication_slot('tidemark')")
bare.cursor().execute("DROP DATABASE tidemark WITH (FORCE)")
third = {"id": 2, "admin": stranger["admin"], "servers": [{**s, "name": "s2-" + s["role"]} for s in stranger["servers"]]}
(work / "three.json").write_text(json.dumps({"shards": [*described, third]}))

shell = subprocess.Popen(["bash"], cwd=work, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env={**os.environ, "PATH": f"{args.bin.resolve()}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"})


def run(command):
    shell.stdin.write(f"{command}\necho {END}\n")
    shell.stdin.flush()
    printed = []
    while (line := shell.stdout.readline()) != END + "\n":
        if not line:
            fail(f"the shell ended in: {command}")
        if "  waits " not in line:  # for a lock or a replica: a loaded machine's business
            printed.append(line.rstrip())
    return printed


def transcript(block):
    text = ""
    for command, expected in commands_of(block):
        printed = run(command)
        text += f"$ {command}\n" + "".join(line + "\n" for line in printed)
        if not args.write and not matches(expected, printed):
            fail("the page says of\n  $ " + command + "\n" + "\n".join(expected) + "\nand it printed\n" + "\n".join(printed))
    return text


parts = BLOCK.split(page)
for i in range(1, len(parts), 2):
    heading = re.findall(r"^## (.*)$", "".join(parts[:i]), re.M)[-1]
    parts[i] = "```console\n" + transcript(parts[i]) + "```"
    if not args.write:
        check(True, f"the transcript of \"{heading}\"")
shell.stdin.close()
shell.wait(10)
if args.write:
    print("".join(parts), end="")
else:
    check(len(parts) > 15, "the page has its transcripts")
