#!/usr/bin/python3
"""Takes each guard out, one at a time, and demands that its test then fails.

A guard is a place that keeps something from going wrong while buckets move, shards fail over or routers are behind. The
lists (*.toml beside this file) say for each: what it is for, its file, the text that is taken out, and the test that must
notice. A list that no longer fits its file fails loudly.

  guards.py --check            the lists only: every text is there once, every test exists, README.md is current
  guards.py --table            writes README.md from the lists
  guards.py [NAME…]            runs them all, or those whose names begin so; exit code 1: some guard's test passed without it
  guards.py --only sql,unit    kinds: sql (functions of the shard, one small Postgres), unit (recompiles one file),
                               e2e (recompiles one file, whole processes: minutes)

Nothing in the source tree is changed: SQL is changed in databases made for one test, C++ in copies under build/guards,
linked beside the objects of the release build (`tools/build release` first).
"""
import argparse
import concurrent.futures
import inspect
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
sys.dont_write_bytecode = True
TEST_SECONDS = 300  # one test, without its guard: some then wait for what never comes


class Guard:
    FIELDS = {"name", "says", "file", "within", "find", "replace", "test", "also", "group", "relink"}

    def __init__(self, given, where):
        unknown = set(given) - self.FIELDS
        missing = {"name", "says", "file", "find", "test", "group"} - set(given)
        if unknown or missing:
            sys.exit(f"{where}: {given.get('name', '?')}: unknown {sorted(unknown)}, missing {sorted(missing)}")
        self.name, self.says, self.file, self.group = given["name"], given["says"], given["file"], given["group"]
        self.within, self.find, self.replace = given.get("within", ""), given["find"], given.get("replace", "")
        self.program, self.test = given["test"].split(":", 1)
        self.also = given.get("also", [])
        self.kind = "sql" if self.program == "sql" else "unit" if self.program.startswith("unit_") else "e2e"
        self.relink = given.get("relink") or ([self.program] if self.kind == "unit" else ["tidemark-shards", "tidemark-shards-killable"])

    def mutated(self):
        """The file's text without the guard."""
        text = (ROOT / self.file).read_text()
        start = 0
        if self.within:
            start = text.find(self.within)
            if start < 0:
                raise LookupError(f"{self.name}: {self.file} has no {self.within!r}")
        at = text.find(self.find, start)
        if at < 0:
            raise LookupError(f"{self.name}: {self.file} has no {self.find!r}")
        if not self.within and text.find(self.find, at + 1) >= 0:
            raise LookupError(f"{self.name}: {self.file} has {self.find!r} more than once: say `within`")
        changed = text[:at] + self.replace + text[at + len(self.find):]
        if changed == text:
            raise LookupError(f"{self.name}: nothing is taken out")
        return changed


def load():
    guards = []
    for path in sorted(HERE.glob("*.toml")):
        guards += [Guard(given, path.name) for given in tomllib.loads(path.read_text())["guard"]]
    names = [guard.name for guard in guards]
    if doubled := {name for name in names if names.count(name) > 1}:
        sys.exit(f"two guards of one name: {sorted(doubled)}")
    return guards


# --------------------------------------------------------------------------------------------------------------- check
def known_tests():
    tests = set()
    for path in ROOT.glob("tests/**/*.cpp"):
        for suite, name in re.findall(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text()):
            tests.add(f"{suite}.{name}")
    return tests


def faults_of_lists(guards):
    import sql_tests

    tests = known_tests()
    for guard in guards:
        try:
            guard.mutated()
        except (LookupError, OSError) as error:
            yield str(error)
        named = [(guard.program, guard.test)] + [tuple(one.split(":", 1)) for one in guard.also]
        for program, test in named:
            known = test in sql_tests.TESTS if program == "sql" else test in tests
            if not known:
                yield f"{guard.name}: there is no test {program}:{test}"
    unused = set(sql_tests.TESTS) - {guard.test for guard in guards if guard.kind == "sql"}
    for test in sorted(unused):
        yield f"sql_tests.py: no guard names {test}"
    readme = HERE / "README.md"
    if not readme.exists() or readme.read_text() != table(guards):
        yield "tests/guards/README.md is not what the lists say: run tests/guards/guards.py --table"


def table(guards):
    groups = {}
    for guard in guards:
        groups.setdefault(guard.group, []).append(guard)
    lines = ["# Guards, and the tests that notice when one is gone", "",
             "Written by `tests/guards/guards.py --table` from the lists beside it. `tests/guards/guards.py` takes each out and demands that its test",
             f"fails. {len(guards)} guards: " + ", ".join(f"{sum(g.kind == kind for g in guards)} {kind}" for kind in ("sql", "unit", "e2e")) +
             " (sql: functions of a shard, in `sql_tests.py`; unit: a core; e2e: whole processes).", ""]
    for name, members in groups.items():
        lines += [f"## {name}", "", "| guard | keeps | where | test |", "|---|---|---|---|"]
        for guard in members:
            tests = [f"`{guard.program}` {guard.test}"] + ["`{}` {}".format(*one.split(":", 1)) for one in guard.also]
            lines.append(f"| {guard.name} | {guard.says} | `{guard.file}` | {'<br>'.join(tests)} |")
        lines.append("")
    return "\n".join(lines)


