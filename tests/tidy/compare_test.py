#!/usr/bin/env python3
"""The arithmetic, tables and chart of tools/compare, and what its command line refuses. No server is started."""
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))
from compare import chart, churn, figures, hits, memory, policy, report, servers, speed, table, turns  # noqa: E402

STAMP = {"date": "2026-01-02", "commit": "abc", "load_average": 1.0, "quick": False, "priority": 0, "stopped": "", "seconds": 61, "versions": ["redis: 7"],
         "machine": {"cpu": "CPU <1>", "cores": 2, "is_virtual": True, "kernel": "6", "system": "Debian", "memory_bytes": 1 << 30, "huge_pages": "madvise", "congestion_control": "cubic"}}


def speed_rows(**cpu_of_server):
    """cpu_us of each round, for GET at depth 1 of 32 bytes."""
    return [{"value_bytes": 32, "operation": "GET", "depth": 1, "server": server, "round": number, "cpu_us": cpu, "generator_us": 1.0, "ops_per_s": 1e6 / cpu,
             "misses": 0, "load_average": 1.0} for server, rounds in cpu_of_server.items() for number, cpu in enumerate(rounds)]


def sections():
    return {
        "speed": {"stamp": STAMP, "rows": speed_rows(tidemark=[8, 10], redis=[12, 20])},
        "memory": {"stamp": STAMP, "rows": [{"value_bytes": 32, "server": s, "items": n, "rss_growth": n * (48 + o), "overhead": o}
                                            for s, n, o in (("tidemark", 100, 18.0), ("tidemark", 200, 19.5), ("redis", 100, 90.0))]},
        "churn": {"stamp": STAMP, "rows": [{"server": "tidemark", "operations": 100, "keys": 10, "seconds": 1, "samples": [
            {"operations": n, "live_items": 5, "live_bytes": live, "rss_bytes": rss} for n, live, rss in ((10, 0, 999), (50, 100, 900), (60, 100, 150), (110, 200, 240))]}]},
        "hits": {"stamp": STAMP, "rows": [{"trace": "shifting", "target": 64 << 20, "server": s, "limit": 1, "rss_bytes": r << 20, "requests": 10, "hits": 5,
                                           "hit_ratio": h, "byte_hit_ratio": h, "refused": refused}
                                          for s, r, h, refused in (("tidemark", 64, 0.5, 0), ("memcached", 70, 0.4, 3))]},
    }


class FiguresTest(unittest.TestCase):
    def test_the_median_of_an_even_number_lies_between(self):
        self.assertEqual([figures.median([3, 1, 2]), figures.median([4, 1]), figures.median([7])], [2, 2.5, 7])

    def test_ratios_are_of_the_same_round(self):
        self.assertEqual(figures.paired_ratios({0: 10, 1: 40, 3: 9}, {0: 5, 1: 10, 2: 1}), [2, 4])
        self.assertEqual(figures.paired_ratios({0: 10}, {0: 0}), [])

    def test_numbers_have_three_digits(self):
        values = [0, 0.01234, 0.5, 1.0, 9.999, 12.34, 99.95, 123.4, 123456.0]
        self.assertEqual([figures.significant(v) for v in values], ["0", "0.0123", "0.500", "1.00", "10.00", "12.3", "100.0", "123", "123,456"])
        self.assertEqual([figures.count(v) for v in (12, 45678, 1234567)], ["12.0", "45.7 k", "1.23 M"])
        self.assertEqual([figures.size(v) for v in (512, 4096, 64 << 20, 3 << 29)], ["512 B", "4 KiB", "64 MiB", "1.5 GiB"])
        self.assertEqual([figures.duration(v) for v in (5.4, 60, 95)], ["5 s", "1 min", "1 min 35 s"])

    def test_a_ratio_shows_its_range_only_if_it_has_one(self):
        self.assertEqual(figures.times([1.3, 1.1, 1.2]), "1.20x (1.10-1.30)")
        self.assertEqual([figures.times([2]), figures.times([]), figures.with_range([]), figures.with_range([5])], ["2.00x", "-", "-", "5.00"])

    def test_quantiles_of_a_histogram_are_upper_edges(self):
        buckets = [(1, 90), (2, 99), (4, 100), (float("inf"), 100)]
        self.assertEqual([figures.histogram_quantile(buckets, q) for q in (0.5, 0.9, 0.99, 0.999)], [1, 1, 2, 4])
        self.assertEqual(figures.histogram_max(buckets), 4)
        self.assertIsNone(figures.histogram_max([(1, 0), (2, 0)]))
        self.assertEqual(figures.histogram_difference(buckets, [(1, 90), (2, 95), (4, 95), (float("inf"), 95)]), [(1, 0), (2, 4), (4, 5), (float("inf"), 5)])

    def test_the_next_limit_is_in_proportion_at_first(self):
        self.assertEqual(figures.next_limit([(50 << 20, 80 << 20)], 64 << 20), 40 << 20)
        self.assertEqual(figures.next_limit([(1 << 20, 80 << 20)], 1 << 20), 1 << 20)

    def test_the_next_limit_lies_on_the_line_through_two_that_were_tried(self):
        self.assertEqual(figures.next_limit([(50 << 20, 80 << 20), (40 << 20, 70 << 20)], 64 << 20), 34 << 20)

    def test_a_line_that_makes_no_sense_is_not_followed(self):
        self.assertEqual(figures.next_limit([(50 << 20, 80 << 20), (40 << 20, 128 << 20)], 64 << 20), 40 << 20)
        self.assertEqual(figures.next_limit([(50 << 20, 80 << 20), (50 << 20, 81 << 20)], 64 << 20), 40 << 20)


