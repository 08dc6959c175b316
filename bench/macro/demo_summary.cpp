#include "bench/macro/demo_summary.h"

#include <fmt/format.h>

#include <numeric>

namespace tidemark::bench {
namespace {

uint64_t total(const std::map<std::string, uint64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0},
                         [](uint64_t sum, const auto& kind) { return sum + kind.second; });
}

std::string list(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [kind, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kind, count);
  return text.empty() ? "none" : text;
}

void line(std::string& table, std::string_view name, std::string_view value) {
  table += fmt::format("  {:<36} {}\n", name, value);
}

// Of "0/primary", "0/replica", "1/primary"…: "0", "1".
std::vector<std::string> shards_of(const std::map<std::string, uint64_t>& reads) {
  std::vector<std::string> shards;
  for (const auto& [server, count] : reads) {
    std::string shard = server.substr(0, server.find('/'));
    if (shards.empty() || shards.back() != shard) shards.push_back(std::move(shard));
  }
  return shards;
}

uint64_t count_of(const std::map<std::string, uint64_t>& reads, const std::string& server) {
  const auto found = reads.find(server);
  return found == reads.end() ? 0 : found->second;
}

// Of the servers whose name begins so.
double replica_share(const std::map<std::string, uint64_t>& reads, std::string_view prefix) {
  uint64_t sum = 0, by_replica = 0;
  for (const auto& [server, count] : reads) {
    if (!server.starts_with(prefix)) continue;
    sum += count;
    if (server.ends_with("/replica")) by_replica += count;
  }
  return sum == 0 ? 0 : static_cast<double>(by_replica) / static_cast<double>(sum);
}

template <typename Number>
Number number_of(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() || !found->is_number() ? Number{} : found->get<Number>();
}

nlohmann::json latency_of(const nlohmann::json& shop) {
  const auto found = shop.find("latency_ms");
  return found == shop.end() ? nlohmann::json::object() : *found;
}

}  // namespace

std::vector<std::string> DemoSummary::violations() const {
  std::vector<std::string> found;
  const auto expect_none = [&](uint64_t count, std::string_view what) {
    if (count > 0) found.push_back(fmt::format("{} {}", count, what));
  };
  expect_none(tally.count(Verdict::kStale), "answers were older than the bound they carried");
  expect_none(tally.count(Verdict::kPhantom), "answers carried a version that never committed");
  expect_none(tally.count(Verdict::kWrongContent), "answers carried other columns than their version has");
  expect_none(tally.count(Verdict::kFromTheFuture), "answers carried a version that committed after them");
  expect_none(tally.count(Verdict::kBoundMissing), "answers of the cache or a replica carried no bound");
  expect_none(lost, "acknowledged writes are not in the commit order: they were lost");
  expect_none(total(errors_outside_window), "requests failed outside the fault window");
  expect_none(errors_other_slots, "requests failed inside the fault window on slots of healthy nodes");
  expect_none(number_of<uint64_t>(shop, "answers_dropped"), "answers could not be logged and were not checked");
  expect_none(number_of<uint64_t>(shop, "events_dropped"), "customers' calls could not be logged and were not checked");
  expect_none(misplaced_rows, "rows were committed on a shard that does not own their bucket");
  if (shop_figures) {
    const auto more = shop_figures->violations();
    found.insert(found.end(), more.begin(), more.end());
  }
  if (tally.checked == 0) found.emplace_back("no answer was checked");
  return found;
}

nlohmann::json DemoSummary::to_json() const {
  nlohmann::json latency = nlohmann::json::object();
  const nlohmann::json shop_latency = latency_of(shop);
  for (const auto& [origin, figures] : shop_latency.items()) latency[origin] = figures;
  nlohmann::json document = {
      {"requests", number_of<uint64_t>(shop, "requests")},
      {"hit_ratio", number_of<double>(shop, "hit_ratio")},
      {"hit_ratio_cold", number_of<double>(shop, "hit_ratio_cold")},
      {"latency_ms", latency},
      {"db_reads", db_reads},
      {"db_reads_bypass", db_reads_bypass},
      {"invalidation_lag_ms",
       {{"p50", lag.p50_ms}, {"p99", lag.p99_ms}, {"n", lag.count}, {"n_replayed", lag.replayed_count}}},
      {"answers_checked", tally.checked},
      {"stale_beyond_bound", tally.count(Verdict::kStale)},
      {"errors_in_window", errors_in_window},
      {"errors_outside_window", total(errors_outside_window)},
      {"errors_outside_window_by_kind", errors_outside_window},
      {"errors_other_slots", errors_other_slots},
      {"errors_warmup", errors_warmup},
      {"seed", seed},
      {"phantom", tally.count(Verdict::kPhantom)},
      {"wrong_content", tally.count(Verdict::kWrongContent)},
      {"from_the_future", tally.count(Verdict::kFromTheFuture)},
      {"bound_missing", tally.count(Verdict::kBoundMissing)},
      {"stale_by_commit_stamp", tally.stale_by_stamp},
      {"late_by_ms_max", static_cast<double>(tally.late_by_us_max) / 1000},
      {"lost", lost},
      {"writes_acknowledged", acknowledged},
      {"commits", commits},
      {"examples", tally.examples},
      {"lost_examples", lost_examples},
      {"violations", violations()},
      {"reads_by_server", reads_by_server},
      {"reads_by_replicas_share", replica_share(reads_by_server, "")},
      {"misplaced_rows", misplaced_rows},
      {"shop", shop},
      {"details", details}};
  if (shop_figures) shop_figures->add_to(document);
  return document;
}

