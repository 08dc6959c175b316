// Settings that commands may see and, some of them, change (CONFIG GET / CONFIG SET): one copy per worker.
//
// Each worker is a node of its own to cluster clients, so CONFIG SET reaches the worker it was sent to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark::cacheserver {

// Redis's name for our LRU is understood and shown, for tools look for it; other names are ours.
inline std::string_view policy_of_redis_name(std::string_view name) {
  return name == "allkeys-lru" ? "lru" : name;
}
inline std::string_view redis_name_of_policy(std::string_view name) {
  return name == "lru" ? "allkeys-lru" : name;
}

struct WorkerConfig {
  uint64_t memory_bytes_max = 0;                    // this worker's share; 0 = no limit
  uint64_t process_bytes = 0;                       // of it, for the program itself: code, buffers; at most an eighth
  std::string memory_policy = "adaptive";           // a name of eviction/evictor.h
  uint64_t clients_max = 10'000;                    // of this worker
  uint64_t bulk_bytes_max = 512ull << 20;           // proto-max-bulk-len
  uint64_t query_buffer_bytes_max = 1ull << 30;     // client-query-buffer-limit
  uint64_t output_buffer_bytes_max = 256ull << 20;  // client-output-buffer-limit normal (hard)
  uint64_t output_pause_bytes = 1ull << 20;         // stop reading from a client that has more than this to take
  uint64_t idle_timeout_s = 0;                      // timeout; 0 = never
  int64_t slowlog_slower_than_us = 10'000;          // -1 = off
  uint64_t slowlog_entries_max = 128;
  std::string bind = "127.0.0.1";

  // What the keyspace may hold, so that the process as a whole stays within its limit.
  uint64_t keyspace_bytes_max() const {
    const uint64_t apart = process_bytes < memory_bytes_max / 8 ? process_bytes : memory_bytes_max / 8;
    return memory_bytes_max - apart;
  }
};

}  // namespace tidemark::cacheserver
