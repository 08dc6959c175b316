#include "bench/macro/replay/seeded_trace.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "base/parse.h"
#include "bench/macro/random.h"
#include "bench/macro/zipf.h"

namespace tidemark::bench {
namespace {

constexpr uint32_t kScannedBytes = 512;
constexpr uint32_t kShiftingBytes = 2048;
constexpr double kSizeLeast = 64, kSizeMost = 16384;
constexpr uint64_t kShifts = 10;

// Ranks to keys: without it the hot keys would be neighbours.
std::vector<uint32_t> shuffled_keys(uint64_t keys, Random& random) {
  std::vector<uint32_t> order(keys);
  for (uint64_t i = 0; i < keys; ++i) order[i] = static_cast<uint32_t>(i);
  for (uint64_t i = keys; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

Trace zipf_scans(const SeededTrace& seeded) {
  Random random(seeded.seed);
  const Zipf zipf(seeded.keys, 0.9);
  const auto keys = shuffled_keys(seeded.keys, random);
  Trace trace;
  trace.sizes.assign(2 * seeded.keys, kScannedBytes);
  trace.requests.reserve(seeded.requests);
  uint64_t scan_at = 0, scan_left = 0;
  while (trace.requests.size() < seeded.requests) {
    if (trace.requests.size() % SeededTrace::kScanEvery == SeededTrace::kScanEvery / 2)
      scan_left = SeededTrace::kScanLength;
    if (scan_left > 0) {
      --scan_left;
      trace.requests.push_back(static_cast<uint32_t>(seeded.keys + scan_at++ % seeded.keys));
    } else {
      trace.requests.push_back(keys[zipf.sample(random) - 1]);
    }
  }
  return trace;
}

Trace mixed_sizes(const SeededTrace& seeded) {
  Random random(seeded.seed);
  const Zipf zipf(seeded.keys, 1.0);
  const auto keys = shuffled_keys(seeded.keys, random);
  Trace trace;
  trace.sizes.resize(seeded.keys);
  for (uint32_t& size : trace.sizes)
    size = static_cast<uint32_t>(kSizeLeast * std::pow(kSizeMost / kSizeLeast, random.uniform()));
  trace.requests.resize(seeded.requests);
  for (uint32_t& key : trace.requests) key = keys[zipf.sample(random) - 1];
  return trace;
}

Trace shifting(const SeededTrace& seeded) {
  Random random(seeded.seed);
  const Zipf zipf(seeded.keys, 1.0);
  auto keys = shuffled_keys(seeded.keys, random);
  Trace trace;
  trace.sizes.assign(seeded.keys, kShiftingBytes);
  trace.requests.resize(seeded.requests);
  const uint64_t shift_every = std::max<uint64_t>(seeded.requests / kShifts, 1);
  for (uint64_t i = 0; i < seeded.requests; ++i) {
    if (i > 0 && i % shift_every == 0) {
      for (uint64_t rank = 0; rank < keys.size(); rank += 5) std::swap(keys[rank], keys[random.below(keys.size())]);
    }
    trace.requests[i] = keys[zipf.sample(random) - 1];
  }
  return trace;
}

}  // namespace

Result<SeededTrace> parse_seeded_trace(std::string_view text) {
  const auto parts = split(text, ':');
  const auto number = [&](size_t i) { return i < parts.size() ? parse_u64(parts[i]) : std::optional<uint64_t>(1); };
  if (parts.size() < 3 || parts.size() > 4 || !number(1) || !number(2) || !number(3))
    return fail(ErrorCode::kInvalidArgument,
                "\"" + std::string(text) + "\": give NAME:REQUESTS:KEYS or NAME:REQUESTS:KEYS:SEED");
  const SeededTrace trace{
      .name = std::string(parts[0]), .requests = *number(1), .keys = *number(2), .seed = *number(3)};
  if (trace.requests > SeededTrace::kRequestsMax || trace.keys == 0 || trace.keys > Trace::kKeysMax / 2)
    return fail(ErrorCode::kInvalidArgument,
                "\"" + std::string(text) + "\": at most 10^9 requests, and from 1 to 2^27 keys");
  return trace;
}

Result<Trace> make_trace(const SeededTrace& trace) {
  if (trace.name == "zipf-scans") return zipf_scans(trace);
  if (trace.name == "mixed-sizes") return mixed_sizes(trace);
  if (trace.name == "shifting") return shifting(trace);
  return fail(ErrorCode::kInvalidArgument,
              "there is no seeded trace \"" + trace.name + "\"; there are zipf-scans, mixed-sizes and shifting");
}

Result<Trace> read_or_make_trace(const std::string& file_or_seeded) {
  std::error_code ignored;
  if (std::filesystem::exists(file_or_seeded, ignored)) return read_trace(file_or_seeded);
  const auto seeded = parse_seeded_trace(file_or_seeded);
  if (!seeded)
    return fail(ErrorCode::kNotFound,
                file_or_seeded + " is neither a file nor a seeded trace: " + seeded.error().message);
  return make_trace(*seeded);
}

}  // namespace tidemark::bench