# ----------------------------------------------------------------------------------------------------------------- SQL
class SqlRunner:
    """One Postgres; each test gets two fresh copies of two prepared databases."""

    SCHEMA = ("shardrouter/sql/schema/shard.sql", "shardrouter/sql/schema/move.sql")
    ROWS = """
      CREATE TABLE public.item (bucket int NOT NULL, id int NOT NULL, value int NOT NULL, PRIMARY KEY (bucket, id));
      SELECT shard.protect_table('public.item');
      INSERT INTO shard.bucket SELECT b, '{state}', 1, NULL, {forward} FROM generate_series(0, 15) b;
      INSERT INTO tidemark.epoch (e, timeline, postmaster_start, checkpointer_start)
      VALUES (1, tidemark.current_timeline(), pg_postmaster_start_time(), tidemark.checkpointer_start());"""

    def __init__(self, binaries):
        import psycopg2

        from harness import Cluster
        self.psycopg2 = psycopg2
        self.cluster = Cluster(binaries, "--shards", 1, "--replicas", 0, "--nodes", 0, "--no-invalidator")
        self.info = self.cluster.state()["s0-primary"]["conninfo"].split(" dbname=")[0]
        self.admin = self.open("postgres")
        self.count = 0
        for side, state, forward in (("source", "owned", "NULL"), ("target", "moved", "'0'")):
            self.execute(self.admin, f"CREATE DATABASE guards_{side}")
            session = self.open(f"guards_{side}")
            for file in self.SCHEMA:
                self.execute(session, (ROOT / file).read_text())
            self.execute(session, self.ROWS.format(state=state, forward=forward))
            session.close()

    def open(self, database):
        session = self.psycopg2.connect(f"{self.info} dbname={database} user=postgres")
        session.autocommit = True
        return session

    @staticmethod
    def execute(session, sql):
        with session.cursor() as cursor:
            cursor.execute(sql)

    def run(self, name, mutant=None):
        """None: the test passed; else why it failed."""
        import sql_tests

        self.count += 1
        sessions = []
        databases = {side: f"t{self.count}_{side}" for side in ("source", "target")}

        def connect(side):
            sessions.append(self.open(databases[side]))
            return sessions[-1]

        for side, database in databases.items():
            self.execute(self.admin, f"CREATE DATABASE {database} TEMPLATE guards_{side}")
            if mutant:
                session = self.open(database)
                self.execute(session, mutant.mutated())
                session.close()
        try:
            sql_tests.TESTS[name](sql_tests.Pair(connect))
            return None
        except AssertionError as error:
            return f"{error}" or "an assertion"
        except self.psycopg2.Error as error:
            return f"{type(error).__name__} {error.pgcode}: {error}"
        finally:
            for session in sessions:
                session.close()
            for database in databases.values():
                self.execute(self.admin, f"DROP DATABASE {database} WITH (FORCE)")

    def close(self):
        self.admin.close()
        self.cluster.close()


