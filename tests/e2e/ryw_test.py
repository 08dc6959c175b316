#!/usr/bin/env python3
"""Read-your-writes over two services, two shards and a replica whose replay stops and goes on: no violation with tokens,
some without (so the test can fail)."""
import argparse
import json
import pathlib
import subprocess
import sys

PAIRS = 2000
EXIT_VIOLATIONS = 3


def run(binaries, *arguments):
    done = subprocess.run([binaries / "tidemark-ryw", "--pairs", str(PAIRS), "--json", *arguments], capture_output=True, text=True, timeout=150)
    if done.returncode not in (0, EXIT_VIOLATIONS):
        sys.exit(f"tidemark-ryw {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout), done.returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    binaries = parser.parse_args().bin
    result, code = run(binaries)
    print(json.dumps(result))
    assert code == 0 and result["violations"] == 0 and result["errors"] == 0, "sessions with tokens saw something older"
    assert result["pairs"] == PAIRS
    assert result["reads_by_origin"]["replica"] > 0 and result["reads_by_origin"]["primary"] > 0, "both must have served"
    assert result["token_bytes_max"] <= 86
    result, code = run(binaries, "--without-token")
    print(json.dumps(result))
    assert code == EXIT_VIOLATIONS and result["violations"] > 0, "without tokens nothing was found: the test proves nothing"


if __name__ == "__main__":
    main()
