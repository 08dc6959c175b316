// Which errors a planned fault excuses.
//
// A fault window runs from the kill of a node until a second after the node is ready again. Inside it, requests for
// slots that the node owned may fail; an error on any other slot, or at any other time, is nobody's excuse. A request
// of several keys is on the node's slots if one of its keys is.
//
//     window [100, 200), node owns slots 0-5
//     error at 150, slots {3}     -> in window         error at 150, slots {3, 9} -> in window
//     error at 150, slots {9}     -> in window and on another slot
//     error at 250, slots {3}     -> outside
//
// Errors of the warm-up, which meets an empty cache and may be shed by the service's limits, are counted apart.
// Threads: plain values. I/O: none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bench/macro/answer_log.h"

namespace tidemark::bench {

struct FaultWindow {
  int64_t begin_us = 0;     // Unix microseconds
  int64_t end_us = 0;       // exclusive
  std::vector<bool> slots;  // 16,384 flags: the slots the stopped node owned; empty: every slot is excused
};

class FaultReport {
 public:
  explicit FaultReport(std::vector<FaultWindow> windows) : windows_(std::move(windows)) {}

  // One failed request: the records of its rows (at least one; their times are the request's) and the slots of its
  // keys, in step.
  void add(const AnswerRecord& error, const std::vector<uint16_t>& slots);

  const std::map<std::string, uint64_t>& in_window() const { return in_window_; }  // by gRPC status name
  const std::map<std::string, uint64_t>& outside_window() const { return outside_window_; }
  const std::map<std::string, uint64_t>& warmup() const { return warmup_; }
  uint64_t other_slots() const { return other_slots_; }  // of those in a window
  uint64_t outside() const;

 private:
  const FaultWindow* window_of(const AnswerRecord& error) const;

  std::vector<FaultWindow> windows_;
  std::map<std::string, uint64_t> in_window_;
  std::map<std::string, uint64_t> outside_window_;
  std::map<std::string, uint64_t> warmup_;
  uint64_t other_slots_ = 0;
};

// gRPC's status names: 14 -> "UNAVAILABLE"; unknown numbers -> "CODE_<n>".
std::string grpc_status_name(uint8_t code);

}  // namespace tidemark::bench
