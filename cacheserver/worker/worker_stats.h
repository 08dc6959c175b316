// Counters of one worker: written by its thread alone, read by any (metrics, INFO of the admin side).
//
// A Counter is a plain integer with relaxed loads and stores: no locked instruction on the hot path.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace tidemark::cacheserver {

class Counter {
 public:
  void add(uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Powers of two of microseconds: bucket i counts values in (2^(i-1), 2^i] us; bucket 0 counts <= 1 us.
class MicrosHistogram {
 public:
  static constexpr size_t kBuckets = 24;  // the last one is open: above 2^22 us (4.2 s)
  void observe(uint64_t micros) {
    size_t bucket = micros <= 1 ? 0 : static_cast<size_t>(64 - __builtin_clzll(micros - 1));
    counts_[bucket < kBuckets ? bucket : kBuckets - 1].add();
    sum_micros_.add(micros);
  }
  uint64_t count(size_t bucket) const { return counts_[bucket].get(); }
  uint64_t sum_micros() const { return sum_micros_.get(); }

 private:
  std::array<Counter, kBuckets> counts_;
  Counter sum_micros_;
};

struct CommandStats {
  Counter calls;
  Counter micros;
  Counter failed;    // ran and answered an error
  Counter rejected;  // refused before it ran: arity, authentication, slot, memory
};

struct WorkerStats {
  Counter connections_total;
  Counter connections_now;
  Counter connections_refused;        // above maxclients
  Counter connections_killed_output;  // output buffer above its limit
  Counter connections_killed_query;   // query buffer above its limit
  Counter reads_paused;               // a client did not take its replies: we stopped reading from it
  Counter protocol_errors;
  Counter commands_total;
  Counter commands_moved;      // answered with MOVED
  Counter commands_protected;  // answered with PROTECTED
  Counter commands_out_of_memory;
  Counter forwarded_away;  // requests handed to a sibling
  Counter forwarded_here;  // requests run for a sibling
  Counter mailbox_full;    // times a batch had to wait for room in a sibling's mailbox
  Counter bytes_in;
  Counter bytes_out;
  Counter keyspace_hits;
  Counter keyspace_misses;
  Counter expired;
  Counter evicted;
  Counter memory_bytes_used;
  Counter memory_bytes_limit;
  Counter memory_bytes_held;    // from the system: used, and holes between blocks
  Counter memory_bytes_tables;  // of memory_bytes_used, the index
  Counter memory_bytes_policy;  // of memory_bytes_used, what eviction keeps for itself
  Counter memory_blocks_moved;  // by compaction
  Counter keys;
  Counter keys_purged;  // of slots that moved away
  Counter topology_version;
  Counter memory_bytes_peak;
  Counter process_rss_bytes;  // of the whole process, told by the shell each second
  Counter cpu_user_micros;    // of this worker's thread, likewise
  Counter cpu_system_micros;
  Counter commands_per_second;  // over the last second
  MicrosHistogram loop_turn;    // thread CPU time of one turn of the loop that did work, upkeep too

  void reset();  // CONFIG RESETSTAT: totals to zero, gauges stay
};

}  // namespace tidemark::cacheserver
