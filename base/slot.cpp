#include "base/slot.h"

#include <array>

#include "base/hash.h"

namespace tidemark {
namespace {

struct ShortTag {
  std::array<char, 4> text{};
  uint8_t size = 0;
};

// The first tag, in the order of counting 0, 1, 2, … in base 36, that falls into each slot.
std::array<ShortTag, kSlotCount> make_tags() {
  static constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::array<ShortTag, kSlotCount> tags{};
  uint32_t found = 0;
  for (uint32_t number = 0; found < kSlotCount; ++number) {
    ShortTag tag;
    for (uint32_t rest = number; tag.size == 0 || rest != 0; rest /= 36) tag.text[tag.size++] = kDigits[rest % 36];
    auto slot = static_cast<size_t>(crc16({tag.text.data(), tag.size}) & (kSlotCount - 1));
    if (tags[slot].size == 0) {
      tags[slot] = tag;
      ++found;
    }
  }
  return tags;
}

}  // namespace

std::string_view hash_tag_of(std::string_view key) {
  size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

Slot slot_of_key(std::string_view key) { return static_cast<Slot>(crc16(hash_tag_of(key)) & (kSlotCount - 1)); }

Bucket bucket_of_natural_key(std::string_view natural_key) {
  return bucket_of_slot(static_cast<Slot>(crc16(natural_key) & (kSlotCount - 1)));
}

std::string_view tag_for_slot(Slot slot) {
  static const auto kTags = make_tags();
  const ShortTag& tag = kTags[slot & (kSlotCount - 1)];
  return {tag.text.data(), tag.size};
}

}  // namespace tidemark
