// One cached item, in a block of the worker's heap: a 12-byte head, optional sections, the key, the value.
// docs/ENTRY_LAYOUT.md is the map, memory/block.h the one of the block.
//
//     0        4        8       9       10         11           12
//     | word 0 | word 1 | block | marks | key size | value size | [sizes 8] [expiry 16] [claims 40] key value
//
// An item without a time to live and without claims pays 12 bytes. Only entries filled from a database carry
// EntryClaims: which commits the value is proven to contain. A value of kFarValueBytes and more lies in pages of its
// own, and the entry holds the address.
//
// Invariants: key and sections never change size in place; the words and the low marks belong to the eviction policy.
// Threads: owned by one worker's Keyspace; references live until the next call that changes the keyspace. I/O: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/proof/lsn.h"
#include "cacheserver/memory/block.h"

namespace tidemark::cacheserver {

inline constexpr size_t kValueBytesMax = size_t{512} << 20;  // as in Redis; the same bound holds for keys
inline constexpr size_t kFarValueBytes = size_t{64} << 10;   // from here on a value lies in pages of its own
inline constexpr size_t kKeyBytesMax = size_t{128} << 10;    // a key lies in its block, always

enum class ValueType : uint8_t { kString = 0 };
enum class ValueEncoding : uint8_t {
  kText = 0,        // the bytes as they came
  kEditedText = 1,  // edited in place (APPEND, SETRANGE): OBJECT ENCODING says "raw"
};

enum class ProofKind : uint8_t {
  kReplica = 0,
  kSnapshot = 1,
  kStream = 2
};  // kStream: installed from the change stream

// What a value filled from a database is proven to contain, and the most it can contain.
struct EntryClaims {
  ShardId shard = 0;
  DbEpoch db_epoch = 0;
  BucketEpoch bucket_epoch = 0;
  ProofKind proof = ProofKind::kReplica;
  bool is_absent = false;    // the proven value is "no such row"; the entry's value is empty
  Lsn lo;                    // contains every commit <= lo
  Lsn hi;                    // contains no commit > hi
  Xid xmin = 0;              // kSnapshot: contains every committed xid < xmin
  uint32_t soft_ttl_ms = 0;  // 0 = none; after it a refresh is welcome, the value still stands

  bool operator==(const EntryClaims&) const = default;
};

class FarValue;

// Most keys are short: two loads each instead of a call.
inline bool are_same_bytes(const char* a, const char* b, size_t size) {
  constexpr size_t kWord = sizeof(uint64_t);
  if (size >= kWord && size <= 2 * kWord) [[likely]] {
    const size_t last = size - kWord;
    return load_at<uint64_t>(a) == load_at<uint64_t>(b) && load_at<uint64_t>(a + last) == load_at<uint64_t>(b + last);
  }
  return size == 0 || std::memcmp(a, b, size) == 0;
}

class Entry : public ItemHead {
 public:
  // What decides the size of an entry.
  struct Shape {
    size_t key_size = 0;
    size_t value_size = 0;
    bool has_expiry = false;
    bool has_claims = false;

    bool is_far() const { return value_size >= kFarValueBytes; }
    bool is_small() const { return key_size <= kSmallSizeMax && value_size <= kSmallSizeMax; }
  };
  static size_t bytes_needed(const Shape& shape);  // in its block

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  std::string_view key() const { return {key_begin(), key_bytes()}; }
  bool has_key(std::string_view other) const {
    return key_bytes() == other.size() && are_same_bytes(key_begin(), other.data(), other.size());
  }
  std::string_view value() const { return {value_begin(), value_bytes()}; }
  char* value_mutable() { return const_cast<char*>(value_begin()); }
  ValueType type() const { return static_cast<ValueType>(marks >> kTypeShift); }
  ValueEncoding encoding() const { return static_cast<ValueEncoding>(marks >> kEncodingShift & 1); }
  void set_encoding(ValueEncoding encoding) {
    marks = static_cast<uint8_t>((marks & ~(1u << kEncodingShift)) | static_cast<unsigned>(encoding) << kEncodingShift);
  }

  bool has_expiry_section() const { return (block & kBlockHasExpiry) != 0; }
  std::optional<Instant> expires_at() const;
  bool is_expired(Instant now) const {
    if (!has_expiry_section()) [[likely]]
      return false;
    auto at = expires_at();
    return at && *at <= now;
  }

  bool has_claims() const { return (block & kBlockHasClaims) != 0; }  // true: filled from a database
  EntryClaims claims() const;                                         // requires has_claims()
  void set_claims(const EntryClaims& claims);                         // requires has_claims()

  bool is_far() const { return kind_of(*this) == BlockKind::kFar; }
  FarValue* far_value() const;  // requires is_far()
  // Text as it came, of so many bytes, in its block, without sections: overwriting it changes nothing but the bytes.
  bool is_plain_text(size_t size) const {
    constexpr unsigned kOther = kBlockHasExpiry | kBlockHasClaims | 3u << kBlockKindShift;
    return (block & kOther) == 0 && value_size == size && marks < (1u << kEncodingShift);
  }

  // Makes an entry of a fresh block, whose heap bits stay; sections are zero. Key and value are the caller's to write,
  // who owns the table that the entry goes into.
  void form(const Shape& shape);

 private:
  friend class Keyspace;
  friend class ExpiryWheel;
  static constexpr int64_t kNever = 0;
  static constexpr unsigned kEncodingShift = 4, kTypeShift = 5;  // in marks: one bit, three bits

  Entry() = default;

  bool is_wide() const { return kind_of(*this) != BlockKind::kSmall; }
  const char* bytes() const { return reinterpret_cast<const char*>(this); }
  char* bytes() { return reinterpret_cast<char*>(this); }
  size_t expiry_offset() const { return sizeof(ItemHead) + (is_wide() ? kSizesBytes : 0); }
  size_t claims_offset() const { return expiry_offset() + (has_expiry_section() ? kExpiryBytes : 0); }
  size_t key_offset() const { return claims_offset() + (has_claims() ? kClaimsBytes : 0); }
  const char* key_begin() const { return bytes() + key_offset(); }
  char* key_mutable() { return const_cast<char*>(key_begin()); }
  size_t key_bytes() const { return is_wide() ? load_at<uint32_t>(bytes() + sizeof(ItemHead)) : key_size; }
  size_t value_bytes() const { return is_wide() ? load_at<uint32_t>(bytes() + sizeof(ItemHead) + 4) : value_size; }
  const char* value_begin() const {
    const char* inside = key_begin() + key_bytes();
    return is_far() ? far_begin() : inside;
  }
  const char* far_begin() const;
  Shape shape() const {
    return {.key_size = key_bytes(),
            .value_size = value_bytes(),
            .has_expiry = has_expiry_section(),
            .has_claims = has_claims()};
  }

  void set_far_value(FarValue* value);
  // Requires that the block has room for `size` bytes of value, in the same kind of block.
  void set_value_size(size_t size);

  // Requires has_expiry_section(); only the keyspace sets it, for the timer must follow.
  void set_expiry(std::optional<Instant> expires_at);
  uint32_t timer_next() const { return load_at<uint32_t>(bytes() + expiry_offset() + 8); }
  uint32_t timer_previous() const { return load_at<uint32_t>(bytes() + expiry_offset() + 12); }
  void set_timer_next(uint32_t id) { store_at(bytes() + expiry_offset() + 8, id); }
  void set_timer_previous(uint32_t id) { store_at(bytes() + expiry_offset() + 12, id); }
};
static_assert(sizeof(Entry) == 12);

}  // namespace tidemark::cacheserver
