// tidemark-replay: a cache access trace, replayed through the node's eviction or through a running node. Exit codes:
// 0 done, 1 it failed, 2 the command line was wrong, 130 it was stopped (what it has is printed).
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <limits>
#include <optional>

#include "base/io/options.h"
#include "base/io/system_clock.h"
#include "base/parse.h"
#include "bench/macro/io/progress_line.h"
#include "bench/macro/replay/node_replay.h"
#include "bench/macro/replay/replay_cache.h"
#include "bench/macro/replay/trace.h"

namespace tidemark::bench {
namespace {

constexpr uint64_t kRequestsPerLook = 4096;  // between two looks at the clock
constexpr int kExitStopped = 130;

volatile std::sig_atomic_t is_stopped = 0;

struct ReplayConfig {
  std::string trace;
  std::string policy = "adaptive";
  uint64_t capacity_objects = 0;
  uint64_t capacity_bytes = 0;
  std::string node;
  std::string protocol = "resp";
  uint32_t value_bytes = 0;
};

void stop_on_interrupt() {
  struct sigaction action{};
  action.sa_handler = [](int) { is_stopped = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second ^C ends it at once
  ::sigaction(SIGINT, &action, nullptr);
}

// Shows how far it is, on a terminal; false: it was stopped.
class Watch {
 public:
  explicit Watch(uint64_t requests) : requests_(requests), has_terminal_(::isatty(STDERR_FILENO) == 1) {}
  bool keep_on(uint64_t done, uint64_t hits) {
    if (done % kRequestsPerLook == 0 && has_terminal_) {
      line_.show(fmt::format("{} of {} requests, hit ratio {:.4f}", done, requests_,
                             static_cast<double>(hits) / static_cast<double>(done)));
    }
    return is_stopped == 0;
  }
  void clear() { line_.clear(); }

 private:
  uint64_t requests_;
  bool has_terminal_;
  ProgressLine line_;
};

int fail_with(const Error& error) {
  fmt::print(stderr, "tidemark-replay: {}\n", error.to_string());
  return io::kExitFailure;
}

int print_result(uint64_t requests, uint64_t hits) {
  const double ratio = requests == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(requests);
  fmt::print("requests={} hits={} hit_ratio={:.4f}\n", requests, hits, ratio);
  return is_stopped == 0 ? io::kExitOk : kExitStopped;
}

int replay_in_memory(const ReplayConfig& config, Trace trace) {
  if (config.capacity_objects != 0) trace.sizes.assign(trace.sizes.size(), 1);
  const uint64_t capacity = config.capacity_objects != 0 ? config.capacity_objects : config.capacity_bytes;
  auto cache = ReplayCache::make(config.policy, trace.sizes, capacity);
  if (!cache) return fail_with(cache.error());
  Watch watch(trace.requests.size());
  uint64_t hits = 0, requests = 0, bytes = 0, bytes_hit = 0;
  for (const uint32_t key : trace.requests) {
    const bool is_hit = (*cache)->request(key);
    ++requests;
    bytes += trace.sizes[key];
    if (is_hit) {
      ++hits;
      bytes_hit += trace.sizes[key];
    }
    if (!watch.keep_on(requests, hits)) break;
  }
  watch.clear();
  fmt::print("policy={} evictions={} policy_bytes={} byte_hit_ratio={:.4f}\n", config.policy, (*cache)->evictions(),
             (*cache)->policy_bytes_used(), static_cast<double>(bytes_hit) / static_cast<double>(bytes));
  return print_result(requests, hits);
}

std::optional<NodeAddress> address_of(const ReplayConfig& config) {
  const size_t colon = config.node.rfind(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  const auto port = parse_u64(std::string_view(config.node).substr(colon + 1));
  if (!port || *port == 0 || *port > std::numeric_limits<uint16_t>::max()) return std::nullopt;
  return NodeAddress{.host = config.node.substr(0, colon),
                     .port = static_cast<uint16_t>(*port),
                     .protocol = config.protocol == "resp" ? NodeProtocol::kResp : NodeProtocol::kMemcached};
}

int replay_through_node(const ReplayConfig& config, const Trace& trace) {
  const auto address = address_of(config);
  if (!address) {
    fmt::print(stderr, "tidemark-replay: --node: \"{}\" is not HOST:PORT\n", config.node);
    return io::kExitUsage;
  }
  auto node = NodeReplay::connect(*address);
  if (!node) return fail_with(node.error());
  ReplayCounts counts;
  Watch watch(trace.requests.size());
  const Status run = node->run(
      trace, config.value_bytes,
      [&](const ReplayCounts& so_far) { return watch.keep_on(so_far.requests, so_far.hits); }, counts);
  watch.clear();
  if (!run) return fail_with(run.error());
  if (auto figures = node->figures()) {
    for (const auto& [name, value] : *figures) fmt::print("{}={} ", name, value);
  }
  fmt::print("sets_refused={}\n", counts.refused);
  if (counts.refused > 0)
    fmt::print(stderr, "tidemark-replay: {} values were refused, the first with: {}\n", counts.refused,
               counts.first_refusal);
  return print_result(counts.requests, counts.hits);
}

int replay(const ReplayConfig& config) {
  const int ways = (config.capacity_objects != 0) + (config.capacity_bytes != 0) + !config.node.empty();
  if (ways != 1) {
    fmt::print(stderr, "tidemark-replay: give one of --capacity-objects N, --capacity-bytes N and --node HOST:PORT\n");
    return io::kExitUsage;
  }
  auto trace = read_trace(config.trace);
  if (!trace) return fail_with(trace.error());
  stop_on_interrupt();
  return config.node.empty() ? replay_in_memory(config, std::move(*trace)) : replay_through_node(config, *trace);
}

}  // namespace
}  // namespace tidemark::bench

int main(int argc, char** argv) {
  using namespace tidemark;
  bench::ReplayConfig config;
  io::Options options("tidemark-replay",
                      "A cache access trace replayed: every record is a get and, on a miss, a set. The last line is "
                      "requests=N hits=N hit_ratio=0.NNNN.");
  options.text("trace", config.trace, "file of 8-byte records: key number, size (little-endian u32); .zst is unpacked");
  options.require("trace");
  options.text("policy", config.policy, "eviction policy: " + std::string(cacheserver::kEvictorNames));
  options.number("capacity-objects", config.capacity_objects, {}, "keep that many objects, whatever their size");
  options.memory("capacity-bytes", config.capacity_bytes, "keep that many bytes of values");
  options.text("node", config.node, "HOST:PORT of a server to replay through instead; it has its own limit and policy");
  options.choice("protocol", config.protocol, {"resp", "memcached"}, "how that server is spoken to");
  options.number("value-bytes", config.value_bytes, {.max = bench::NodeReplay::kValueBytesMax},
                 "with --node: every value that large; 0: as large as the trace says");
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  return bench::replay(config);
}
