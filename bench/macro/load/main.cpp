// tidemark-load: load for RESP and memcached servers, from one core. Exit codes: 0 done, 1 it failed or the server
// answered errors, 2 the command line was wrong.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/io/options.h"
#include "bench/macro/load/load_run.h"
#include "bench/macro/load/replay_run.h"
#include "bench/macro/replay/seeded_trace.h"

namespace tidemark::bench {
namespace {

nlohmann::json json_of(const LoadConfig& config, const LoadResult& result) {
  const auto operations = static_cast<double>(result.operations);
  nlohmann::json json = {{"connections", config.connections},
                         {"depth", config.depth},
                         {"value_bytes", config.value_bytes},
                         {"get_share", config.get_share},
                         {"rate", config.rate},
                         {"seconds", result.seconds},
                         {"operations", result.operations},
                         {"hits", result.hits},
                         {"misses", result.misses},
                         {"errors", result.errors},
                         {"shed", result.shed},
                         {"ops_per_s", operations / result.seconds},
                         {"p50_us", result.latency_us.quantile(0.5)},
                         {"p99_us", result.latency_us.quantile(0.99)},
                         {"p999_us", result.latency_us.quantile(0.999)},
                         {"max_us", result.latency_us.max()},
                         {"own_cpu_us_per_op", 1e6 * result.own_cpu_seconds / operations}};
  for (const LoadSample& sample : result.samples) {
    json["samples"].push_back({{"at_s", sample.at_s},
                               {"operations", sample.operations},
                               {"live_items", sample.live_items},
                               {"live_bytes", sample.live_bytes},
                               {"rss_bytes", sample.rss_bytes}});
  }
  if (result.server_cpu_seconds) json["server_cpu_us_per_op"] = 1e6 * *result.server_cpu_seconds / operations;
  return json;
}

void print(const LoadResult& result) {
  fmt::print("{} operations in {:.2f} s: {:.0f}/s, p50 {} us, p99 {} us, p99.9 {} us, max {} us\n", result.operations,
             result.seconds, static_cast<double>(result.operations) / result.seconds, result.latency_us.quantile(0.5),
             result.latency_us.quantile(0.99), result.latency_us.quantile(0.999), result.latency_us.max());
  fmt::print("hits {}, misses {}, errors {}{}\n", result.hits, result.misses, result.errors,
             result.shed > 0 ? fmt::format(", shed {}", result.shed) : "");
  if (result.server_cpu_seconds) {
    fmt::print("CPU per operation: server {:.3f} us, generator {:.3f} us\n",
               1e6 * *result.server_cpu_seconds / static_cast<double>(result.operations),
               1e6 * result.own_cpu_seconds / static_cast<double>(result.operations));
  }
  if (result.errors > 0)
    fmt::print(stderr, "tidemark-load: the first of {} errors: {}\n", result.errors, result.first_error);
}

void print_sample(const LoadSample& sample) {
  constexpr double kMiB = 1 << 20;
  fmt::print(stderr, "{:7.1f} s  {:>10} operations", sample.at_s, sample.operations);
  if (sample.live_items > 0)
    fmt::print(stderr, "  {:>8} live items of {:.1f} MiB", sample.live_items,
               static_cast<double>(sample.live_bytes) / kMiB);
  if (sample.rss_bytes > 0) fmt::print(stderr, "  RSS {:.1f} MiB", static_cast<double>(sample.rss_bytes) / kMiB);
  fmt::print(stderr, "\n");
}

// A combination that no single option can see; nullptr: none.
const char* what_is_wrong(const LoadConfig& config) {
  const auto is_share = [](double share) { return share >= 0 && share <= 1; };
  if (!is_share(config.get_share) || !is_share(config.delete_share) || !is_share(config.ttl_share) ||
      config.get_share + config.delete_share > 1)
    return "shares are from 0 to 1, and --get-share and --delete-share together at most 1";
  if (config.rate < 0) return "--rate: 0 or more";
  if (config.rate > 0 && (config.fill || config.operations > 0))
    return "--rate goes with --run, not with --fill or --operations";
  if (config.value_bytes_max != 0 && config.value_bytes_max < config.value_bytes)
    return "--value-bytes-max is below --value-bytes";
  if (config.size_phases > 1 && (config.operations == 0 || config.value_bytes_max == 0))
    return "--size-phases needs --operations and --value-bytes-max";
  if (config.fill && config.first_key >= config.keys) return "--first-key must be below --keys";
  return nullptr;
}

int replay(const LoadConfig& config, bool as_json) {
  const auto trace = read_or_make_trace(config.replay);
  const auto result = trace ? run_replay(config, *trace) : std::unexpected(trace.error());
  if (!result) {
    fmt::print(stderr, "tidemark-load: {}\n", result.error().to_string());
    return io::kExitFailure;
  }
  const auto share = [](uint64_t part, uint64_t of) {
    return of == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(of);
  };
  const double hit_ratio = share(result->hits, result->requests);
  if (as_json) {
    const nlohmann::json json = {
        {"requests", result->requests},  {"hits", result->hits},
        {"hit_ratio", hit_ratio},        {"byte_hit_ratio", share(result->hit_bytes, result->bytes)},
        {"refused", result->refused},    {"seconds", result->seconds},
        {"rss_bytes", result->rss_bytes}};
    std::cout << json.dump() << "\n";
    return io::kExitOk;
  }
  if (result->refused > 0) fmt::print("the server refused {} values\n", result->refused);
  fmt::print("requests={} hits={} hit_ratio={:.4f}\n", result->requests, result->hits, hit_ratio);
  return io::kExitOk;
}

int load(const LoadConfig& config, bool as_json) {
  auto result = run_load(config, as_json ? nullptr : print_sample);
  if (!result) {
    fmt::print(stderr, "tidemark-load: {}\n", result.error().to_string());
    return io::kExitFailure;
  }
  if (as_json) {
    std::cout << json_of(config, *result).dump() << "\n";
  } else {
    print(*result);
  }
  return result->errors == 0 ? io::kExitOk : io::kExitFailure;
}

}  // namespace
}  // namespace tidemark::bench

