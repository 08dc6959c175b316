#include "cacheserver/serving/worker.h"

#include <string>
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

void Worker::adopt_topology(std::shared_ptr<const Topology> topology, Instant now) {
  std::bitset<kSlotCount> before;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) before[slot] = view_.owns_slot(static_cast<Slot>(slot));
  const bool was_clustered = view_.is_clustered();
  view_.adopt_topology(std::move(topology));
  bool has_gained = !was_clustered;
  slots_to_purge_.clear();
  for (uint32_t number = 0; number < kSlotCount; ++number) {
    auto slot = static_cast<Slot>(number);
    if (!view_.owns_slot(slot)) {
      if (keyspace_->count_in_slot(slot) > 0) slots_to_purge_.push_back(slot);
      continue;
    }
    if (before[number]) continue;
    has_gained = true;
    purge_slot(slot, SIZE_MAX, now);
  }
  freshness_.set_topology(view_.group_epoch(), view_.slots_version(), has_gained);
}

bool Worker::tick(Instant now) {
  bool has_more = purge(now);
  bool has_upkeep = true;
  for (size_t round = 0; round < kUpkeepPerTick && has_upkeep; ++round) has_upkeep = keyspace_->tick(now);
  freshness_.tick(now);
  publish_gauges();
  return has_more || has_upkeep;
}

bool Worker::purge(Instant now) {
  size_t left = kPurgedPerTick;
  while (left > 0 && !slots_to_purge_.empty()) {
    left -= purge_slot(slots_to_purge_.front(), left, now);
    if (left > 0) slots_to_purge_.pop_front();
  }
  return !slots_to_purge_.empty();
}

size_t Worker::purge_slot(Slot slot, size_t keys_max, Instant now) {
  constexpr size_t kAtOnce = 64;
  size_t purged = 0;
  while (purged < keys_max) {
    std::vector<std::string> keys;  // copies: erasing ends the views
    for (std::string_view key : keyspace_->keys_in_slot(slot, std::min(kAtOnce, keys_max - purged), Instant::min())) {
      keys.emplace_back(key);
    }
    if (keys.empty()) break;
    for (const std::string& key : keys) keyspace_->erase(key, now);
    purged += keys.size();
  }
  view_.stats().keys_purged.add(purged);
  return purged;
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
