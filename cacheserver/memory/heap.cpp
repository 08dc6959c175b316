#include "cacheserver/memory/heap.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/invariant.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kMinBlockBytes = 16;  // head and the size at the end of a free one
constexpr unsigned kLogSteps = 4;
constexpr unsigned kLogExact = 8;
constexpr uint8_t kHeapBits = kBlockFree | kBlockPreviousFree | kBlockSpareMask;

void store_free_size(ItemHead& head, size_t granules) {
  const auto size = static_cast<uint32_t>(granules);
  head.marks = static_cast<uint8_t>(size);
  head.key_size = static_cast<uint8_t>(size >> 8);
  head.value_size = static_cast<uint8_t>(size >> 16);
}

size_t load_free_size(const ItemHead& head) {
  return head.marks | size_t{head.key_size} << 8 | size_t{head.value_size} << 16;
}

size_t spare_of(const ItemHead& head) {
  return (head.block & kBlockSpareMask) >> kBlockSpareShift;
}

}  // namespace

Heap::Heap(unsigned granule_shift, size_t chunk_bytes, size_t range_bytes)
    : shift_(granule_shift),
      chunk_bytes_(chunk_bytes),
      granules_min_(kMinBlockBytes >> granule_shift),
      range_(std::min((size_t{1} << 32 << granule_shift) - kChunkBytes, range_bytes), chunk_bytes),
      memory_(reinterpret_cast<std::byte*>(range_.base()), granule_shift) {
  INVARIANT(granule_shift >= kGranuleShiftMin && granule_shift <= kGranuleShiftMax, granule_shift);
}

Heap::~Heap() = default;

size_t Heap::granules(size_t bytes) const {
  return std::max(granules_min_, (bytes + (size_t{1} << shift_) - 1) >> shift_);
}

size_t Heap::granules_of(const ItemHead& used) const {
  return granules(content_bytes(used)) + spare_of(used);
}

uint64_t Heap::end_of_chunk(size_t chunk) const {
  const bool is_filling = fresh_ < fresh_end_ && fresh_ / chunk_bytes_ == chunk;
  return is_filling ? fresh_ : (chunk + 1) * chunk_bytes_;
}

void Heap::set_previous_free(uint64_t offset, bool value) {
  if (offset == fresh_ || offset % chunk_bytes_ == 0) return;  // nothing there, or another chunk
  ItemHead& head = at(id_at(offset));
  head.block = static_cast<uint8_t>(value ? head.block | kBlockPreviousFree : head.block & ~kBlockPreviousFree);
}

// --- lists of free blocks --------------------------------------------------------------------------------------------

size_t Heap::bin_below(size_t granules) {
  if (granules < kExactBins) return granules;
  const unsigned log = static_cast<unsigned>(std::bit_width(granules)) - 1;
  return kExactBins + (log - kLogExact) * kSteps + ((granules >> (log - kLogSteps)) & (kSteps - 1));
}

size_t Heap::bin_above(size_t granules) {
  if (granules < kExactBins) return granules;
  const unsigned log = static_cast<unsigned>(std::bit_width(granules)) - 1;
  return bin_below(granules + (size_t{1} << (log - kLogSteps)) - 1);
}

size_t Heap::next_bin(size_t from) const {
  for (size_t word = from / 64; word < bin_bits_.size(); ++word) {
    uint64_t bits = bin_bits_[word];
    if (word == from / 64) bits &= ~uint64_t{0} << (from % 64);
    if (bits != 0) return word * 64 + static_cast<size_t>(std::countr_zero(bits));
  }
  return kBins;
}

void Heap::list(ItemId id, size_t granules) {
  ItemHead& head = at(id);
  const size_t bin = bin_below(granules);
  head.block = kBlockFree;
  store_free_size(head, granules);
  store_at(reinterpret_cast<char*>(&head) + (granules << shift_) - sizeof(uint32_t), static_cast<uint32_t>(granules));
  head.word0 = bins_[bin];
  head.word1 = kNoItem;
  if (bins_[bin] != kNoItem) at(bins_[bin]).word1 = id;
  bins_[bin] = id;
  bin_bits_[bin / 64] |= uint64_t{1} << (bin % 64);
}

