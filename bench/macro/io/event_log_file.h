// The shop's events on disk, one JSON line each: written while the shop runs, read once by the oracles.
//
// Threads: one. Limits: at most `events_max` events; further ones are counted in dropped() and not written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/result.h"
#include "bench/macro/shop_event.h"

namespace tidemark::bench {

class EventLogWriter {
 public:
  static Result<EventLogWriter> create(const std::filesystem::path& path, uint64_t events_max);

  void append(const ShopEvent& event);
  Status close();  // reports a write that failed

  uint64_t written() const { return written_; }
  uint64_t dropped() const { return dropped_; }

 private:
  EventLogWriter(std::ofstream file, std::filesystem::path path, uint64_t events_max)
      : file_(std::move(file)), path_(std::move(path)), events_max_(events_max) {}

  std::ofstream file_;
  std::filesystem::path path_;
  uint64_t events_max_;
  uint64_t written_ = 0;
  uint64_t dropped_ = 0;
};

// Calls `visit` with each event in the order of writing. A last line that is cut short is an error like any other.
Status read_event_log(const std::filesystem::path& path, const std::function<void(const ShopEvent&)>& visit);

}  // namespace tidemark::bench
