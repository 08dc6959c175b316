#!/usr/bin/env python3
"""tools/bench, with a program that reports what the test wants: medians, ratios, gates, baselines, failures."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "tools/bench"
# Writes the report it was given to --benchmark_out, and its arguments beside it.
PROGRAM = """#!/usr/bin/env python3
import pathlib, sys
here = pathlib.Path(__file__).parent
out = next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--benchmark_out="))
pathlib.Path(out).write_text((here / "report.json").read_text())
(here / "arguments").write_text("\\n".join(sys.argv[1:]))
"""


def times(name, *cpu, unit="ns"):
    return [{"name": name, "run_name": name, "run_type": "iteration", "cpu_time": t, "time_unit": unit} for t in cpu]


class BenchTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        (self.dir / "program").write_text(PROGRAM)
        os.chmod(self.dir / "program", 0o755)
        self.addCleanup(self.folder.cleanup)

    def bench(self, benchmarks, *options):
        (self.dir / "report.json").write_text(json.dumps({"benchmarks": benchmarks}))
        done = subprocess.run([sys.executable, BENCH, "--program", self.dir / "program", *options], capture_output=True, text=True, check=False)
        self.output = done.stdout + done.stderr
        return done.returncode

    def save(self, *benchmarks):
        self.assertEqual(self.bench(sum(benchmarks, []), "--save", self.dir / "base.json", "--baseline", self.dir / "none"), 0, self.output)
        return json.loads((self.dir / "base.json").read_text())

    def test_stores_the_median_in_nanoseconds_and_the_machine(self):
        stored = self.save(times("a", 30, 10, 20), times("b", 2.5, unit="us"), times("c", 1, 4, unit="ms"))
        self.assertEqual({n: b["cpu_ns"] for n, b in stored["benchmarks"].items()}, {"a": 20, "b": 2500, "c": 2.5e6})
        self.assertTrue(stored["machine"]["cores"] >= 1 and stored["format"] == 1)

    def test_passes_over_aggregates(self):
        aggregate = [dict(times("a", 999)[0], run_type="aggregate")]
        self.assertEqual(self.save(times("a", 20) + aggregate)["benchmarks"]["a"]["cpu_ns"], 20)

    def test_prints_ratios_and_fails_only_when_told(self):
        self.save(times("a", 10), times("b", 10))
        slower = times("a", 16) + times("b", 5) + times("new", 1)
        base = ("--baseline", self.dir / "base.json")
        self.assertEqual(self.bench(slower, *base), 0)
        self.assertRegex(self.output, r"a +16\.0 ns +0% +10\.0 ns +1\.60\n")
        self.assertRegex(self.output, r"b +5\.0 ns +0% +10\.0 ns +0\.50\n")
        self.assertRegex(self.output, r"new +1\.0 ns +0% +- +-\n")
        self.assertEqual(self.bench(slower, *base, "--fail-above", "1.5"), 1)
        self.assertIn("1.60 times", self.output)
        self.assertEqual(self.bench(slower, *base, "--fail-above", "1.7"), 0)

    def test_says_when_the_baseline_is_of_another_machine(self):
        stored = self.save(times("a", 10))
        stored["machine"]["cpu"] = "another"
        (self.dir / "base.json").write_text(json.dumps(stored))
        self.bench(times("a", 10), "--baseline", self.dir / "base.json")
        self.assertIn("another machine", self.output)

    def test_saving_a_part_keeps_the_rest(self):
        self.save(times("a", 10), times("b", 10))
        self.assertEqual(self.bench(times("b", 7), "--save", self.dir / "base.json", "--filter", "b"), 0)
        stored = json.loads((self.dir / "base.json").read_text())["benchmarks"]
        self.assertEqual({n: b["cpu_ns"] for n, b in stored.items()}, {"a": 10, "b": 7})
        self.assertIn("--benchmark_filter=b", (self.dir / "arguments").read_text())

    def test_a_benchmark_that_fails_is_named(self):
        broken = [dict(times("a", 0)[0], error_occurred=True, error_message="no fill")]
        for options in ((), ("--smoke",)):
            self.assertEqual(self.bench(broken + times("b", 1), *options), 1)
            self.assertIn("FAILED: a: no fill", self.output)

    def test_refuses_what_makes_no_sense(self):
        self.assertEqual(self.bench([]), 2)
        self.assertEqual(self.bench(times("a", 1), "--filter", "("), 2)
        self.assertEqual(self.bench(times("a", 1), "--repetitions", "0"), 2)


if __name__ == "__main__":
    unittest.main()
