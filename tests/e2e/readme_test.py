#!/usr/bin/env python3
"""The README's first five minutes work as printed: its lines are run, only paths and the port are those of this test."""
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import ROOT, arguments, check, eventually  # noqa: E402

args = arguments()
text = (ROOT / "README.md").read_text()
block = next(b for b in re.findall(r"```\n(.*?)```", text, re.S) if "tidemark-cache --port" in b)
lines = block.strip().splitlines()
server_line = next(line for line in lines if "tidemark-cache --port" in line)
check(lines[0] == "tools/build release tidemark-cache", "the README builds before it runs")
check(server_line.endswith(" &"), "the server is started in the background")

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
words = server_line.removesuffix(" &").split()
words[0] = str(args.bin / pathlib.Path(words[0]).name)
words[words.index("--port") + 1] = str(port)
server = subprocess.Popen(words, stderr=subprocess.DEVNULL)
try:
    def is_up():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    eventually("the server listens", is_up)
    outputs = {}
    for line in lines[lines.index(server_line) + 1:]:
        command = line.split()
        check(command[0] == "redis-cli", f"a line for redis-cli: {line}")
        command[command.index("-p") + 1] = str(port)
        outputs[line] = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    check(outputs["redis-cli -p 7379 set greeting hello ex 60"] == "OK", "set answers OK")
    check(outputs["redis-cli -p 7379 get greeting"] == "hello", "get answers hello")
    check("used_memory:" in outputs["redis-cli -p 7379 info memory"], "info memory shows the memory")
finally:
    server.send_signal(signal.SIGTERM)
    began = time.monotonic()
    code = server.wait(15)
check(code == 0, f"SIGTERM drains and exits 0 ({time.monotonic() - began:.1f} s)")
