// The last commands that took long, newest first (SLOWLOG): a bounded ring.
//
// Limits: entries by WorkerConfig::slowlog_entries_max, 32 arguments of 128 bytes each per entry, as in Redis.
// Threads: its worker's own. I/O: none.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace tidemark::cacheserver {

class SlowLog {
 public:
  static constexpr size_t kArgumentsMax = 32;
  static constexpr size_t kArgumentBytesMax = 128;

  struct Entry {
    uint64_t id = 0;
    int64_t unix_seconds = 0;
    uint64_t micros = 0;
    std::vector<std::string> arguments;
    std::string peer_address;
    std::string client_name;
  };

  void add(std::span<const std::string_view> arguments, uint64_t micros, UnixMillis at, std::string_view peer_address,
           std::string_view client_name, size_t entries_max);
  void clear() { entries_.clear(); }
  const std::deque<Entry>& entries() const { return entries_; }  // newest first

 private:
  std::deque<Entry> entries_;
  uint64_t next_id_ = 0;
};

}  // namespace tidemark::cacheserver
