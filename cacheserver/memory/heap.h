// The memory of a worker's entries and tables: blocks in chunks of 2 MiB, named by 32-bit ids.
//
//     chunk   |used|used|free|used|   free   |used| … |used|······ never used yet ······|
//                        └──listed by size──┘            └ taken when no listed block fits
//
// A block costs nothing but the rounding to a granule: its size is read from the entry in it. A freed block joins free
// neighbours and is listed under its size, exactly below 256 granules, in classes of 1/16 above; so the common case,
// an entry that replaces one of the same size, is one pop. What overwriting leaves behind is bounded by compaction: the
// entries of the emptiest chunk move elsewhere, a few per call, and the chunk is used anew or returned.
//
// A full chunk may become one huge page. Sources: segregated fits and boundary tags, Knuth (TAOCP 1, 2.5) and Masmano
// et al., "TLSF" (2004); evacuation of sparse chunks, Rumble et al., "Log-structured memory for DRAM-based storage"
// (2014).
//
// Limits: a block is at most block_bytes_max(); the heap 2^32 granules less one chunk. Bounds: allocate and release
// look at kCandidates blocks at most. Threads: one worker's own. I/O: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cacheserver/memory/block.h"
#include "cacheserver/memory/pages.h"

namespace tidemark::cacheserver {

// Told by compaction where a block went. `to` holds a copy already; `from` is still readable.
class BlockMover {
 public:
  virtual void on_entry_moved(ItemId from, ItemId to) = 0;
  virtual void on_raw_moved(ItemId from, ItemId to) = 0;

 protected:
  ~BlockMover() = default;
};

class Heap {
 public:
  static constexpr size_t kChunkBytes = PageRange::kHugeBytes;   // of a big heap
  static constexpr size_t kSmallChunkBytes = size_t{256} << 10;  // of one that may hold a few MiB only
  static constexpr unsigned kGranuleShiftMin = 2, kGranuleShiftMax = 4;
  static constexpr int kCandidates = 8;

  // Granules of 2^shift bytes: 2 for up to 16 GiB, 3 for 32, 4 for 64.
  // `range_bytes`: of address space, if less than that is wanted.
  explicit Heap(unsigned granule_shift, size_t chunk_bytes = kChunkBytes, size_t range_bytes = SIZE_MAX);
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  size_t chunk_bytes() const { return chunk_bytes_; }
  size_t block_bytes_max() const { return chunk_bytes_ - 1024; }
  ItemMemory memory() const { return memory_; }
  ItemHead& at(ItemId id) const { return memory_.at(id); }
  bool contains(const void* address) const {
    return address >= range_.base() && address < range_.base() + range_.bytes();
  }

  // A block with room for `bytes`; its content is the caller's to write, but for bits 1-3 of `block`, which stay the
  // heap's. kNoItem: no free block fits, and the heap may not hold more (see set_bytes_held_max).
  ItemId allocate(size_t bytes) { return allocate(bytes, false); }
  // A raw block, whatever the limit says: tables cannot do without. kNoItem: the heap's range is used up.
  ItemId allocate_raw(size_t bytes, uint32_t owner);
  bool can_allocate(size_t bytes) const;
  void release(ItemId id);
  // True if content of `bytes` fits into the used block; what is left over is freed or becomes spare. Call it before
  // changing the fields that the size follows from.
  bool refit(ItemId id, size_t bytes);

  size_t block_bytes(ItemId id) const { return granules_of(at(id)) << shift_; }
  size_t bytes_used() const { return used_ << shift_; }                                        // in used blocks
  size_t bytes_held() const { return held_chunks_ * chunk_bytes_ - (fresh_end_ - touched_); }  // from the system
  size_t bytes_free() const { return holes_ << shift_; }                                       // in free blocks
  size_t bytes_fresh() const { return fresh_end_ - fresh_; }  // of the chunk being filled
  void set_bytes_held_max(size_t bytes) { held_max_ = bytes; }
  // By so much compaction may exceed it meanwhile, so that a chunk it has begun to empty can be emptied.
  void set_bytes_ahead(size_t bytes) { ahead_ = bytes; }

