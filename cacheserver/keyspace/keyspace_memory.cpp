// The memory of a keyspace: room for what is written, victims, holes, what FLUSHALL left.
#include <algorithm>
#include <utility>

#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/keyspace/keyspace_tables.h"

namespace tidemark::cacheserver {
namespace {

// A write may reclaim this often, and once more per 64 bytes it asks for: its cost stays in proportion.
constexpr uint64_t kReclaimsMin = 128;
constexpr uint64_t kTurnsPerWrite = 32;       // of compaction, before a write is refused,
constexpr uint64_t kBytesPerTurn = 64 << 10;  // and one more for so many bytes asked for
constexpr uint64_t kBytesPerReclaim = 64;
constexpr int kEvictionsBeforeReserve = 8;
constexpr int kTidyStepsPerWrite = 2;
constexpr size_t kFlushedMax = 8;  // generations waiting to be given back; one more waits for the first

constexpr uint64_t kReserveMin = 128 << 10;
constexpr uint64_t kSmallHeapBytes = 64 << 20;  // up to this limit chunks are small

unsigned granule_shift_for(uint64_t memory_bytes_max) {
  constexpr uint64_t kShare = 15;  // of 16: the rest is for chunks that are being emptied
  unsigned shift = Heap::kGranuleShiftMin;
  while (shift < Heap::kGranuleShiftMax && memory_bytes_max / kShare > (uint64_t{1} << 28 << shift)) ++shift;
  return shift;
}

}  // namespace

std::unique_ptr<Keyspace::Tables> Keyspace::make_tables(uint64_t memory_bytes_max, uint64_t seed) {
  const bool is_small = memory_bytes_max > 0 && memory_bytes_max <= kSmallHeapBytes;
  return std::make_unique<Tables>(granule_shift_for(memory_bytes_max),
                                  is_small ? Heap::kSmallChunkBytes : Heap::kChunkBytes, seed);
}

uint32_t Keyspace::weight_of(const Entry& entry) const {
  const size_t far = entry.is_far() ? entry.far_value()->bytes_held() : 0;
  return static_cast<uint32_t>(tables_->heap.block_bytes(tables_->id_of(entry)) + far);
}

// --- what eviction and compaction ask and tell -----------------------------------------------------------------------

uint64_t Keyspace::hash_of(ItemId id) {
  return hash64(tables_->at(id).key(), hash_seed_);
}

uint32_t Keyspace::bytes_of(ItemId id) {
  return weight_of(tables_->at(id));
}

void Keyspace::on_entry_moved(ItemId from, ItemId to) {
  Entry& entry = tables_->at(to);
  const KeyRef ref = refer(entry.key());
  table_of(ref).replace(ref, from, to);
  tables_->wheel.on_move(entry);
  evictor_->on_move(from, to);
  const uint32_t before = weight_of(tables_->at(from)), after = weight_of(entry);  // spare granules differ
  if (before != after) evictor_->on_resize(to, before, after);
  hashed_entry_ = nullptr;
}

void Keyspace::on_raw_moved(ItemId, ItemId to) {
  const uint32_t owner = tables_->heap.at(to).word1;
  tables_->tables[HashTable::number_of_owner(owner)].on_array_moved(owner, to);
}

// --- room ------------------------------------------------------------------------------------------------------------

uint64_t Keyspace::bytes_beside_heap() const {
  uint64_t bytes =
      Tables::kFixedBytes + tables_->far_bytes + received_bytes_ + spares_.bytes() + evictor_->bytes_used();
  for (const auto& tables : flushed_) bytes += tables->bytes_held();
  return bytes;
}

void Keyspace::refresh_budget() {
  const uint64_t beside = bytes_beside_heap();
  budget_.bytes_used = beside - spares_.bytes() + tables_->heap.bytes_used();
  budget_.bytes_held = beside + tables_->heap.bytes_held();
}

// Kept free for writes that find no block of their size, so that they need not wait for compaction.
uint64_t Keyspace::reserve_bytes() const {
  const uint64_t most = 2 * tables_->heap.chunk_bytes();
  return std::min(most, std::max(budget_.bytes_max / 64, std::min(budget_.bytes_max / 16, kReserveMin)));
}

// How much of the memory a write may draw on: what is left below the reserve, the reserve, or, when everything was
// tried, as much again above the limit, which the next writes work off.
bool Keyspace::has_block(size_t bytes, size_t far_bytes, Depth depth) {
  if (far_bytes > 0 && spares_.has(far_bytes)) far_bytes = 0;  // it is counted already
  if (budget_.bytes_max != 0) {
    const uint64_t reserve = reserve_bytes();
    const uint64_t taken = bytes_beside_heap() + far_bytes + (depth == Depth::kNormal ? reserve : 0);
    const uint64_t most = budget_.bytes_max + (depth == Depth::kOverdraft ? reserve : 0);
    if (taken > most) return false;
    if (far_bytes > 0 && tables_->heap.bytes_held() > most - taken) return false;
    tables_->heap.set_bytes_held_max(most - taken);
  }
  return tables_->heap.can_allocate(bytes);
}

bool Keyspace::make_room(size_t bytes, size_t far_bytes, Instant now) {
  if (budget_.bytes_max != 0 && bytes + far_bytes > budget_.bytes_max) return false;
  evictor_->set_pressure(budget_.bytes_used, budget_.bytes_max);
  if (drop_spares(far_bytes) && has_block(bytes, far_bytes, Depth::kNormal)) return true;
  if (far_bytes == 0) {  // the common case: the victim leaves a block of the size that is wanted
    for (int i = 0; i < kEvictionsBeforeReserve; ++i) {
      if (has_block(bytes, 0, Depth::kNormal)) return true;
      if (!drop_flushed() && !evict_one(now)) break;
    }
  }
  bool is_worth_it = true;
  const uint64_t turns = kTurnsPerWrite + (bytes + far_bytes) / kBytesPerTurn;
  for (uint64_t turn = 0; turn < turns && (is_worth_it || turn == 1); ++turn) {
    if (turn > 0) {  // rather a long turn, and a chunk more, than a refusal
      begin_turn();
      tables_->heap.set_bytes_ahead(reserve_bytes() + tables_->heap.chunk_bytes());
    }
    is_worth_it = reclaim_for(bytes, far_bytes, now);
    tables_->heap.set_bytes_ahead(0);
    if (is_worth_it && has_block(bytes, far_bytes, Depth::kOverdraft)) return true;
  }
  return false;
}

// As much as one turn has time for. False: nothing is left to reclaim.
bool Keyspace::reclaim_for(size_t bytes, size_t far_bytes, Instant now) {
  for (uint64_t left = kReclaimsMin + (bytes + far_bytes) / kBytesPerReclaim; left > 0; --left) {
    if (has_block(bytes, far_bytes, Depth::kReserve)) return true;
    if (is_turn_spent()) break;  // victims alone would not leave a block of the size
    // Pages of its own: first as many holes as it needs, then chunks that are cheap to empty.
    if (tables_->heap.bytes_free() < far_bytes && evict_one(now)) continue;
    if (!reclaim(now)) return false;
  }
  return true;
}

// One step towards more free memory: what FLUSHALL left, then holes, then a victim.
bool Keyspace::reclaim(Instant now) {
  return drop_flushed() || drop_spares(0) || compact(kBlocksMovedPerStep) || evict_one(now);
}

void Keyspace::begin_turn() {
  blocks_left_ = kBlocksMovedPerTurn;
  bytes_left_ = kBytesMovedPerTurn;
}

bool Keyspace::compact(size_t blocks_max) {
  if (is_turn_spent()) return false;
  Heap& heap = tables_->heap;
  const uint64_t blocks = heap.blocks_moved(), bytes = heap.bytes_moved();
  const bool has_moved = heap.compact(std::min(blocks_max, blocks_left_), std::min(kBytesMovedPerStep, bytes_left_),
                                      kChunkHolesPercent, *this);
  blocks_left_ -= std::min<uint64_t>(blocks_left_, heap.blocks_moved() - blocks);
  bytes_left_ -= std::min<uint64_t>(bytes_left_, heap.bytes_moved() - bytes);
  return has_moved;
}

// Spares are of use to a value of their size alone: for anything else they go first. False: there are none to go.
bool Keyspace::drop_spares(size_t far_bytes) {
  if (spares_.bytes() == 0 || (far_bytes > 0 && spares_.has(far_bytes))) return false;
  spares_.clear();
  refresh_budget();
  return true;
}

bool Keyspace::is_short() const {
  return budget_.bytes_max != 0 && budget_.bytes_held + reserve_bytes() > budget_.bytes_max;
}

bool Keyspace::is_untidy() const {
  const Heap& heap = tables_->heap;
  return heap.bytes_free() * 100 > heap.bytes_held() * kHolesPercent || is_short() || heap.is_compacting();
}

// While the reserve is in use, or holes take more than their share, every write does a little about it: it moves a few
// entries of a sparse chunk, or, if no chunk is sparse enough, evicts one, but never more than twice the share. A write
// that depends on what its key holds may not evict before it has read that.
void Keyspace::tidy(Instant now, bool may_evict) {
  const Heap& heap = tables_->heap;
  for (int i = 0; i < kTidyStepsPerWrite && is_untidy(); ++i) {
    if (compact(kBlocksMovedPerStep)) continue;
    const bool is_torn = heap.bytes_free() * 100 > heap.bytes_held() * kHolesPercent * 2;
    if (!may_evict || !is_short() || is_torn || !evict_one(now)) return;
  }
}

bool Keyspace::evict_one(Instant now) {
  if (Entry* due = tables_->wheel.first_due(now); due != nullptr && due->is_expired(now)) {
    ++stats_.expired;
    erase_entry(refer(due->key()), *due);
    return true;
  }
  const ItemId id = evictor_->choose_victim(now);
  if (id == kNoItem) return false;
  Entry& victim = tables_->at(id);
  const KeyRef ref = refer(victim.key());
  evictor_->on_evict(id, ref.hash, weight_of(victim));
  take_out(ref, victim);
  ++(victim.is_expired(now) ? stats_.expired : stats_.evicted);
  destroy(victim);
  refresh_budget();
  return true;
}

bool Keyspace::reserve(uint64_t bytes, Instant now) {
  for (uint64_t left = kReclaimsMin + bytes / kBytesPerReclaim; left > 0; --left) {
    if (budget_.bytes_max == 0 || budget_.bytes_used + bytes <= budget_.bytes_max) return true;
    if (bytes > budget_.bytes_max || (!drop_flushed() && !evict_one(now))) break;
  }
  if (budget_.bytes_used + bytes <= budget_.bytes_max) return true;
  ++stats_.refused_for_memory;
  return false;
}

void Keyspace::set_memory_limit(uint64_t bytes_max) {
  budget_.bytes_max = bytes_max;
  spares_.set_bytes_max(bytes_max == 0 ? kSparesBytesMax
                                       : std::min<uint64_t>(kSparesBytesMax, bytes_max / kReceivedShare));
  tables_->heap.set_bytes_held_max(SIZE_MAX);
  refresh_budget();
  evictor_->set_pressure(budget_.bytes_used, budget_.bytes_max);
}

// --- what FLUSHALL left ----------------------------------------------------------------------------------------------

void Keyspace::flush() {
  if (size_ == 0) return;
  while (flushed_.size() >= kFlushedMax) drop_flushed();
  const std::string policy(evictor_->name());
  auto fresh = make_tables(budget_.bytes_max, hash_seed_);  // may throw: nothing has changed yet
  flushed_.push_back(std::exchange(tables_, std::move(fresh)));
  evictor_ = *make_evictor(policy, tables_->heap.memory(), *this);
  size_ = 0;
  hashed_entry_ = nullptr;
  refresh_budget();
  evictor_->set_pressure(budget_.bytes_used, budget_.bytes_max);
}

bool Keyspace::drop_flushed() {
  if (flushed_.empty()) return false;
  if (flushed_.front()->drop(kChunksDroppedPerTick)) flushed_.pop_front();
  refresh_budget();
  return true;
}

// --- reports ---------------------------------------------------------------------------------------------------------

size_t Keyspace::bytes_of(const Entry& entry) const {
  size_t tables = 0;
  for (const HashTable& table : tables_->tables) tables += table.bytes_used();
  return weight_of(entry) + (size_ == 0 ? 0 : tables / size_);
}

MemoryReport Keyspace::memory_report() const {
  MemoryReport report;
  for (const HashTable& table : tables_->tables) report.tables += table.bytes_used();
  report.entries = tables_->heap.bytes_used() - std::min<uint64_t>(tables_->heap.bytes_used(), report.tables);
  report.tables += Tables::kFixedBytes;
  report.far_values = tables_->far_bytes + received_bytes_;
  report.policy = evictor_->bytes_used();
  report.holes = tables_->heap.bytes_held() - tables_->heap.bytes_used() + spares_.bytes();
  for (const auto& tables : flushed_) report.flushed += tables->bytes_held();
  report.blocks_moved = tables_->heap.blocks_moved();
  return report;
}

std::optional<uint64_t> Keyspace::idle_seconds(const Entry& entry, Instant now) const {
  return evictor_->idle_seconds(tables_->id_of(entry), now);
}

std::optional<uint64_t> Keyspace::frequency(const Entry& entry) const {
  return evictor_->frequency(tables_->id_of(entry));
}

void Keyspace::check() const {
  tables_->heap.check();
}

}  // namespace tidemark::cacheserver
