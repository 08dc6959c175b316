"""Servers beside each other: started on ports of their own, pinned to one CPU, measured from outside, ended by pid."""
import contextlib
import ctypes
import json
import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

START_SECONDS = 30
STOP_SECONDS = 20


class Failure(Exception):
    """What went wrong and what to do, for whoever runs the comparison."""


class Kind:
    """A server that takes part. `command(place)` gives the words to start it with."""

    def __init__(self, name, protocol, command, version, takes_memory=True, shuns_root=False):
        self.name, self.protocol, self.command, self.version, self.takes_memory = name, protocol, command, version, takes_memory
        self.user = "nobody" if shuns_root and os.geteuid() == 0 else None  # to run as; None: as we do


class Place:
    """What a command line needs to know."""

    def __init__(self, port, memory_bytes, directory, largest_value):
        self.port, self.memory_bytes, self.directory, self.largest_value = port, memory_bytes, directory, largest_value

    @property
    def memory_mb(self):
        return max(1, round(self.memory_bytes / (1 << 20)))


def tidemark(bin_dir, policy=None):
    """The only member of a cluster, so that it looks at the slot of every key, as in production."""
    program = bin_dir / "tidemark-cache"

    def command(place):
        topology = f"file:{place.directory / 'topology'}"
        (place.directory / "topology").mkdir()
        made = subprocess.run([bin_dir / "tidemarkctl", "init", "--topology", topology, "--nodes", "a@127.0.0.1/1"], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise Failure(f"tidemarkctl init: {(made.stderr or made.stdout).strip()[-500:]}")
        words = [program, "--topology", topology, "--node", "a", "--port", place.port, "--threads", 1, "--memory", place.memory_bytes, "--metrics-port", 0,
                 "--ready-file", place.directory / "ready", "--log-level", "warn"]
        return words + (["--policy", policy] if policy else [])

    return Kind("tidemark" + (f" {policy}" if policy else ""), "resp", command, first_line([program, "--version"]))


def redis(policy="allkeys-lru", name="redis"):
    def command(place):
        return ["redis-server", "--bind", "127.0.0.1", "--port", place.port, "--save", "", "--appendonly", "no", "--daemonize", "no",
                "--dir", place.directory, "--maxmemory", place.memory_bytes, "--maxmemory-policy", policy, "--loglevel", "warning"]

    found = re.search(r"v=([\d.]+)", first_line(["redis-server", "--version"]))
    return Kind(name, "resp", command, "redis-server " + (found.group(1) if found else "?"))


def memcached():
    def command(place):
        words = ["memcached", "-l", "127.0.0.1", "-p", place.port, "-U", 0, "-t", 1, "-m", place.memory_mb, "-c", 2048]
        if place.largest_value > (1 << 20) - 4096:  # its default limit of an item is 1 MiB
            words += ["-I", f"{place.largest_value // (1 << 20) + 1}m"]
        return words

    return Kind("memcached", "memcached", command, first_line(["memcached", "--version"]), shuns_root=True)


def peer(text):
    """NAME=COMMAND with {port} and, if it can be told its limit, {memory} (bytes) or {memory_mb}."""
    name, _, command = text.partition("=")
    if not name or "{port}" not in command:
        raise Failure(f"--peer {text!r}: give NAME=COMMAND with {{port}} in the command")

    def words(place):
        return [word.replace("{port}", str(place.port)).replace("{memory}", str(place.memory_bytes)).replace("{memory_mb}", str(place.memory_mb))
                for word in shlex.split(command)]

    return Kind(name, "resp", words, pathlib.Path(shlex.split(command)[0]).name, takes_memory="{memory" in command)


def first_line(words):
    if not shutil.which(words[0]):
        raise Failure(f"{words[0]} is missing: tools/install-packages installs what is compared, tools/build release builds our programs")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0]


class Server:
    """Use as `with Server(kind, ...) as server`."""

    def __init__(self, kind, cpu, memory_bytes, largest_value=0, priority=0):
        self.kind, self.cpu, self.priority = kind, cpu, priority
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-compare-"))
        self.port = free_port()
        self.place = Place(self.port, int(memory_bytes), self.directory, largest_value)
        self.process = None

    def __enter__(self):
        log = open(self.directory / "log", "wb")
        try:
            self.process = subprocess.Popen([str(word) for word in self.kind.command(self.place)], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=lambda: settle(self.cpu, self.priority, self.kind.user))
            self.wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        finally:
            log.close()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def name(self):
        return self.kind.name

    @property
    def pid(self):
        return self.process.pid

    def wait_until_it_answers(self):
        end = time.monotonic() + START_SECONDS
        question = b"version\r\n" if self.kind.protocol == "memcached" else b"*1\r\n$4\r\nPING\r\n"
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended at once with {self.process.returncode}: {self.last_words()}")
            with contextlib.suppress(OSError):
                if self.ask(question, 2):
                    return
            time.sleep(0.05)
        raise Failure(f"{self.name} did not answer within {START_SECONDS} s: {self.last_words()}")

    def ask(self, question, seconds=60):
        """The first piece of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(question)
            return connection.recv(4096)

    def last_words(self):
        return (self.directory / "log").read_text(errors="replace").strip()[-500:] or "it said nothing"

    def rss_bytes(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def settled_rss_bytes(self, seconds=3.0):
        """Once it has stopped changing (by more than 0.2 %), or at the latest after so long: tables grow on after the last command."""
        end = time.monotonic() + seconds
        last = self.rss_bytes()
        while time.monotonic() < end:
            time.sleep(0.25)
            now = self.rss_bytes()
            if abs(now - last) <= last // 500:
                return now
            last = now
        return last

    def loop_turns(self):
        """Cumulative buckets [(seconds, count)] of the thread CPU time of a turn of tidemark's loop, over all workers."""
        port = json.loads((self.directory / "ready").read_text(encoding="utf-8"))["metrics_port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            return parse_loop_turns(answer.read().decode())


def parse_loop_turns(metrics):
    totals = {}
    for edge, value in re.findall(r'^tidemark_cache_loop_turn_seconds_bucket\{.*le="([^"]+)"\} (\S+)$', metrics, re.M):
        totals[float(edge)] = totals.get(float(edge), 0) + int(float(value))
    if not totals:
        raise Failure("the node's /metrics has no loop_turn_seconds histogram")
    return sorted(totals.items())


def attempt(result, name, work):
    """What work() gives; None if the server failed: that is noted in result["failures"], and the others go on."""
    try:
        return work()
    except (Failure, OSError, subprocess.SubprocessError, ValueError, KeyError) as failure:
        result.setdefault("failures", []).append({"server": name, "why": str(failure) or repr(failure)})
        return None


@contextlib.contextmanager
def all_of(result, kinds, cpu, memory_bytes, largest_value=0, priority=0):
    """Those that start."""
    with contextlib.ExitStack() as stack:
        started = [attempt(result, kind.name, lambda kind=kind: stack.enter_context(Server(kind, cpu, memory_bytes, largest_value, priority))) for kind in kinds]
        yield [server for server in started if server]


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def settle(cpu, priority, user=None):
    """In the child: its CPU, its priority, its user; and it ends when we are killed."""
    os.sched_setaffinity(0, {cpu})
    if priority:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, priority)
    if user:
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # last: a change of user takes it back


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