std::string DemoSummary::to_table() const {
  std::string table;
  line(table, "requests",
       fmt::format("{} at {:.0f}/s", number_of<uint64_t>(shop, "requests"), number_of<double>(shop, "rate")));
  line(table, "hit ratio, warm / cold",
       fmt::format("{:.1f} % / {:.1f} %", 100 * number_of<double>(shop, "hit_ratio"),
                   100 * number_of<double>(shop, "hit_ratio_cold")));
  table += database_lines() + freshness_lines();
  if (shop_figures)
    for (const auto& [name, value] : shop_figures->lines()) line(table, name, value);
  table += error_lines();
  line(table, "seed", fmt::format("{}", seed));
  const auto wrong = violations();
  for (const std::string& violation : wrong) table += fmt::format("  FAILED: {}\n", violation);
  for (const std::string& example : tally.examples) table += fmt::format("    {}\n", example);
  for (const std::string& example : lost_examples) table += fmt::format("    lost: {}\n", example);
  if (shop_figures)
    for (const std::string& example : shop_figures->examples()) table += fmt::format("    {}\n", example);
  return table;
}

std::string DemoSummary::database_lines() const {
  std::string table;
  const nlohmann::json shop_latency = latency_of(shop);
  for (const auto& [origin, figures] : shop_latency.items()) {
    line(table, fmt::format("latency from {}, p50 / p99", origin),
         fmt::format("{:.2f} / {:.2f} ms  (n {})", figures["p50"].get<double>(), figures["p99"].get<double>(),
                     figures["n"].get<uint64_t>()));
  }
  line(table, "database reads, with / without cache",
       fmt::format("{} / {}", db_reads, db_reads_bypass) +
           (db_reads_bypass > 0 ? fmt::format("  ({:.1f} %)", 100.0 * static_cast<double>(db_reads) /
                                                                  static_cast<double>(db_reads_bypass))
                                : ""));
  for (const std::string& shard : shards_of(reads_by_server)) {
    line(table, fmt::format("loads from shard {}, primary / replica", shard),
         fmt::format("{} / {}  ({:.1f} % by replica)", count_of(reads_by_server, shard + "/primary"),
                     count_of(reads_by_server, shard + "/replica"), 100 * replica_share(reads_by_server, shard + "/")));
  }
  line(table, "invalidation lag, p50 / p99",
       fmt::format("{:.1f} / {:.1f} ms over {} commits (goal: p99 < {:.0f} ms, {})", lag.p50_ms, lag.p99_ms, lag.count,
                   kLagGoalMs, lag.count > 0 && lag.p99_ms < kLagGoalMs ? "met" : "MISSED"));
  if (lag_without_invalidator.count > 0)
    line(table, "  while the invalidator was away",
         fmt::format("{:.1f} / {:.1f} ms over {} commits", lag_without_invalidator.p50_ms,
                     lag_without_invalidator.p99_ms, lag_without_invalidator.count));
  return table;
}

std::string DemoSummary::freshness_lines() const {
  std::string table;
  line(table, "answers checked", fmt::format("{} against {} commits", tally.checked, commits));
  line(table, "stale beyond bound", fmt::format("{}", tally.count(Verdict::kStale)));
  line(table, "wrong (phantom, content, future)",
       fmt::format("{}, {}, {}", tally.count(Verdict::kPhantom), tally.count(Verdict::kWrongContent),
                   tally.count(Verdict::kFromTheFuture)));
  line(table, "lost of acknowledged writes", fmt::format("{} of {}", lost, acknowledged));
  return table;
}

std::string DemoSummary::error_lines() const {
  std::string table;
  line(table, "errors inside the fault window", list(errors_in_window));
  line(table, "errors outside it", list(errors_outside_window));
  line(table, "errors of the warm-up (empty cache)", list(errors_warmup));
  line(table, "errors on other nodes' slots", fmt::format("{}", errors_other_slots));
  return table;
}

}  // namespace tidemark::bench