class TableTest(unittest.TestCase):
    def test_writes_markdown(self):
        self.assertEqual(table.markdown_table(["a", "b"], [["x|y", 1], ["z", 22]]), "| a | b |\n|---|--:|\n| x\\|y | 1 |\n| z | 22 |\n")

    def test_refuses_a_row_of_another_length(self):
        with self.assertRaises(ValueError):
            table.markdown_table(["a", "b"], [["x"]])

    def test_replaces_only_what_is_between_the_marks(self):
        begin, end = table.marks("speed")
        page = f"before\n{begin}\nold\n{end}\nafter\n"
        once = table.replace_generated(page, "speed", "new\n")
        self.assertEqual(once, f"before\n{begin}\nnew\n{end}\nafter\n")
        self.assertEqual(table.replace_generated(once, "speed", "new"), once)
        with self.assertRaises(ValueError):
            table.replace_generated("no marks", "speed", "new")

    def test_the_page_of_the_documentation_has_marks_for_every_section(self):
        page = (ROOT / "docs/PERFORMANCE.md").read_text()
        for name in report.SECTIONS:
            self.assertIn("changed", table.replace_generated(page, name, "changed"))


class SectionsTest(unittest.TestCase):
    def test_speed_says_how_many_times_cheaper_we_are_round_by_round(self):
        result = sections()["speed"]
        self.assertEqual(speed.ratios(result, (32, "GET", 1), "tidemark", "redis"), [1.5, 2.0])
        text = speed.markdown(result)
        self.assertIn("| 32 B | GET | 1 | 9.00 (8.00-10.0) | 16.0 (12.0-20.0) | 1.75x (1.50-2.00) |", text)
        self.assertNotIn("1.6.18", text)

    def test_slow_gets_of_an_old_memcached_are_explained(self):
        result = dict(sections()["speed"], stamp=dict(STAMP, versions=["memcached: memcached 1.6.18"]))
        self.assertIn("say nothing about memcached as such", speed.markdown(result))

    def test_a_server_without_rounds_shows_dashes(self):
        rows = speed_rows(tidemark=[8], redis=[])
        rows += [dict(speed_rows(redis=[5])[0], depth=16)]
        text = speed.markdown({"rows": rows, "stamp": STAMP})
        self.assertIn("| 32 B | GET | 1 | 8.00 | - | - |", text)

    def test_memory_takes_the_worst_number_of_items(self):
        result = sections()["memory"]
        self.assertEqual(memory.worst(result)[32, "tidemark"]["items"], 200)
        self.assertIn("| 32 B | tidemark | 19.5 B | 40.6 % | 200 | 18.0 B |", memory.markdown(result))

    def test_churn_judges_the_second_half(self):
        row = sections()["churn"]["rows"][0]
        self.assertEqual([churn.waste(s) for s in churn.second_half(row)], [1.5, 1.2])
        self.assertIn("| 1.20 | 1.35 | 1.50 |", churn.markdown({"rows": [row]}))

    def test_churn_also_shows_who_stays_within_a_limit(self):
        limited = {"server": "tidemark", "limit": 100 << 20, "operations": 1, "empty_rss": 5 << 20, "highest_rss": 104 << 20, "last_rss": 90 << 20}
        text = churn.markdown({"rows": sections()["churn"]["rows"], "limit_rows": [limited]})
        self.assertIn("| tidemark | 100 MiB | 5 MiB | 104 MiB | 1.04 | 0.90 |", text)

    def test_hits_name_the_best_and_whose_memory_differs(self):
        text = hits.markdown(sections()["hits"])
        self.assertIn("| shifting | 64 MiB | **0.5000** | 0.4000 (RSS 70 MiB) |", text)
        self.assertIn("too large for: memcached", text)

    def test_a_limit_is_tried_until_the_memory_is_equal(self):
        asked = []

        def replayed(limit, number):
            asked.append(limit)
            return {"limit": limit, "rss_bytes": limit + (10 << 20), "hits": limit}

        best = hits.at_equal_rss(replayed, 85 << 20, 100 << 20)
        self.assertAlmostEqual(best["rss_bytes"], 100 << 20, delta=hits.TOLERANCE * (100 << 20))
        self.assertLessEqual(len(asked), 3)
        asked.clear()
        self.assertEqual(hits.at_equal_rss(lambda limit, number: asked.append(limit) or {"limit": limit, "rss_bytes": 1 << 20, "hits": 7}, 85 << 20, 100 << 20)["hits"], 7)
        self.assertEqual(len(asked), 2)

    def test_a_small_lead_is_replayed_and_a_median_counts(self):
        rows = [{"hit_ratio": h, "rss_bytes": r} for h, r in ((0.7046, 5), (0.7099, 7), (0.7069, 9))]
        self.assertTrue(hits.is_close(rows))
        self.assertFalse(hits.is_close([{"hit_ratio": 0.7}, {"hit_ratio": 0.6}]))
        self.assertFalse(hits.is_close([{"hit_ratio": 0.7}, {"hit_ratio": 0.7}]))
        self.assertFalse(hits.is_close([]) or hits.is_close([{"hit_ratio": 0.7}]))
        row = {**sections()["hits"]["rows"][0], **hits.median_of(rows), "rss_bytes": 64 << 20}
        self.assertEqual((row["hit_ratio"], row["replays"]), (0.7069, 3))
        text = hits.markdown({"rows": [row]})
        self.assertIn("| shifting | 64 MiB | **0.7069 (0.7046-0.7099)** |", text)
        self.assertIn("medians of 5 replays", text)

    def test_the_price_of_a_policy_is_a_median(self):
        names = [("eviction_hit/lru", 9.0, 0.25), ("eviction_hit/lru", 8.4, 0.25), ("eviction_hit/lru", 1.0, 0.25), ("eviction_replace/lru", 90.6, None),
                 ("eviction_nothing", 3.2, None)]
        report_ = [{"run_name": n, "run_type": "iteration", "cpu_time": t, **({} if b is None else {"bytes_per_item": b})} for n, t, b in names]
        rows = policy.rows_of({"benchmarks": [*report_, {"run_name": "eviction_hit/lru", "run_type": "aggregate", "cpu_time": 0.1}]})
        text = policy.markdown({"rows": rows})
        self.assertIn("| lru | 8 | 91 | 0.25 |", text)
        self.assertIn("takes 3 ns", text)

    def test_turns_count_what_is_longer_than_a_millisecond(self):
        edges = [2 ** i / 1e6 for i in range(9, 13)] + [float("inf")]
        buckets = list(zip(edges, [10, 17, 19, 20, 20]))
        self.assertEqual(turns.over_limit(buckets), 3)
        text = turns.markdown({"rows": [{"phase": "filling", "operations": 100, "buckets": buckets}]})
        self.assertIn("| filling | 20 | 5 | 512 µs | 4.1 ms | 4.1 ms | 4.1 ms | 4.1 ms | 3 |", text)
        self.assertIn("| <= 1.02 ms | 7 |", text)

    def test_reads_the_histogram_of_all_workers(self):
        text = "".join(f'tidemark_cache_loop_turn_seconds_bucket{{worker="{w}",le="{le}"}} {n}\n' for w in (0, 1) for le, n in (("1e-06", 1), ("+Inf", 3)))
        self.assertEqual(servers.parse_loop_turns(text), [(1e-06, 2), (float("inf"), 6)])
        with self.assertRaises(servers.Failure):
            servers.parse_loop_turns("nothing")

    def test_weighs_a_trace_by_the_largest_size_of_every_key(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes([1, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0]))
            file.flush()
            self.assertEqual(hits.weigh(pathlib.Path(file.name)), (261, 256))