  // Moves blocks out of the chunk with most holes until `blocks_max` or `bytes_max` is reached. True: something was
  // done. False: no chunk is worth it (its holes are under `holes_percent`), or there is no room to move to.
  bool compact(size_t blocks_max, size_t bytes_max, unsigned holes_percent, BlockMover& mover);
  bool is_compacting() const { return evacuated_ != kNoChunk; }
  uint64_t blocks_moved() const { return blocks_moved_; }
  uint64_t bytes_moved() const { return bytes_moved_; }
  uint64_t chunks_freed() const { return chunks_freed_; }

  // Gives all chunks back bit by bit, whatever is in them; the heap is of no other use afterwards. True: done.
  bool drop(size_t chunks_max);

  // Walks everything and stops the process if a size, a link or a count is wrong. For tests.
  void check() const;

 private:
  static constexpr size_t kNoChunk = SIZE_MAX;
  static constexpr size_t kExactBins = 256;
  static constexpr size_t kSteps = 16;  // classes per power of two above
  static constexpr size_t kBins = kExactBins + kSteps * 12;
  static constexpr size_t kFirstOffset = 64;  // in chunk 0: id 0 names nothing

  struct Chunk {
    uint32_t free_granules = 0;  // holes; not what was never used
    bool is_held = false;
  };

  ItemId allocate(size_t bytes, bool is_needed);
  size_t granules(size_t bytes) const;
  size_t granules_of(const ItemHead& used) const;
  uint64_t offset_of(ItemId id) const { return uint64_t{id} << shift_; }
  ItemId id_at(uint64_t offset) const { return static_cast<ItemId>(offset >> shift_); }
  size_t chunk_of(ItemId id) const { return offset_of(id) / chunk_bytes_; }
  uint64_t end_of_chunk(size_t chunk) const;  // of what was ever used in it

  static size_t bin_below(size_t granules);  // the bin that a block of this size is listed in
  static size_t bin_above(size_t granules);  // the first bin whose blocks all have this size
  size_t next_bin(size_t from) const;        // the first bin that is not empty; kBins: none
  void list(ItemId id, size_t granules);
  void unlist(ItemId id, size_t granules);
  ItemId take_listed(size_t granules);
  ItemId find_in_class(size_t granules) const;
  ItemId take_from_bin(size_t bin, size_t granules);
  ItemId take(ItemId id, size_t granules);  // a listed block, or the beginning of it
  ItemId take_roomy(size_t granules);
  ItemId take_fresh(size_t granules, bool is_needed);
  bool fits_fresh(size_t granules, bool is_needed) const;
  bool fits_new_chunk(size_t granules, bool is_needed) const;
  void open_chunk();
  void adopt_chunk(size_t chunk, bool is_touched);
  void close_fresh();
  ItemId use(ItemId id, size_t size, size_t granules);
  void set_previous_free(uint64_t offset, bool value);  // of the block at `offset`, if there is one in that chunk
  uint64_t begin_of_chunk(size_t chunk) const { return chunk == 0 ? kFirstOffset : chunk * chunk_bytes_; }
  void release_chunk(size_t chunk);

  size_t emptiest_chunk(unsigned holes_percent) const;
  bool begin_compaction(unsigned holes_percent);
  bool move_block(ItemId from, size_t size, BlockMover& mover);
  void finish_compaction();

  unsigned shift_;
  size_t chunk_bytes_;
  size_t granules_min_;
  PageRange range_;
  ItemMemory memory_;
  std::vector<Chunk> chunks_;
  std::vector<size_t> spare_chunks_;  // released ones
  size_t held_chunks_ = 0;
  size_t held_max_ = SIZE_MAX;
  size_t ahead_ = 0;
  size_t used_ = 0;
  size_t holes_ = 0;
  // What was never used of the chunk being filled; up to touched_ its pages are there already.
  uint64_t fresh_ = 0, fresh_end_ = 0, touched_ = 0;
  size_t evacuated_ = kNoChunk;
  uint64_t cursor_ = 0;  // in the evacuated chunk: before it nothing is used, and no free block is listed
  uint64_t blocks_moved_ = 0, bytes_moved_ = 0, chunks_freed_ = 0;
  size_t dropped_ = 0;
  std::array<ItemId, kBins> bins_{};
  std::array<uint64_t, (kBins + 63) / 64> bin_bits_{};
};

}  // namespace tidemark::cacheserver