int main(int argc, char** argv) {
  using namespace tidemark;
  bench::LoadConfig config;
  std::string protocol = "resp";
  std::string format = "text";
  io::Options options("tidemark-load",
                      "Load for a RESP or memcached server on this machine, and the CPU that it costs.");
  options.text("host", config.host, "IPv4 address");
  options.number("port", config.port, {.min = 1}, "port");
  options.choice("protocol", protocol, {"resp", "memcached"}, "how the server is spoken to");
  options.number("connections", config.connections, {.min = 1, .max = bench::LoadConfig::kConnectionsMax},
                 "connections");
  options.number("depth", config.depth, {.min = 1, .max = bench::LoadConfig::kDepthMax},
                 "requests sent at once on each");
  options.number("keys", config.keys, {.min = 1, .max = bench::LoadConfig::kKeysMax},
                 "how many keys of 16 bytes, chosen uniformly");
  options.number("first-key", config.first_key, {}, "with --fill: the first of them to SET");
  options.number("value-bytes", config.value_bytes, {.max = bench::LoadConfig::kValueBytesMax}, "size of values");
  options.number("value-bytes-max", config.value_bytes_max, {.max = bench::LoadConfig::kValueBytesMax},
                 "sizes are uniform from --value-bytes to this; 0: all alike");
  options.number("size-phases", config.size_phases, {.min = 1, .max = bench::LoadConfig::kSizePhasesMax},
                 "with --operations: the sizes in so many slices, smallest, largest, second smallest, ...");
  options.real("get-share", config.get_share, "share of GETs, 0 to 1; the others are SETs");
  options.real("delete-share", config.delete_share, "share of DELs");
  options.real("ttl-share", config.ttl_share, "share of the SETs that expire");
  options.duration("ttl", config.ttl, "after which they do");
  options.duration("run", config.run, "measured time");
  options.duration("warmup", config.warmup, "time before it");
  options.real("rate", config.rate,
               "requests per second whatever the server does (open loop); 0: as fast as it answers");
  options.number("operations", config.operations, {},
                 "end after so many requests, without warm-up; 0: after the time of --run");
  options.flag("fill", config.fill, "SET every key once, before the --operations if any are given, and leave");
  options.text("replay", config.replay,
               "replay a trace: a file of records (uint32 key, uint32 bytes), or NAME:REQUESTS:KEYS with zipf-scans, "
               "mixed-sizes or shifting");
  options.number("uniform-bytes", config.uniform_bytes, {.max = bench::LoadConfig::kValueBytesMax},
                 "with --replay: every value has this size; 0: as the trace says");
  options.number("seed", config.seed, {}, "of the choice of keys");
  options.number("pid", config.pid, {}, "the server's process: its CPU time is counted, its memory sampled");
  options.duration("sample-every", config.sample_every, "show progress, and with --pid the server's memory; 0: never");
  options.flag("count-live", config.counts_live, "samples tell how many items and bytes must live in the server");
  options.choice("format", format, {"text", "json"}, "how to print");
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  config.protocol = protocol == "resp" ? bench::LoadProtocol::kResp : bench::LoadProtocol::kMemcached;
  if (const char* wrong = bench::what_is_wrong(config)) {
    fmt::print(stderr, "tidemark-load: {}\n", wrong);
    return io::kExitUsage;
  }
  if (!config.replay.empty()) return bench::replay(config, format == "json");
  return bench::load(config, format == "json");
}