void Heap::unlist(ItemId id, size_t granules) {
  ItemHead& head = at(id);
  const size_t bin = bin_below(granules);
  if (head.word0 != kNoItem) at(head.word0).word1 = head.word1;
  if (head.word1 != kNoItem) {
    at(head.word1).word0 = head.word0;
  } else {
    bins_[bin] = head.word0;
    if (head.word0 == kNoItem) bin_bits_[bin / 64] &= ~(uint64_t{1} << (bin % 64));
  }
}

// --- allocation ------------------------------------------------------------------------------------------------------

ItemId Heap::allocate(size_t bytes, bool is_needed) {
  INVARIANT(bytes <= block_bytes_max(), bytes);
  const size_t wanted = granules(bytes);
  if (ItemId id = take_listed(wanted)) return id;
  if (ItemId id = take_fresh(wanted, is_needed)) return id;
  return take_roomy(wanted);
}

ItemId Heap::allocate_raw(size_t bytes, uint32_t owner) {
  const size_t whole = sizeof(ItemHead) + bytes;
  ItemId id = allocate(whole, true);
  if (id == kNoItem) return kNoItem;
  ItemHead& head = at(id);
  head.block |= static_cast<uint8_t>(static_cast<uint8_t>(BlockKind::kRaw) << kBlockKindShift);
  head.word0 = static_cast<uint32_t>(whole);
  head.word1 = owner;
  return id;
}

bool Heap::can_allocate(size_t bytes) const {
  const size_t wanted = granules(bytes);
  if (wanted < kExactBins ? bins_[wanted] != kNoItem : find_in_class(wanted) != kNoItem) return true;
  return next_bin(bin_above(wanted + granules_min_)) < kBins || fits_fresh(wanted, false) ||
         fits_new_chunk(wanted, false);
}

ItemId Heap::take_listed(size_t granules) {
  if (granules >= kExactBins) {
    if (ItemId id = find_in_class(granules)) return take(id, granules);
  } else if (bins_[granules] != kNoItem) {
    return take_from_bin(granules, granules);
  }
  const size_t bin = next_bin(bin_above(granules + granules_min_));
  return bin < kBins ? take_from_bin(bin, granules) : kNoItem;
}

// Of the class that holds smaller ones and larger ones: what an entry of the same size has left is near the front.
// Blocks of the chunk that is being evacuated only if there is no other.
ItemId Heap::find_in_class(size_t granules) const {
  ItemId found = kNoItem;
  ItemId id = bins_[bin_below(granules)];
  for (int i = 0; i < kCandidates && id != kNoItem; ++i, id = at(id).word0) {
    if (load_free_size(at(id)) < granules) continue;
    found = id;
    if (evacuated_ == kNoChunk || chunk_of(id) != evacuated_) break;
  }
  return found;
}

// Blocks of the chunk that is being evacuated would only be moved again: another one, if it is near.
ItemId Heap::take_from_bin(size_t bin, size_t granules) {
  ItemId chosen = bins_[bin];
  if (evacuated_ != kNoChunk) {
    ItemId id = chosen;
    for (int i = 0; i < kCandidates && id != kNoItem; ++i, id = at(id).word0) {
      if (chunk_of(id) == evacuated_) continue;
      chosen = id;
      break;
    }
  }
  return take(chosen, granules);
}

ItemId Heap::take(ItemId id, size_t granules) {
  const size_t size = load_free_size(at(id));
  unlist(id, size);
  holes_ -= size;
  chunks_[chunk_of(id)].free_granules -= static_cast<uint32_t>(size);
  return use(id, size, granules);
}

// The last resort before nothing: a block that is a little larger, the rest of which is too small to be one.
ItemId Heap::take_roomy(size_t granules) {
  for (size_t size = granules + 1; size < std::min(granules + granules_min_, kExactBins); ++size) {
    if (bins_[size] != kNoItem) return take_from_bin(size, granules);
  }
  return kNoItem;
}

