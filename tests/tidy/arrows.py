#!/usr/bin/env python3
"""The arrows of the house, checked over the #includes.

usage: arrows.py [--root DIR]     exit 0: clean; 1: every broken rule on a line of its own

Rules: a folder includes only the folders its row allows; a core (anything outside io/, testing/ and main.cpp of a library
folder) includes no I/O header, reads no clock and starts no thread; inside a folder, io/ may include cores, never the
reverse; folders within a folder form no cycle.
"""
import argparse
import pathlib
import re
import sys

ALLOWED = {
    "base": {"base"},
    "replication": {"base", "replication"},
    "cacheserver": {"base", "replication", "cacheserver"},
    "shardrouter": {"base", "shardrouter"},
    "client": {"base", "shardrouter", "client"},
    "services": {"base", "shardrouter", "client", "services"},
    "tools": {"base", "replication", "cacheserver", "shardrouter", "client", "services", "tools"},
    "bench": {"base", "replication", "cacheserver", "shardrouter", "client", "services", "tools", "bench"},
    "tests": {"base", "replication", "cacheserver", "shardrouter", "client", "services", "tools", "bench", "tests"},
}
CORE_FOLDERS = {"base", "replication", "cacheserver", "shardrouter", "client"}
IO_HEADERS = re.compile(
    r'^(boost/asio|boost/beast|libpq|libpq-fe\.h|pqxx|grpc|grpcpp|rocksdb|spdlog|prometheus|CLI/|openssl|sys/(?!types)|netinet|arpa|'
    r'unistd\.h|fcntl\.h|poll\.h|signal\.h|csignal|thread$|mutex$|shared_mutex$|condition_variable$|future$|filesystem$|fstream$|iostream$)')
# client/*.h is the public face: Asio's completion tokens, futures for the blocking twins, the pool that it is given.
CLIENT_FACE = re.compile(
    r'^boost/asio/(async_result|any_completion_handler|any_completion_executor|any_io_executor|associated_executor|append|'
    r'bind_executor|dispatch|executor_work_guard|post|use_future)\.hpp$|^future$|^shardrouter/io/shard_pool\.h$')
CLOCK = re.compile(r'\b(system_clock|steady_clock|high_resolution_clock)::now\b|\bstd::this_thread\b|\bstd::random_device\b|\b(::)?time\(nullptr\)')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Memory is neither a file nor a clock: one file of the cache server asks the system for pages.
PAGES = re.compile(r'^sys/mman\.h$')
PAGES_FILE = "cacheserver/memory/pages.cpp"
SHELLS = {"testing", "example", "grpc"}  # for users' tests, a user's program, and services over gRPC
SERVERS_WITHOUT_GRPC = {"base", "replication", "cacheserver", "shardrouter"}


def is_core(path):
    parts = path.parts
    return parts[0] in CORE_FOLDERS and "io" not in parts[1:-1] and not SHELLS & set(parts[1:-1]) and path.name != "main.cpp"


def is_client_face(path, name):
    return path.parts[0] == "client" and len(path.parts) == 2 and path.suffix == ".h" and CLIENT_FACE.match(name)


def strip_comments(text):
    text = re.sub(r'/\*.*?\*/', lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r'//[^\n]*', "", text)


def find_cycle(edges):
    state = {}

    def visit(node, trail):
        state[node] = "open"
        for to in sorted(edges.get(node, ())):
            if state.get(to) == "open":
                return trail[trail.index(to):] + [to]
            if to not in state:
                cycle = visit(to, trail + [to])
                if cycle:
                    return cycle
        state[node] = "closed"
        return None

    for start in sorted(edges):
        if start not in state:
            cycle = visit(start, [start])
            if cycle:
                return cycle
    return None


def check_file(root, source, folder_edges):
    path = source.relative_to(root)
    top = path.parts[0]
    text = source.read_text(encoding="utf-8", errors="replace")
    if source.suffix == ".h":
        if not text.startswith("//"):
            yield f"{path}: a header opens with a comment that says what it is"
        if "#pragma once" not in text:
            yield f"{path}: no #pragma once"
    for number, line in enumerate(strip_comments(text).split("\n"), 1):
        where = f"{path}:{number}"
        if is_core(path) and CLOCK.search(line):
            yield f"{where}: a core reads a clock, a thread or a random device: {line.strip()}"
        match = INCLUDE.match(line)
        if not match:
            continue
        style, name = match.groups()
        target = name.split("/")[0]
        if top in SERVERS_WITHOUT_GRPC and name.startswith(("grpcpp/", "grpc/")):
            yield f"{where}: no server links gRPC without need ({name})"
        if target in ALLOWED and style == '"':
            if target not in ALLOWED[top]:
                yield f"{where}: {top}/ may not include {target}/ ({name})"
            if is_core(path) and "/io/" in name and not is_client_face(path, name):
                yield f"{where}: a core includes an io/ header ({name})"
            if not name.endswith(".pb.h") and not (root / name).exists():
                yield f"{where}: includes a file that does not exist ({name})"
            if top in CORE_FOLDERS and target == top and is_core(path) and len(path.parts) > 2 and len(name.split("/")) > 2:
                here, there = path.parts[1], name.split("/")[1]
                if here != there:
                    folder_edges.setdefault(top, {}).setdefault(here, set()).add(there)
        elif is_core(path) and IO_HEADERS.match(name):
            is_pages = str(path) == PAGES_FILE and PAGES.match(name)
            if not is_client_face(path, name) and not is_pages:
                yield f"{where}: a core includes an I/O header ({name})"


def check(root):
    findings = []
    folder_edges = {}
    for top in ALLOWED:
        for source in sorted((root / top).rglob("*")):
            if source.suffix in (".h", ".cpp"):
                findings.extend(check_file(root, source, folder_edges))
    for top, edges in folder_edges.items():
        cycle = find_cycle(edges)
        if cycle:
            findings.append(f"{top}/: the folders form a cycle: {' -> '.join(cycle)}")
    return findings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    findings = check(parser.parse_args().root)
    print("\n".join(findings) if findings else "arrows: clean")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
