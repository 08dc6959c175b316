#include "bench/macro/seeded_trace.h"

#include <algorithm>
#include <cmath>
#include <cstring>

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

std::vector<TraceRequest> zipf_scans(const SeededTrace& trace) {
  Random random(trace.seed);
  const Zipf zipf(trace.keys, 0.9);
  const auto keys = shuffled_keys(trace.keys, random);
  std::vector<TraceRequest> out;
  out.reserve(trace.requests);
  uint64_t scan_at = 0, scan_left = 0;
  while (out.size() < trace.requests) {
    if (out.size() % SeededTrace::kScanEvery == SeededTrace::kScanEvery / 2) scan_left = SeededTrace::kScanLength;
    if (scan_left > 0) {
      --scan_left;
      out.push_back({static_cast<uint32_t>(trace.keys + scan_at++ % trace.keys), kScannedBytes});
    } else {
      out.push_back({keys[zipf.sample(random) - 1], kScannedBytes});
    }
  }
  return out;
}

std::vector<TraceRequest> mixed_sizes(const SeededTrace& trace) {
  Random random(trace.seed);
  const Zipf zipf(trace.keys, 1.0);
  const auto keys = shuffled_keys(trace.keys, random);
  std::vector<uint32_t> sizes(trace.keys);
  for (uint32_t& size : sizes)
    size = static_cast<uint32_t>(kSizeLeast * std::pow(kSizeMost / kSizeLeast, random.uniform()));
  std::vector<TraceRequest> out(trace.requests);
  for (TraceRequest& request : out) {
    request.key = keys[zipf.sample(random) - 1];
    request.value_bytes = sizes[request.key];
  }
  return out;
}

std::vector<TraceRequest> shifting(const SeededTrace& trace) {
  Random random(trace.seed);
  const Zipf zipf(trace.keys, 1.0);
  auto keys = shuffled_keys(trace.keys, random);
  std::vector<TraceRequest> out(trace.requests);
  const uint64_t shift_every = std::max<uint64_t>(trace.requests / kShifts, 1);
  for (uint64_t i = 0; i < out.size(); ++i) {
    if (i > 0 && i % shift_every == 0) {
      for (uint64_t rank = 0; rank < keys.size(); rank += 5) std::swap(keys[rank], keys[random.below(keys.size())]);
    }
    out[i] = {keys[zipf.sample(random) - 1], kShiftingBytes};
  }
  return out;
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
  if (trace.requests > SeededTrace::kRequestsMax || trace.keys == 0 || trace.keys > UINT32_MAX / 2)
    return fail(ErrorCode::kInvalidArgument,
                "\"" + std::string(text) + "\": at most 10^9 requests, and from 1 to 2^31 keys");
  return trace;
}

Result<std::vector<TraceRequest>> make_trace(const SeededTrace& trace) {
  if (trace.name == "zipf-scans") return zipf_scans(trace);
  if (trace.name == "mixed-sizes") return mixed_sizes(trace);
  if (trace.name == "shifting") return shifting(trace);
  return fail(ErrorCode::kInvalidArgument,
              "there is no seeded trace \"" + trace.name + "\"; there are zipf-scans, mixed-sizes and shifting");
}

Result<std::vector<TraceRequest>> decode_trace(std::string_view bytes) {
  if (bytes.size() % sizeof(TraceRequest) != 0)
    return fail(ErrorCode::kInvalidArgument, "a trace of " + std::to_string(bytes.size()) +
                                                 " bytes has no whole number of 8-byte records" +
                                                 " (compressed traces are unpacked first: zstd -dc NAME.bin.zst)");
  std::vector<TraceRequest> out(bytes.size() / sizeof(TraceRequest));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

void use_largest_sizes(std::vector<TraceRequest>& trace) {
  uint32_t last = 0;
  for (const TraceRequest& request : trace) last = std::max(last, request.key);
  std::vector<uint32_t> largest(size_t{last} + 1);
  for (const TraceRequest& request : trace) largest[request.key] = std::max(largest[request.key], request.value_bytes);
  for (TraceRequest& request : trace) request.value_bytes = largest[request.key];
}

}  // namespace tidemark::bench