// `id` is an unlisted block of `size` granules that nobody counts; makes a used block of it, the rest a free one.
ItemId Heap::use(ItemId id, size_t size, size_t granules) {
  const uint64_t offset = offset_of(id);
  size_t rest = size - granules;
  if (rest >= granules_min_) {
    list(id_at(offset + (granules << shift_)), rest);
    holes_ += rest;
    chunks_[chunk_of(id)].free_granules += static_cast<uint32_t>(rest);
    rest = 0;
  } else {
    set_previous_free(offset + (size << shift_), false);
  }
  at(id).block = static_cast<uint8_t>(rest << kBlockSpareShift);
  used_ += granules + rest;
  return id;
}

bool Heap::fits_fresh(size_t granules, bool is_needed) const {
  const uint64_t end = fresh_ + (granules << shift_);
  if (end > fresh_end_) return false;
  return is_needed || end <= touched_ || bytes_held() + (end - touched_) <= held_max_;
}

bool Heap::fits_new_chunk(size_t granules, bool is_needed) const {
  const bool exists = !spare_chunks_.empty() || (chunks_.size() + 1) * chunk_bytes_ <= range_.bytes();
  const size_t untouched = (fresh_end_ - touched_) + (granules << shift_) + kFirstOffset;
  return exists && (is_needed || bytes_held() + untouched <= held_max_);
}

ItemId Heap::take_fresh(size_t granules, bool is_needed) {
  if (!fits_fresh(granules, is_needed)) {
    const bool is_full = fresh_ + (granules << shift_) > fresh_end_;
    if (!is_full || !fits_new_chunk(granules, is_needed)) return kNoItem;
    close_fresh();
    open_chunk();
  }
  const ItemId id = id_at(fresh_);
  fresh_ += granules << shift_;
  size_t spare = (fresh_end_ - fresh_) >> shift_;
  if (spare < granules_min_) {
    fresh_ = fresh_end_;
  } else {
    spare = 0;
  }
  touched_ = std::max(touched_, fresh_);
  at(id).block = static_cast<uint8_t>(spare << kBlockSpareShift);
  used_ += granules + spare;
  return id;
}

// --- chunks ----------------------------------------------------------------------------------------------------------

void Heap::open_chunk() {
  size_t chunk = chunks_.size();
  if (!spare_chunks_.empty()) {
    chunk = spare_chunks_.back();
    spare_chunks_.pop_back();
  } else {
    chunks_.emplace_back();
    range_.commit(chunk);
  }
  ++held_chunks_;
  chunks_[chunk].is_held = true;
  adopt_chunk(chunk, false);
}

void Heap::adopt_chunk(size_t chunk, bool is_touched) {
  chunks_[chunk].free_granules = 0;
  fresh_ = begin_of_chunk(chunk);
  fresh_end_ = (chunk + 1) * chunk_bytes_;
  touched_ = is_touched ? fresh_end_ : fresh_;
}

// What is left of the chunk becomes a free block, and the chunk may become one huge page.
void Heap::close_fresh() {
  if (fresh_end_ == 0) return;
  const size_t chunk = (fresh_end_ - 1) / chunk_bytes_;
  const uint64_t begin = std::exchange(fresh_, 0);
  const size_t rest = (std::exchange(fresh_end_, 0) - begin) >> shift_;
  touched_ = 0;
  if (rest > 0) {
    list(id_at(begin), rest);
    holes_ += rest;
    chunks_[chunk].free_granules += static_cast<uint32_t>(rest);
  }
  range_.make_huge(chunk);
}

void Heap::release_chunk(size_t chunk) {
  chunks_[chunk] = {};
  --held_chunks_;
  ++chunks_freed_;
  range_.release(chunk);
  spare_chunks_.push_back(chunk);
}

bool Heap::drop(size_t chunks_max) {
  fresh_ = fresh_end_ = touched_ = 0;
  for (; dropped_ < chunks_.size() && chunks_max > 0; ++dropped_) {
    if (!chunks_[dropped_].is_held) continue;
    release_chunk(dropped_);
    --chunks_max;
  }
  if (dropped_ < chunks_.size()) return false;
  used_ = holes_ = 0;
  return true;
}

