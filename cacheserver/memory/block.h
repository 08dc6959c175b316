// What lies in a chunk of memory: blocks without gaps, each beginning with the twelve bytes of an ItemHead.
//
//     entry, small   | head 12 | expiry 16? | claims 40? | key | value |          key and value up to 255 bytes each
//     entry, wide    | head 12 | sizes 8 | expiry 16? | claims 40? | key | value |
//     entry, far     | head 12 | sizes 8 | expiry 16? | claims 40? | key | address of the value 8 |
//     raw            | head 12: word0 = size, word1 = the owner's | anything |
//     free           | head 12: word0, word1 = neighbours in a free list; size in 24 bits | … | size 4 |
//
// Sizes of blocks are whole granules (4, 8 or 16 bytes); an entry's follows from its own fields, so nothing is paid for
// it. `block` holds:  bit 0 free · 1 the block before is free and listed · 2-3 spare granules at the end (used blocks)
//                     4 expiry · 5 claims · 6-7 kind
// Threads: none. I/O: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cacheserver/eviction/item.h"

namespace tidemark::cacheserver {

enum BlockBit : uint8_t {
  kBlockFree = 1,
  kBlockPreviousFree = 2,
  kBlockHasExpiry = 16,
  kBlockHasClaims = 32,
};
enum class BlockKind : uint8_t { kSmall = 0, kWide = 1, kFar = 2, kRaw = 3 };

inline constexpr unsigned kBlockSpareShift = 2;
inline constexpr uint8_t kBlockSpareMask = 3 << kBlockSpareShift;
inline constexpr unsigned kBlockKindShift = 6;
inline constexpr size_t kSpareGranulesMax = 3;

inline constexpr size_t kSizesBytes = 8;      // u32 key size, u32 value size
inline constexpr size_t kExpiryBytes = 16;    // i64 microseconds, u32 next and u32 previous timer
inline constexpr size_t kClaimsBytes = 40;    // docs/ENTRY_LAYOUT.md
inline constexpr size_t kFarBytes = 8;        // where a value outside of the chunks lies
inline constexpr size_t kSmallSizeMax = 255;  // of key and of value

inline BlockKind kind_of(const ItemHead& head) {
  return static_cast<BlockKind>(head.block >> kBlockKindShift);
}
inline bool is_free(const ItemHead& head) {
  return (head.block & kBlockFree) != 0;
}

template <typename T>
T load_at(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
void store_at(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

inline size_t sections_bytes(uint8_t block) {
  return (block & kBlockHasExpiry ? kExpiryBytes : 0) + (block & kBlockHasClaims ? kClaimsBytes : 0);
}

// Bytes that the content of a used block takes; raw blocks count in bytes too.
inline size_t content_bytes(const ItemHead& head) {
  const size_t fixed = sizeof(ItemHead) + sections_bytes(head.block);
  if (kind_of(head) == BlockKind::kSmall) return fixed + head.key_size + head.value_size;
  if (kind_of(head) == BlockKind::kRaw) return head.word0;
  const char* sizes = reinterpret_cast<const char*>(&head) + sizeof(ItemHead);
  const size_t value = kind_of(head) == BlockKind::kFar ? kFarBytes : load_at<uint32_t>(sizes + sizeof(uint32_t));
  return fixed + kSizesBytes + load_at<uint32_t>(sizes) + value;
}

}  // namespace tidemark::cacheserver
