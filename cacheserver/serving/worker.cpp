#include "cacheserver/serving/worker.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace tidemark::cacheserver {

Result<std::unique_ptr<Worker>> Worker::open(Options options, const CommandTable& table) {
  auto keyspace = Keyspace::open({.memory_bytes_max = options.config.keyspace_bytes_max(),
                                  .policy = options.config.memory_policy,
                                  .hash_seed = options.hash_seed});
  if (!keyspace) return std::unexpected(keyspace.error());
  return std::unique_ptr<Worker>(new Worker(std::move(options), *std::move(keyspace), table));
}

Worker::Worker(Options options, std::unique_ptr<Keyspace> keyspace, const CommandTable& table)
    : view_(std::move(options.identity), std::move(options.config), std::move(options.credentials)),
      keyspace_(std::move(keyspace)),
      freshness_({.incarnation = view_.incarnation(),
                  .group_epoch = view_.group_epoch(),
                  .slots_version = view_.slots_version()}),
      dispatcher_(table),
      clock_(options.clock),
      shared_round_(table),
      own_round_(table),
      timer_(view_, table, options.clock) {
  if (view_.forwards()) {
    forwarding_ = std::make_unique<Forwarding>(view_.identity().worker_index, view_.identity().workers);
  }
  guest_.peer_address = "sibling";
  view_.command_stats() = std::vector<CommandStats>(table.size());
}

void Worker::adopt_topology(std::shared_ptr<const Topology> topology) {
  std::bitset<kSlotCount> before;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) before[slot] = view_.owns_slot(static_cast<Slot>(slot));
  const bool was_clustered = view_.is_clustered();
  view_.adopt_topology(std::move(topology));
  bool has_gained = !was_clustered;
  slots_to_purge_.clear();
  purge_cursor_ = 0;
  for (uint32_t number = 0; number < kSlotCount; ++number) {
    auto slot = static_cast<Slot>(number);
    if (!view_.owns_slot(slot)) {
      if (keyspace_->count_in_slot(slot) > 0) slots_to_purge_.push_back(slot);
      continue;
    }
    if (before[number]) continue;
    has_gained = true;
    if (keyspace_->count_in_slot(slot) > 0) purge_whole(slot);
  }
  freshness_.set_topology(view_.group_epoch(), view_.slots_version(), has_gained);
  freshness_.adopt_owners(view_.topology());
}

bool Worker::tick(Instant now) {
  const Instant deadline = clock_() + kUpkeepTime;
  bool has_more = purge(deadline);
  bool has_upkeep = true;
  for (size_t round = 0; round < kUpkeepPerTick && has_upkeep; ++round) {
    if (round > 0 && clock_() >= deadline) break;
    has_upkeep = keyspace_->tick(now);
  }
  freshness_.tick(now);
  publish_gauges();
  return has_more || has_upkeep;
}

bool Worker::purge(Instant deadline) {
  for (size_t left = kPurgedPerTick; left > 0 && !slots_to_purge_.empty() && clock_() < deadline;) {
    const Keyspace::Purge purge = keyspace_->purge_slot(slots_to_purge_.front(), purge_cursor_, left);
    view_.stats().keys_purged.add(purge.erased);
    left -= std::min(left, purge.erased);
    purge_cursor_ = purge.cursor;
    if (purge_cursor_ == 0) slots_to_purge_.pop_front();
  }
  return !slots_to_purge_.empty();
}

void Worker::purge_whole(Slot slot) {
  uint64_t cursor = 0;
  do {
    const Keyspace::Purge purge = keyspace_->purge_slot(slot, cursor, SIZE_MAX);
    view_.stats().keys_purged.add(purge.erased);
    cursor = purge.cursor;
  } while (cursor != 0);
}

void Worker::publish_gauges() {
  WorkerStats& stats = view_.stats();
  const KeyspaceStats& keyspace = keyspace_->stats();
  stats.keyspace_hits.set(keyspace.hits);
  stats.keyspace_misses.set(keyspace.misses);
  stats.expired.set(keyspace.expired);
  stats.evicted.set(keyspace.evicted);
  stats.memory_bytes_used.set(keyspace_->memory().bytes_used);
  stats.memory_bytes_limit.set(keyspace_->memory().bytes_max);
  const MemoryReport memory = keyspace_->memory_report();
  stats.memory_bytes_held.set(keyspace_->memory().bytes_held);
  stats.memory_bytes_tables.set(memory.tables);
  stats.memory_bytes_policy.set(memory.policy);
  stats.memory_blocks_moved.set(memory.blocks_moved);
  stats.keys.set(keyspace_->size());
}

}  // namespace tidemark::cacheserver