// --- freeing ---------------------------------------------------------------------------------------------------------

void Heap::release(ItemId id) {
  uint64_t offset = offset_of(id);
  const size_t chunk = offset / chunk_bytes_;
  size_t size = granules_of(at(id));
  used_ -= size;
  size_t joined = 0;
  if (at(id).block & kBlockPreviousFree) {
    const char* end = reinterpret_cast<const char*>(&at(id));
    const size_t before = load_at<uint32_t>(end - sizeof(uint32_t));
    offset -= before << shift_;
    unlist(id_at(offset), before);
    joined += before;
  }
  const uint64_t after = offset + ((joined + size) << shift_);
  const bool is_filling = fresh_end_ == (chunk + 1) * chunk_bytes_;
  if (is_filling && after == fresh_) {  // the chunk being filled gets it back
    fresh_ = offset;
    holes_ -= joined;
    chunks_[chunk].free_granules -= static_cast<uint32_t>(joined);
    return;
  }
  if (after < end_of_chunk(chunk) && is_free(at(id_at(after)))) {
    const size_t behind = load_free_size(at(id_at(after)));
    unlist(id_at(after), behind);
    joined += behind;
  }
  holes_ += size;
  chunks_[chunk].free_granules += static_cast<uint32_t>(size);
  size += joined;
  const bool is_whole = (size << shift_) == (chunk + 1) * chunk_bytes_ - begin_of_chunk(chunk);
  if (is_whole && chunk != evacuated_) {
    holes_ -= size;
    return release_chunk(chunk);
  }
  list(id_at(offset), size);
  set_previous_free(offset + (size << shift_), true);
}

bool Heap::refit(ItemId id, size_t bytes) {
  ItemHead& head = at(id);
  const size_t size = granules_of(head);
  const size_t wanted = granules(bytes);
  if (wanted > size) return false;
  size_t rest = size - wanted;
  if (rest >= granules_min_) {
    const ItemId tail = id_at(offset_of(id) + (wanted << shift_));
    ItemHead& cut = at(tail);
    cut = {};
    cut.block = static_cast<uint8_t>(static_cast<uint8_t>(BlockKind::kRaw) << kBlockKindShift);
    cut.word0 = static_cast<uint32_t>(rest << shift_);
    release(tail);
    rest = 0;
  }
  head.block = static_cast<uint8_t>((head.block & ~kBlockSpareMask) | rest << kBlockSpareShift);
  return true;
}

// --- compaction ------------------------------------------------------------------------------------------------------

size_t Heap::emptiest_chunk(unsigned holes_percent) const {
  size_t chosen = kNoChunk;
  size_t most = (chunk_bytes_ >> shift_) * holes_percent / 100;
  const size_t filling = fresh_ < fresh_end_ ? fresh_ / chunk_bytes_ : kNoChunk;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    if (!chunks_[i].is_held || chunks_[i].free_granules < most || i == filling) continue;
    chosen = i;
    most = chunks_[i].free_granules + 1;
  }
  return chosen;
}

bool Heap::begin_compaction(unsigned holes_percent) {
  const size_t chunk = emptiest_chunk(holes_percent);
  if (chunk == kNoChunk) return false;
  if (fresh_ == fresh_end_) close_fresh();  // a full chunk must not take blocks back while it is emptied
  evacuated_ = chunk;
  cursor_ = begin_of_chunk(chunk);
  return true;
}

bool Heap::compact(size_t blocks_max, size_t bytes_max, unsigned holes_percent, BlockMover& mover) {
  if (evacuated_ == kNoChunk && !begin_compaction(holes_percent)) return false;
  const uint64_t end = (evacuated_ + 1) * chunk_bytes_;
  size_t bytes = 0;
  for (size_t i = 0; i < blocks_max && bytes < bytes_max && cursor_ < end; ++i) {
    const ItemId id = id_at(cursor_);
    const bool was_free = is_free(at(id));
    const size_t size = was_free ? load_free_size(at(id)) : granules_of(at(id));
    if (was_free) {
      unlist(id, size);
      set_previous_free(cursor_ + (size << shift_), false);
    } else {
      if (!move_block(id, size, mover)) return i > 0;
      bytes += size << shift_;
    }
    cursor_ += size << shift_;
  }
  if (cursor_ == end) finish_compaction();
  return true;
}

