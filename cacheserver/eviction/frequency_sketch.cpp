#include "cacheserver/eviction/frequency_sketch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace tidemark::cacheserver {
namespace {

constexpr size_t kWays = 32;
constexpr uint16_t kCount = 0x000f;
constexpr uint64_t kFingerprints = 0xfff0fff0fff0fff0;
constexpr uint64_t kHalvedCounts = 0x0007000700070007;

using Ways = std::array<uint16_t, kWays>;

Ways ways_of(const LineTable::Line& line) {
  Ways ways;
  std::memcpy(ways.data(), line.words.data(), sizeof ways);
  return ways;
}

uint16_t fingerprint_of(uint64_t hash) {
  return static_cast<uint16_t>(hash >> 48) & static_cast<uint16_t>(~kCount);
}

// A bit per way. Written so that compilers make vector code of it.
template <typename Is>
uint32_t find(const Ways& ways, Is&& is) {
  uint32_t found = 0;
  for (size_t i = 0; i < kWays; ++i) found |= uint32_t{is(ways[i])} << i;
  return found;
}

uint32_t find_fingerprint(const Ways& ways, uint16_t fingerprint) {
  return find(ways, [fingerprint](uint16_t way) { return (way & ~kCount) == fingerprint && (way & kCount) != 0; });
}

uint16_t least_count(const Ways& ways) {
  uint16_t least = kCount;
  for (const uint16_t way : ways) least = std::min<uint16_t>(least, way & kCount);
  return least;
}

}  // namespace

void FrequencySketch::start(size_t items) {
  accesses_ = next_aged_ = 0;
  table_.start(lines_for(items));
}

void FrequencySketch::increment(uint64_t hash) {
  LineTable::Line& line = table_.get(hash);
  Ways ways = ways_of(line);
  const uint16_t fingerprint = fingerprint_of(hash);
  uint16_t* way = nullptr;
  if (const uint32_t found = find_fingerprint(ways, fingerprint); found != 0) {
    way = &ways[static_cast<size_t>(std::countr_zero(found))];
    if ((*way & kCount) == kCount) return;
    ++*way;
  } else {
    // Among the least often seen, any: which one depends on the hash.
    const uint16_t least = least_count(ways);
    const uint32_t given_up = find(ways, [least](uint16_t other) { return (other & kCount) == least; });
    const int turn = static_cast<int>(hash >> 40 & (kWays - 1));
    way = &ways[static_cast<size_t>(std::countr_zero(std::rotr(given_up, turn)) + turn) % kWays];
    *way = fingerprint | 1;
  }
  std::memcpy(line.words.data(), ways.data(), sizeof ways);
  if (++accesses_ < kAccessesPerAgedLine) return;
  accesses_ = 0;
  age_one_line();
}

uint32_t FrequencySketch::frequency_of(uint64_t hash) const {
  const LineTable::Line* line = is_started() ? table_.find(hash) : nullptr;
  if (line == nullptr) return 0;
  const Ways ways = ways_of(*line);
  const uint32_t found = find_fingerprint(ways, fingerprint_of(hash));
  return found == 0 ? 0 : ways[static_cast<size_t>(std::countr_zero(found))] & kCount;
}

void FrequencySketch::age_one_line() {
  if (next_aged_ >= table_.lines()) next_aged_ = 0;
  if (LineTable::Line* line = table_.line_at(next_aged_)) {
    for (uint64_t& word : line->words) word = (word & kFingerprints) | (word >> 1 & kHalvedCounts);
  }
  ++next_aged_;
}

}  // namespace tidemark::cacheserver