# ----------------------------------------------------------------------------------------------------------------- C++
class CppRunner:
    def __init__(self, build):
        self.build = build
        self.bin = build / "bin"
        self.work = ROOT / "build/guards"
        compile_commands = build / "compile_commands.json"
        if not compile_commands.exists():
            sys.exit(f"{compile_commands} is not there: tools/build release first")
        self.compile = {}
        for entry in json.loads(compile_commands.read_text()):
            self.compile.setdefault(os.path.relpath(entry["file"], ROOT), []).append(entry)
        self.passed = {}

    def compile_mutant(self, guard, directory):
        """The changed file compiled once for each set of definitions that it is compiled with; {original object: new object}."""
        source = directory / pathlib.Path(guard.file).name
        source.write_text(guard.mutated())
        objects = {}
        for number, entry in enumerate(self.compile.get(guard.file, [])):
            words = shlex.split(entry["command"])
            words = [word for word in words if word not in ("-Werror", "-O2", "-g1", "ccache") and not word.endswith("/ccache")]
            at = words.index("-o")
            original = os.path.relpath(pathlib.Path(entry["directory"]) / words[at + 1], self.build)
            words[at + 1] = str(directory / f"{number}.o")
            words[words.index("-c") + 1] = str(source)
            done = subprocess.run([*words, "-O1", "-w"], cwd=entry["directory"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"does not compile without the guard:\n{done.stderr[-2000:]}")
            objects[original] = words[at + 1]
        if not objects:
            raise RuntimeError(f"{guard.file} is compiled by nobody")
        return objects

    def link(self, program, objects, output):
        done = subprocess.run(["ninja", "-C", str(self.build), "-t", "commands", "-s", f"bin/{program}"], capture_output=True, text=True, check=True)
        command = next(line for line in reversed(done.stdout.splitlines()) if f" -o bin/{program} " in line)
        # Only the linking: what follows it asks the program for its tests.
        command = command.removeprefix(": && ").split(" && ")[0]
        words = command.split()
        words[words.index("-o") + 1] = str(output)
        if not any(original in words for original in objects):
            # It comes from a library: the linker takes the first definition it sees.
            library = next(new for original, new in objects.items() if "tests/" not in original)
            words.insert(next(i for i, word in enumerate(words) if word.endswith(".o")), library)
        words = [objects.get(word, word) for word in words]
        done = subprocess.run(words, cwd=self.build, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"does not link without the guard:\n{done.stderr[-2000:]}")

    def run_test(self, program, test, limit):
        command = [str(program), f"--gtest_filter={test}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, errors="replace")
        except subprocess.TimeoutExpired:
            return f"it did not end within {limit} s"
        if "[==========] Running 1 test" not in done.stdout:
            raise RuntimeError(f"{test} did not run: {done.stdout[-500:]}{done.stderr[-500:]}")
        if done.returncode == 0:
            return None
        # (Without the address of the line: what was seen.)
        said = re.findall(r"^.*: Failure\n(.*(?:\n.*){0,3})", done.stdout, re.M)
        return " ".join(said[0].split())[:160] if said else f"exit code {done.returncode}"

    def passes(self, guard):
        key = (guard.program, guard.test)
        if key not in self.passed:
            self.passed[key] = self.run_test(self.bin / guard.program, guard.test, TEST_SECONDS)
        return self.passed[key]

    def run(self, guard):
        directory = self.work / guard.name
        shutil.rmtree(directory, ignore_errors=True)
        binaries = directory / "bin"
        binaries.mkdir(parents=True)
        objects = self.compile_mutant(guard, directory)
        for program in guard.relink:
            self.link(program, objects, binaries / program)
        if guard.kind == "e2e":
            for path in self.bin.iterdir():  # the programs find each other beside themselves
                if path.is_file() and not (binaries / path.name).exists():
                    os.link(path, binaries / path.name)
        try:
            return self.run_test(binaries / guard.program, guard.test, TEST_SECONDS)
        finally:
            shutil.rmtree(binaries, ignore_errors=True)


# ---------------------------------------------------------------------------------------------------------------- run
def tell(guard, seconds, why):
    verdict = "SURVIVES" if why is None else "noticed "
    print(f"{verdict} {seconds:5.1f} s  {guard.name}: {guard.test}" + (f"\n                   {' '.join(why.split())[:150]}" if why else ""), flush=True)


def run_one(guard, passes, run):
    began = time.monotonic()
    try:
        without = passes(guard)
        if without is not None:
            return guard, time.monotonic() - began, "broken", f"its test fails with the guard in place: {without}"
        why = run(guard)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return guard, time.monotonic() - began, "broken", str(error)
    return guard, time.monotonic() - began, "survives" if why is None else "noticed", why


def run_all(guards, build, jobs):
    outcomes = []

    def note(outcome):
        guard, seconds, verdict, why = outcome
        outcomes.append(outcome)
        if verdict == "broken":
            print(f"BROKEN   {seconds:5.1f} s  {guard.name}: {why}", flush=True)
        else:
            tell(guard, seconds, why)

    if sql := [guard for guard in guards if guard.kind == "sql"]:
        runner = SqlRunner(build / "bin")
        passed = {}

        def passes(guard):
            if guard.test not in passed:
                passed[guard.test] = runner.run(guard.test)
            return passed[guard.test]

        for guard in sql:
            note(run_one(guard, passes, lambda one: runner.run(one.test, one)))
        runner.close()
    cpp = None
    for kind, workers in (("unit", jobs), ("e2e", 1)):
        chosen = [guard for guard in guards if guard.kind == kind]
        if not chosen:
            continue
        cpp = cpp or CppRunner(build)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for done in concurrent.futures.as_completed([pool.submit(run_one, guard, cpp.passes, cpp.run) for guard in chosen]):
                note(done.result())
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--only", default="sql,unit,e2e")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="of the release build")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    guards = load()
    if args.table:
        (HERE / "README.md").write_text(table(guards))
    faults = list(faults_of_lists(guards))
    if faults:
        sys.exit("\n".join(faults))
    if args.check or args.table:
        print(f"{len(guards)} guards: every text is there, every test exists")
        return
    kinds = args.only.split(",")
    if unknown := set(kinds) - {"sql", "unit", "e2e"}:
        sys.exit(f"--only {','.join(sorted(unknown))}: kinds are sql, unit and e2e")
    chosen = [guard for guard in guards if guard.kind in kinds and (not args.names or any(guard.name.startswith(name) for name in args.names))]
    if not chosen:
        sys.exit(f"no guard is called {' '.join(args.names)}")
    began = time.monotonic()
    outcomes = run_all(chosen, args.bin.resolve().parent, args.jobs)
    bad = [(guard, verdict) for guard, _, verdict, _ in outcomes if verdict != "noticed"]
    print(f"{len(outcomes)} guards taken out one by one in {time.monotonic() - began:.0f} s: {len(outcomes) - len(bad)} noticed"
          + "".join(f"\n{verdict}: {guard.name} ({guard.file}; {guard.test})" for guard, verdict in bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
