#include "cacheserver/eviction/frequency_sketch.h"

#include <algorithm>
#include <bit>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tidemark::cacheserver {
namespace {

constexpr uint16_t kCount = 0x000f;
constexpr uint16_t kFingerprint = 0xfff0;

using Line = LineTable::Line;
constexpr size_t kWays = std::tuple_size_v<decltype(Line::cells)>;

uint16_t fingerprint_of(uint64_t hash) {
  return static_cast<uint16_t>(hash >> 48) & kFingerprint;
}

// A bit per way in which the bits of `mask` are `wanted`.
uint32_t find(const Line& line, uint16_t mask, uint16_t wanted) {
  uint32_t found = 0;
#if defined(__SSE2__)
  const __m128i masks = _mm_set1_epi16(static_cast<int16_t>(mask));
  const __m128i value = _mm_set1_epi16(static_cast<int16_t>(wanted));
  const auto equal = [&](size_t at) {
    const __m128i cells = _mm_load_si128(reinterpret_cast<const __m128i*>(&line.cells[at]));
    return _mm_cmpeq_epi16(_mm_and_si128(cells, masks), value);
  };
  for (size_t at = 0; at < kWays; at += 16) {
    const __m128i both = _mm_packs_epi16(equal(at), equal(at + 8));
    found |= static_cast<uint32_t>(_mm_movemask_epi8(both)) << at;
  }
#else
  for (size_t i = 0; i < kWays; ++i) found |= uint32_t{(line.cells[i] & mask) == wanted} << i;
#endif
  return found;
}

size_t first_of(uint32_t found) {
  return static_cast<size_t>(std::countr_zero(found));
}

uint16_t least_count(const Line& line) {
  uint16_t least = kCount;
  for (const uint16_t cell : line.cells) least = std::min<uint16_t>(least, cell & kCount);
  return least;
}

}  // namespace

void FrequencySketch::start(size_t items) {
  accesses_ = next_aged_ = 0;
  table_.start(lines_for(items));
}

void FrequencySketch::increment(uint64_t hash) {
  Line& line = table_.get(hash);
  const uint16_t fingerprint = fingerprint_of(hash);
  if (const uint32_t found = find(line, kFingerprint, fingerprint); found != 0) {
    uint16_t& cell = line.cells[first_of(found)];
    if ((cell & kCount) == kCount) return;
    ++cell;
  } else {
    // Among the least often seen, any: which one depends on the hash.
    const uint32_t given_up = find(line, kCount, least_count(line));
    const int turn = static_cast<int>(hash >> 40 & (kWays - 1));
    line.cells[(first_of(std::rotr(given_up, turn)) + static_cast<size_t>(turn)) % kWays] = fingerprint | 1;
  }
  if (++accesses_ < kAccessesPerAgedLine) return;
  accesses_ = 0;
  age_one_line();
}

uint32_t FrequencySketch::frequency_of(uint64_t hash) const {
  const Line* line = is_started() ? table_.find(hash) : nullptr;
  if (line == nullptr) return 0;
  const uint32_t found = find(*line, kFingerprint, fingerprint_of(hash));
  return found == 0 ? 0 : line->cells[first_of(found)] & kCount;
}

void FrequencySketch::age_one_line() {
  if (next_aged_ >= table_.lines()) next_aged_ = 0;
  if (Line* line = table_.line_at(next_aged_)) {
    for (uint16_t& cell : line->cells) cell = static_cast<uint16_t>((cell & kFingerprint) | (cell >> 1 & kCount >> 1));
  }
  ++next_aged_;
}

}  // namespace tidemark::cacheserver