bool Heap::move_block(ItemId from, size_t size, BlockMover& mover) {
  const size_t bytes = content_bytes(at(from));
  const size_t held_max = held_max_;
  held_max_ += std::min(ahead_, SIZE_MAX - held_max);
  const ItemId to = allocate(bytes);
  held_max_ = held_max;
  if (to == kNoItem) return false;
  ItemHead& source = at(from);
  ItemHead& target = at(to);
  const uint8_t heap_bits = target.block & kHeapBits;
  std::memcpy(static_cast<void*>(&target), &source, bytes);
  target.block = static_cast<uint8_t>((target.block & ~kHeapBits) | heap_bits);
  if (kind_of(target) == BlockKind::kRaw) {
    mover.on_raw_moved(from, to);
  } else {
    mover.on_entry_moved(from, to);
  }
  source.block = kBlockFree;
  store_free_size(source, size);
  used_ -= size;
  holes_ += size;
  chunks_[evacuated_].free_granules += static_cast<uint32_t>(size);
  ++blocks_moved_;
  bytes_moved_ += bytes;
  return true;
}

void Heap::finish_compaction() {
  const size_t chunk = std::exchange(evacuated_, kNoChunk);
  cursor_ = 0;
  holes_ -= chunks_[chunk].free_granules;
  if (fresh_ < fresh_end_ || bytes_held() > held_max_) return release_chunk(chunk);
  adopt_chunk(chunk, true);
  ++chunks_freed_;
}

// --- checking --------------------------------------------------------------------------------------------------------

void Heap::check() const {
  size_t used = 0, holes = 0, held = 0, unlisted = 0;
  std::vector<size_t> listed(kBins);
  for (size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
    if (!chunks_[chunk].is_held) continue;
    ++held;
    size_t chunk_holes = 0;
    bool is_previous_free = false;
    uint64_t offset = begin_of_chunk(chunk);
    while (offset < end_of_chunk(chunk)) {
      const ItemHead& head = at(id_at(offset));
      const bool is_passed = chunk == evacuated_ && offset < cursor_;
      INVARIANT(((head.block & kBlockPreviousFree) != 0) == is_previous_free || is_passed, offset, head.block);
      const size_t size = is_free(head) ? load_free_size(head) : granules_of(head);
      INVARIANT(size >= granules_min_, offset, size);
      (is_free(head) ? chunk_holes : used) += size;
      if (is_free(head)) ++(is_passed ? unlisted : listed[bin_below(size)]);
      INVARIANT(!is_passed || is_free(head), offset);
      is_previous_free = is_free(head) && !is_passed;
      offset += size << shift_;
    }
    INVARIANT(offset == end_of_chunk(chunk), offset, chunk);
    INVARIANT(chunk_holes == chunks_[chunk].free_granules, chunk, chunk_holes, chunks_[chunk].free_granules);
    holes += chunk_holes;
  }
  INVARIANT(used == used_ && holes == holes_ && held == held_chunks_, used, used_, holes, holes_, held, held_chunks_);
  for (size_t bin = 0; bin < kBins; ++bin) {
    size_t length = 0;
    for (ItemId id = bins_[bin]; id != kNoItem; id = at(id).word0) {
      INVARIANT(is_free(at(id)) && bin_below(load_free_size(at(id))) == bin, id, bin);
      ++length;
    }
    INVARIANT(length == listed[bin], bin, length, listed[bin]);
    INVARIANT((length > 0) == ((bin_bits_[bin / 64] >> (bin % 64) & 1) != 0), bin);
  }
}

}  // namespace tidemark::cacheserver
