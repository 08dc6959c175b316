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

Entry* Keyspace::sample_entry() {
  if (size_ == 0) return nullptr;
  for (int i = 0; i < kSampleTries; ++i) {
    const uint64_t rank = next_random(random_state_) % size_;
    const HashTable& table = tables_->tables[tables_->slots.table_of_rank(rank)];
    if (Entry* entry = table.sample(next_random(random_state_))) return entry;
  }
  return nullptr;
}

const Entry* Keyspace::random(Instant now) {
  for (int i = 0; i < kRandomTries; ++i) {
    const Entry* entry = sample_entry();
    if (entry != nullptr && !entry->is_expired(now)) return entry;
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
  tables_->of(slot).collect_slot(slot, count_max, entries);
  std::vector<std::string_view> keys;
  for (const Entry* entry : entries) {
    if (!entry->is_expired(now)) keys.push_back(entry->key());
  }
  return keys;
}

bool Keyspace::tick(Instant now) {
  bool is_left = tables_->wheel.run(now, kTimersPerTick, [this](Entry& entry) {
    ++stats_.expired;
    erase_entry(refer(entry.key()), &entry);
  });
  work_on(tables_->tables[next_idle_table_]);
  next_idle_table_ = (next_idle_table_ + 1) % SlotIndex::kTables;
  if (!flushed_.empty()) free_flushed(kFreedPerTick);
  for (size_t i = 0; i < kEvictionsPerTick && budget_.is_over() && evict_one(now); ++i) {
  }
  return is_left || !flushed_.empty() || budget_.is_over();
}

void Keyspace::flush() {
  flushed_.push_back(std::move(tables_));
  flushed_bytes_ += entry_bytes_;
  entry_bytes_ = 0;
  size_ = 0;
  tables_ = std::make_unique<Tables>(hash_seed_);
  policy_->on_clear();
  refresh_budget();
}

// Entries first, table by table; then the generation itself. Returns how much was done, 0 if nothing is left.
size_t Keyspace::free_flushed(size_t count_max) {
  if (flushed_.empty()) return 0;
  Tables& oldest = *flushed_.front();
  size_t freed = 0;
  for (; oldest.drained < SlotIndex::kTables && freed < count_max; ++oldest.drained) {
    HashTable& table = oldest.tables[oldest.drained];
    freed += table.drain(count_max - freed, flushed_bytes_);
    if (table.size() > 0) break;
  }
  if (oldest.drained == SlotIndex::kTables) flushed_.pop_front();
  refresh_budget();
  return freed + 1;
}

Status Keyspace::set_policy(std::string_view name, Instant now) {
  auto policy = make_eviction_policy(name);
  if (!policy) return std::unexpected(policy.error());
  policy_ = std::move(*policy);
  std::vector<const Entry*> entries;
  uint64_t cursor = 0;
  do {
    entries.clear();
    cursor = scan(cursor, 64, Instant::min(), entries);
    for (const Entry* entry : entries) {
      policy_->on_insert(const_cast<Entry&>(*entry), refer(entry->key()).hash, now);
    }
  } while (cursor != 0);
  refresh_budget();
  return {};
}

}  // namespace tidemark::cacheserver