class ReportTest(unittest.TestCase):
    def test_the_page_names_the_machine_and_what_is_incomplete(self):
        stopped = {name: dict(s, stamp=dict(STAMP, stopped="it was interrupted", quick=True, priority=-5)) for name, s in sections().items()}
        text = report.page(stopped)
        for part in ("## Speed", "## Memory per item", "CPU <1>, 2 cores (virtual machine)", "**incomplete**: it was interrupted", "with --quick", "at nice -5", "1 min 1 s"):
            self.assertIn(part, text)
        self.assertIn("Nothing was measured", report.page({"turns": {"stamp": STAMP, "rows": []}}))

    def test_the_page_names_servers_that_failed(self):
        failed = {}
        self.assertIsNone(servers.attempt(failed, "slow", lambda: servers.first_line(["/nowhere/slow"])))
        self.assertEqual(servers.attempt(failed, "fast", lambda: 7), 7)
        text = report.page({"speed": dict(sections()["speed"], **failed)})
        self.assertRegex(text, r"\| slow \| /nowhere/slow is missing")
        self.assertNotIn("| fast |", text)

    def test_docs_keep_the_sections_that_were_not_measured(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "docs").mkdir()
            (root / "docs/PERFORMANCE.md").write_text("".join("{}\nold {}\n{}\n".format(table.marks(n)[0], n, table.marks(n)[1]) for n in report.SECTIONS))
            measured = sections()
            report.write_docs(root, {"speed": measured["speed"]})
            report.write_docs(root, {"memory": measured["memory"], "hits": {"stamp": STAMP, "rows": []}})
            page = (root / "docs/PERFORMANCE.md").read_text()
            self.assertIn("1.75x", page)
            self.assertIn("19.5 B", page)
            self.assertIn("old hits", page)
            drawn = (root / "docs/performance.svg").read_text()
            self.assertIn("Operations per CPU second", drawn)
            self.assertIn("Overhead per item", drawn)


