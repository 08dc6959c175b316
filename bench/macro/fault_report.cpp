#include "bench/macro/fault_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace tidemark::bench {

std::string grpc_status_name(uint8_t code) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  return code < kNames.size() ? std::string(kNames[code]) : fmt::format("CODE_{}", code);
}

// A request that was under way when the window began or ended belongs to it: it is excused if any of its time lies
// inside.
const FaultWindow* FaultReport::window_of(const AnswerRecord& error) const {
  const auto found = std::ranges::find_if(windows_, [&](const FaultWindow& window) {
    return error.start_us < window.end_us && error.end_us >= window.begin_us;
  });
  return found == windows_.end() ? nullptr : &*found;
}

void FaultReport::add(const AnswerRecord& error, const std::vector<uint16_t>& slots) {
  const std::string kind = grpc_status_name(error.error);
  if (error.is_warmup) {
    ++warmup_[kind];
    return;
  }
  const FaultWindow* window = window_of(error);
  if (window == nullptr) {
    ++outside_window_[kind];
    return;
  }
  ++in_window_[kind];
  const bool is_excused =
      window->slots.empty() || std::ranges::any_of(slots, [&](uint16_t slot) { return window->slots.at(slot); });
  if (!is_excused) ++other_slots_;
}

uint64_t FaultReport::outside() const {
  return std::accumulate(outside_window_.begin(), outside_window_.end(), uint64_t{0},
                         [](uint64_t sum, const auto& kind) { return sum + kind.second; });
}

}  // namespace tidemark::bench
