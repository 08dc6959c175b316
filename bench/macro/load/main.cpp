// tidemark-load: load for RESP and memcached servers, from one core. Exit codes: 0 done, 1 it failed or the server
// answered errors, 2 the command line was wrong.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/io/options.h"
#include "bench/macro/load/load_run.h"

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

int load(const LoadConfig& config, bool as_json) {
  auto result = run_load(config);
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
  options.number("keys", config.keys, {.min = 1}, "how many keys of 16 bytes, chosen uniformly");
  options.number("value-bytes", config.value_bytes, {.max = 64 << 20}, "size of values");
  options.real("get-share", config.get_share, "share of GETs, 0 to 1; the others are SETs");
  options.duration("run", config.run, "measured time");
  options.duration("warmup", config.warmup, "time before it");
  options.real("rate", config.rate,
               "requests per second whatever the server does (open loop); 0: as fast as it answers");
  options.flag("fill", config.fill, "SET every key once and leave");
  options.number("seed", config.seed, {}, "of the choice of keys");
  options.number("pid", config.pid, {}, "the server's process: its CPU time is counted");
  options.choice("format", format, {"text", "json"}, "how to print");
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  config.protocol = protocol == "resp" ? bench::LoadProtocol::kResp : bench::LoadProtocol::kMemcached;
  if (config.fill) config.rate = 0;
  return bench::load(config, format == "json");
}
