// Iteration and upkeep of the keyspace: scans, samples, ticks, flushes.
#include <algorithm>

#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/keyspace/keyspace_tables.h"

namespace tidemark::cacheserver {
namespace {

constexpr int kRandomTries = 100;  // at live entries; beyond that most of the keyspace has expired unseen
constexpr int kSampleTries = 64;   // at places of one table; half of them hold something

// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2014).
uint64_t next_random(uint64_t& state) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1dULL;
}

}  // namespace

// A cursor is the table's number above 32 bits of position. The end of one table is the beginning of the next.
uint64_t Keyspace::scan(uint64_t cursor, size_t wanted, Instant now, std::vector<const Entry*>& out) const {
  const size_t goal = out.size() + wanted;
  size_t table = cursor >> 32;
  uint64_t position = cursor & 0xffffffff;
  size_t groups = std::max(kScanGroupsMin, wanted * kScanGroupsPerEntry);
  for (; table < SlotIndex::kTables && out.size() < goal && groups > 0; --groups) {
    const size_t begin = out.size();
    position = tables_->tables[table].scan(position, out);
    out.erase(std::remove_if(out.begin() + static_cast<ptrdiff_t>(begin), out.end(),
                             [now](const Entry* entry) { return entry->is_expired(now); }),
              out.end());
    if (position == HashTable::kEnd) {
      ++table;
      position = 0;
    }
  }
  return table < SlotIndex::kTables ? uint64_t{table} << 32 | position : 0;
}

ItemId Keyspace::sample() {
  if (size_ == 0) return kNoItem;
  for (int i = 0; i < kSampleTries; ++i) {
    const uint64_t rank = next_random(random_state_) % size_;
    const HashTable& table = tables_->tables[tables_->slots.table_of_rank(rank)];
    if (ItemId id = table.sample(next_random(random_state_))) return id;
  }
  return kNoItem;
}

const Entry* Keyspace::random(Instant now) {
  for (int i = 0; i < kRandomTries; ++i) {
    const ItemId id = sample();
    if (id != kNoItem && !tables_->at(id).is_expired(now)) return &tables_->at(id);
  }
  std::vector<const Entry*> first;
  uint64_t cursor = 0;
  do {
    cursor = scan(cursor, 1, now, first);
  } while (first.empty() && cursor != 0);
  return first.empty() ? nullptr : first.front();
}

size_t Keyspace::size_with_expiry() const {
  return tables_->wheel.size();
}
size_t Keyspace::count_in_slot(Slot slot) const {
  return tables_->slots.count(slot);
}

std::vector<std::string_view> Keyspace::keys_in_slot(Slot slot, size_t count_max, Instant now) const {
  std::vector<const Entry*> entries;
  tables_->of(slot).collect_slot(slot, count_max, now, entries);
  std::vector<std::string_view> keys;
  for (const Entry* entry : entries) keys.push_back(entry->key());
  return keys;
}

Keyspace::Purge Keyspace::purge_slot(Slot slot, uint64_t cursor, size_t entries_max) {
  HashTable& table = tables_->of(slot);
  Purge purge{.cursor = cursor};
  std::vector<const Entry*> seen;
  for (size_t i = 0; i < kPurgeGroups && purge.erased < entries_max; ++i) {
    seen.clear();
    purge.cursor = table.scan(purge.cursor, seen);
    for (const Entry* entry : seen) {
      const KeyRef ref = refer(entry->key());
      if (ref.slot != slot) continue;
      erase_entry(ref, const_cast<Entry&>(*entry));
      ++purge.erased;
    }
    if (purge.cursor != HashTable::kEnd) continue;
    purge.cursor = 0;
    break;
  }
  return purge;
}

bool Keyspace::tick(Instant now) {
  begin_turn();
  bool is_left = tables_->wheel.run(now, kTimersPerTick, [this](Entry& entry) {
    ++stats_.expired;
    erase_entry(refer(entry.key()), entry);
  });
  work_on(tables_->tables[next_idle_table_]);
  next_idle_table_ = (next_idle_table_ + 1) % SlotIndex::kTables;
  is_left |= drop_flushed();
  spares_.drop_one();
  refresh_budget();
  evictor_->set_pressure(budget_.bytes_used, budget_.bytes_max);
  for (size_t i = 0; i < kReclaimsPerTick && budget_.is_over() && !is_turn_spent(); ++i) {
    const bool has_changed = reclaim(now);
    refresh_budget();
    if (!has_changed) return is_left;
  }
  const Heap& heap = tables_->heap;
  if (heap.is_compacting() || heap.bytes_free() * 100 > heap.bytes_held() * kHolesPercent) {
    is_left |= compact(kBlocksMovedPerTick);
    refresh_budget();
  }
  return is_left || budget_.is_over();
}

Status Keyspace::set_policy(std::string_view name, Instant now) {
  auto evictor = make_evictor(name, tables_->heap.memory(), *this);
  if (!evictor) return std::unexpected(evictor.error());
  evictor_ = std::move(*evictor);
  std::vector<const Entry*> entries;
  uint64_t cursor = 0;
  do {
    entries.clear();
    cursor = scan(cursor, 64, Instant::min(), entries);
    for (const Entry* seen : entries) {
      auto& entry = const_cast<Entry&>(*seen);
      entry.word0 = entry.word1 = 0;
      entry.set_policy_marks(0);
      evictor_->on_insert(tables_->id_of(entry), hash64(entry.key(), hash_seed_), weight_of(entry), now);
    }
  } while (cursor != 0);
  refresh_budget();
  evictor_->set_pressure(budget_.bytes_used, budget_.bytes_max);
  return {};
}

}  // namespace tidemark::cacheserver
