#!/usr/bin/env python3
"""The example project builds against the installed package with GCC and Clang, passes its own tests, and runs as its README says.

usage: example_test.py --bin BUILD/bin --build BUILD
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import ROOT, arguments, check, fail  # noqa: E402

args = arguments(build="build/release")
build = pathlib.Path(args.build).resolve()
work = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-example-", dir="/var/tmp"))
work.chmod(0o755)
environment = dict(os.environ)


def run(words, seconds=280):
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, words))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()


def lines_of_readme():
    text = (ROOT / "client/example/README.md").read_text()
    blocks = re.findall(r"```\n(.*?)```", text, re.S)
    return [line.strip() for block in blocks for line in block.strip().splitlines()]


# Only places are this test's own; the build and the compiler are given.
ours = {"/opt/tidemark": work / "prefix", "build/example": work / "gcc", "/tmp/notes": work / "notes", "build/release/bin": args.bin,
        "build/release": build}
PLACES = re.compile("|".join(re.escape(place) for place in ours))
cluster_dir = None
try:
    outputs = {}
    for line in lines_of_readme():
        line = PLACES.sub(lambda place: str(ours[place.group()]), line)
        words = shlex.split(line)
        if words[0] == "tools/build":
            continue  # it has run: this test belongs to it
        if words[0] == "export":
            name, value = words[1].split("=", 1)
            environment[name] = value
            continue
        if words[1:2] == ["-S"]:
            run([*words, "-G", "Ninja", "-DCMAKE_CXX_COMPILER=g++"])
            continue
        if "up" in words[1:2]:
            cluster_dir = words[words.index("--dir") + 1]
        outputs[" ".join(words[1:])] = run(words)
        if words[1:2] == ["--install"]:
            check((work / "prefix/include/tidemark/client/client.h").exists(), "the headers are installed")
    check("hello (likes 0; from " in outputs["get first"], f"a note is put and read ({outputs['get first']})")
    check(outputs["like first"] == "likes 1", "a like is counted")
    check(True, "with GCC: built against the installed package, its tests pass, and it runs as the README says")
    run(["cmake", "-S", "client/example", "-B", work / "clang", "-G", "Ninja", "-DCMAKE_CXX_COMPILER=clang++-19",
         f"-DCMAKE_PREFIX_PATH={work / 'prefix'}"])
    run(["cmake", "--build", work / "clang"])
    run([work / "clang/note_test"])
    check(True, "with Clang: built against the installed package, its tests pass")
finally:
    if cluster_dir and pathlib.Path(cluster_dir).exists():
        subprocess.run([args.bin / "tidemark-localcluster", "down", "--dir", cluster_dir], check=False, stdout=subprocess.DEVNULL)
    shutil.rmtree(work, ignore_errors=True)
