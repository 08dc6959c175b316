// A hash table of 64-byte lines that grows one line at a time, with no rehash: linear hashing.
//
//     5 lines: hashes ending in 000 and 100 have lines of their own (0 and 4), …01, …10 and …11 share 1, 2 and 3.
//     Growing to 6 copies line 1 to line 5: what was noted for …001 and …101 is in both, as rough as it was before.
//
// Lines are allocated in chunks, zeroed, when first written to; a chunk never written to takes no memory. What a
// cleared table held is freed a chunk at a time.
// Threads: one worker's own. I/O: none. Source: W. Litwin, "Linear hashing", VLDB 1980.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tidemark::cacheserver {

class LineTable {
 public:
  static constexpr size_t kLinesPerChunk = 64;  // 4 KiB
  static constexpr size_t kLinesMax = size_t{1} << 28;
  static constexpr size_t kSplitsPerCall = 2;
  struct alignas(64) Line {
    std::array<uint16_t, 32> cells;
  };

  // Empty, with room for `lines`.
  void start(size_t lines);
  // Takes a few steps towards `lines`; never shrinks.
  void grow_towards(size_t lines);
  void clear();
  void free_some();  // of what was cleared: one chunk

  size_t lines() const { return lines_; }
  // The line of a hash: its low bits say where. nullptr: nothing was ever written there.
  const Line* find(uint64_t hash) const { return line_at(index_of(hash)); }
  Line& get(uint64_t hash) { return allocated(index_of(hash)); }
  Line* line_at(size_t index) const {
    Chunk* chunk = chunks_[index / kLinesPerChunk].get();
    return chunk == nullptr ? nullptr : &(*chunk)[index % kLinesPerChunk];
  }
  void prefetch(uint64_t hash) const {
    if (lines_ != 0) __builtin_prefetch(find(hash), 1);
  }
  size_t bytes_used() const {
    return (chunks_allocated_ + retired_.size()) * sizeof(Chunk) + chunks_.capacity() * sizeof(void*);
  }

 private:
  using Chunk = std::array<Line, kLinesPerChunk>;
  size_t index_of(uint64_t hash) const {
    const size_t index = hash & mask_;
    return index < lines_ ? index : index & (mask_ >> 1);
  }
  Line& allocated(size_t index);
  void set_lines(size_t lines);

  size_t lines_ = 0;
  size_t mask_ = 0;  // twice the largest power of two not above lines_, less one
  size_t chunks_allocated_ = 0;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<std::unique_ptr<Chunk>> retired_;
};

}  // namespace tidemark::cacheserver
