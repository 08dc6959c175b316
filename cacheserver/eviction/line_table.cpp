#include "cacheserver/eviction/line_table.h"

#include <algorithm>
#include <bit>

namespace tidemark::cacheserver {

void LineTable::start(size_t lines) {
  clear();
  set_lines(std::clamp<size_t>(lines, 1, kLinesMax));
}

void LineTable::grow_towards(size_t lines) {
  lines = std::min(lines, kLinesMax);
  for (size_t i = 0; i < kSplitsPerCall && lines_ < lines; ++i) {
    const size_t from = lines_ - std::bit_floor(lines_);
    const size_t to = lines_;
    set_lines(lines_ + 1);
    if (const Line* split = line_at(from)) allocated(to) = *split;
  }
}

void LineTable::clear() {
  for (auto& chunk : chunks_) {
    if (chunk != nullptr) retired_.push_back(std::move(chunk));
  }
  chunks_.clear();
  chunks_allocated_ = lines_ = mask_ = 0;
}

void LineTable::free_some() {
  if (retired_.empty()) return;
  retired_.pop_back();
  if (retired_.empty()) retired_.shrink_to_fit();
}

LineTable::Line& LineTable::allocated(size_t index) {
  auto& chunk = chunks_[index / kLinesPerChunk];
  if (chunk == nullptr) {
    chunk = std::make_unique<Chunk>();
    ++chunks_allocated_;
  }
  return (*chunk)[index % kLinesPerChunk];
}

void LineTable::set_lines(size_t lines) {
  lines_ = lines;
  mask_ = std::bit_floor(lines) * 2 - 1;
  chunks_.resize((lines + kLinesPerChunk - 1) / kLinesPerChunk);
}

}  // namespace tidemark::cacheserver
