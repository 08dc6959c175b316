// tidemark-ryw: do sessions read their writes through replicas, with replay paused on one? Exit codes: 0 no violation,
// 1 it failed or a read or write did, 2 the command line was wrong, 3 violations were found.
#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/io/options.h"
#include "bench/macro/ryw/ryw_run.h"

namespace tidemark::bench {
namespace {

constexpr int kExitViolations = 3;

struct Arguments {
  RywConfig config;
  uint32_t shards = 2;
  uint32_t replicas = 1;
  uint32_t nodes = 2;
  std::string directory;
  std::string source = TIDEMARK_SOURCE_DIR;
  bool as_json = false;
};

nlohmann::json shares_of(const std::array<uint64_t, RywResult::kOrigins>& by_origin) {
  return {{"node", by_origin[0]}, {"replica", by_origin[1]}, {"primary", by_origin[2]}};
}

nlohmann::json json_of(const RywConfig& config, const RywResult& result) {
  return {{"with_token", config.with_token},
          {"pairs", result.pairs},
          {"reads", result.reads},
          {"violations", result.violations()},
          {"hidden_writes", result.hidden_writes},
          {"backwards", result.backwards},
          {"errors", result.errors},
          {"reads_by_origin", shares_of(result.by_origin)},
          {"reads_by_origin_while_paused", shares_of(result.by_origin_while_paused)},
          {"replica_tried", result.replica_tried},
          {"replica_too_late", result.replica_too_late},
          {"primary_waited", result.primary_waited},
          {"unproven", result.unproven},
          {"token_bytes_max", result.token_bytes_max},
          {"seconds", result.seconds},
          {"paused_seconds", result.paused_seconds},
          {"examples", result.examples}};
}

std::string shares_text(const std::array<uint64_t, RywResult::kOrigins>& by_origin) {
  const double sum = static_cast<double>(std::max<uint64_t>(1, by_origin[0] + by_origin[1] + by_origin[2]));
  auto share = [&](size_t i) { return 100.0 * static_cast<double>(by_origin[i]) / sum; };
  return fmt::format("nodes {:.1f} %, replicas {:.1f} %, primaries {:.1f} %", share(0), share(1), share(2));
}

void print(const RywConfig& config, const RywResult& result) {
  fmt::print(
      "{} pairs {} tokens: {} violations ({} own writes hidden, {} reads backwards), {} errors; {} reads by {}\n",
      result.pairs, config.with_token ? "with" : "without", result.violations(), result.hidden_writes, result.backwards,
      result.errors, result.reads, shares_text(result.by_origin));
  fmt::print("while replay was paused ({:.1f} of {:.1f} s): {}\n", result.paused_seconds, result.seconds,
             shares_text(result.by_origin_while_paused));
  for (const std::string& example : result.examples) fmt::print("  {}\n", example);
}

Result<RywResult> run(const Arguments& arguments) {
  localcluster::Options options;
  options.directory = std::filesystem::path(arguments.directory) / "cluster";
  options.shards = arguments.shards;
  options.replicas = arguments.replicas;
  options.nodes = arguments.nodes;
  options.stop_on_destroy = true;
  if (auto prepared = prepare_ryw(options, arguments.source); !prepared) return std::unexpected(prepared.error());
  auto cluster = localcluster::LocalCluster::create(std::move(options));
  if (!cluster) return std::unexpected(cluster.error());
  if (auto started = cluster->start(); !started) return std::unexpected(started.error());
  return run_ryw(arguments.config, *cluster);
}

int run_and_print(Arguments arguments) {
  std::string made = (std::filesystem::temp_directory_path() / "tidemark-ryw-XXXXXX").string();
  const bool is_made = arguments.directory.empty();
  if (is_made) {
    if (::mkdtemp(made.data()) == nullptr) return io::kExitFailure;
    arguments.directory = made;
  }
  auto result = run(arguments);
  if (is_made && result) std::filesystem::remove_all(made);
  if (!result) {
    fmt::print(stderr, "tidemark-ryw: {} (logs: {})\n", result.error().to_string(), arguments.directory);
    return io::kExitFailure;
  }
  if (arguments.as_json) {
    std::cout << json_of(arguments.config, *result).dump() << "\n";
  } else {
    print(arguments.config, *result);
  }
  if (result->violations() > 0) return kExitViolations;
  return result->errors == 0 && result->pairs == arguments.config.pairs ? io::kExitOk : io::kExitFailure;
}

}  // namespace
}  // namespace tidemark::bench

int main(int argc, char** argv) {
  using namespace tidemark;
  bench::Arguments arguments;
  bool without_token = false;
  io::Options options("tidemark-ryw",
                      "Write-then-read pairs of sessions that hop between two services, on a cluster of its own.");
  options.number("pairs", arguments.config.pairs, {.min = 1}, "write-then-read pairs in all");
  options.number("workers", arguments.config.workers, {.min = 1, .max = 256}, "sessions at once");
  options.number("skus", arguments.config.skus, {.min = 1, .max = 100'000}, "rows that are written and read");
  options.duration("pause", arguments.config.pause,
                   "the first shard's replica stops for so long, then goes on as long");
  options.flag("without-token", without_token, "sessions carry nothing: the same pairs must find violations");
  options.number("shards", arguments.shards, {.min = 1, .max = 8}, "Postgres shards");
  options.number("replicas", arguments.replicas, {.min = 1, .max = 4}, "replicas of each");
  options.number("nodes", arguments.nodes, {.min = 1, .max = 8}, "cache nodes");
  options.text("directory", arguments.directory, "where the cluster lives; empty = a new one that is removed");
  options.text("source", arguments.source, "the source tree, for services/catalog/schema.sql");
  options.flag("json", arguments.as_json, "one line of JSON");
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  arguments.config.with_token = !without_token;
  return bench::run_and_print(std::move(arguments));
}