class ChartTest(unittest.TestCase):
    def parsed(self, drawn):
        return xml.etree.ElementTree.fromstring(drawn)

    def test_has_a_panel_for_each_section_and_a_bar_for_each_figure(self):
        root = self.parsed(chart.svg(sections(), "caption & more"))
        bars = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.find("{http://www.w3.org/2000/svg}title") is not None]
        self.assertEqual(len(bars), 2 + 2 + 2 + 1)
        self.assertEqual(len(chart.panels(sections())), 4)

    def test_bars_are_as_high_as_their_figures(self):
        root = self.parsed(chart.svg({"memory": sections()["memory"]}, ""))
        heights = {e.find("{http://www.w3.org/2000/svg}title").text: float(e.get("height")) for e in root.iter("{http://www.w3.org/2000/svg}rect")
                   if e.find("{http://www.w3.org/2000/svg}title") is not None}
        self.assertAlmostEqual(heights["tidemark: 19.5"] / heights["redis: 90.0"], 19.5 / 90, places=2)

    def test_everything_lies_within_the_picture(self):
        root = self.parsed(chart.svg(sections(), ""))
        height = float(root.get("height"))
        for element in root.iter("{http://www.w3.org/2000/svg}rect"):
            x, y = float(element.get("x", 0)), float(element.get("y", 0))
            self.assertTrue(0 <= x and x + float(element.get("width")) <= chart.WIDTH)
            self.assertTrue(0 <= y and y + float(element.get("height")) <= height + 0.1)

    def test_without_figures_it_says_so(self):
        self.assertIn("Nothing was measured", chart.svg({}, ""))

    def test_ticks_are_round(self):
        self.assertEqual(chart.ticks(3.7), [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5])
        self.assertEqual(chart.ticks(217), [0, 50, 100, 150, 200])


class CommandLineTest(unittest.TestCase):
    def compare(self, *arguments):
        done = subprocess.run([sys.executable, ROOT / "tools/compare", *arguments], capture_output=True, text=True, check=False)
        self.output = done.stdout + done.stderr
        return done.returncode

    def test_refuses_what_makes_no_sense(self):
        for arguments, words in ((["sped"], "no section 'sped'"), (["--rounds", "0"], "--rounds 0"), (["--seconds", "1000"], "--seconds"),
                                 (["--traces", "/nowhere"], "/nowhere"), (["--ttl-share", "2"], "--ttl-share"), (["--sizes", "32,32"], "each once"),
                                 (["--sizes", "x"], "sizes in bytes")):
            self.assertEqual(self.compare(*arguments), 2, arguments)
            self.assertIn(words, self.output)

    def test_says_what_is_missing(self):
        self.assertEqual(self.compare("--bin", "/nowhere"), 1)
        self.assertIn("run tools/build release", self.output)

    def test_peers_need_a_name_and_a_port(self):
        for text in ("valkey-server --port {port}", "valkey=valkey-server --port 1"):
            with self.assertRaises(servers.Failure):
                servers.peer(text)
        kind = servers.peer("valkey=valkey-server --port {port} --save '' --maxmemory {memory}")
        self.assertEqual(kind.command(servers.Place(5, 1 << 20, None, 0)), ["valkey-server", "--port", "5", "--save", "", "--maxmemory", "1048576"])
        self.assertTrue(kind.takes_memory)


if __name__ == "__main__":
    unittest.main()
