// One cached item in one allocation: a 12-byte head, optional sections, the key, the value. docs/ENTRY_LAYOUT.md is the
// map.
//
//     0        4        8     10     11      12
//     | policy | value  | key | type | flags | [wide key 4] [expiry 12] [claims 40] key value
//
// An item without a time to live and without claims pays 12 bytes (and the allocator's own). Only entries filled from a
// database carry EntryClaims: which commits the value is proven to contain.
//
// Invariants: key and sections never change size in place; the policy word belongs to the eviction policy alone.
// Threads: owned by one worker's Keyspace; references live until the next call that changes the keyspace. I/O: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/proof/lsn.h"

namespace tidemark::cacheserver {

inline constexpr size_t kValueBytesMax = size_t{512} << 20;  // as in Redis; the same bound holds for keys

enum class ValueType : uint8_t { kString = 0 };  // a nibble: 15 more to come
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

class Entry {
 public:
  // What decides the size of an entry.
  struct Shape {
    size_t key_size = 0;
    size_t value_size = 0;
    bool has_expiry = false;
    bool has_claims = false;
  };
  static size_t bytes_needed(const Shape& shape);
  // Key and value are left for the caller to write (key_mutable, value_mutable). Ends in destroy().
  static Entry* create(const Shape& shape);
  static void destroy(Entry* entry);

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  std::string_view key() const { return {key_begin(), key_size()}; }
  std::string_view value() const { return {value_begin(), value_size_}; }
  char* value_mutable() { return const_cast<char*>(value_begin()); }
  ValueType type() const { return static_cast<ValueType>(type_and_encoding_ >> 4); }
  ValueEncoding encoding() const { return static_cast<ValueEncoding>(type_and_encoding_ & 15); }
  void set_encoding(ValueEncoding encoding) {
    type_and_encoding_ = static_cast<uint8_t>((type_and_encoding_ & 0xf0) | static_cast<uint8_t>(encoding));
  }

  bool has_expiry_section() const { return flags_ & kHasExpiry; }
  std::optional<Instant> expires_at() const;
  bool is_expired(Instant now) const {
    if (!has_expiry_section()) return false;
    auto at = expires_at();
    return at && *at <= now;
  }

  bool has_claims() const { return flags_ & kHasClaims; }  // true: filled from a database, guarded by freshness
  EntryClaims claims() const;                              // requires has_claims()
  void set_claims(const EntryClaims& claims);              // requires has_claims()

  uint32_t policy_word() const { return policy_word_; }
  void set_policy_word(uint32_t word) { policy_word_ = word; }

  // What the process really pays for it: the allocator's block with its header.
  size_t bytes_allocated() const;

 private:
  friend class Keyspace;
  friend class ExpiryWheel;
  enum Flag : uint8_t { kHasWideKey = 1, kHasExpiry = 2, kHasClaims = 4, kHasVersion = 8 };
  static constexpr size_t kWideKeyBytes = 4;
  static constexpr size_t kExpiryBytes = 12;  // i64 microseconds (0 = none), u32 timer
  static constexpr size_t kClaimsBytes = 40;
  static constexpr uint16_t kWideKeyMark = 0xffff;
  static constexpr int64_t kNever = 0;
  static constexpr size_t kSmallBlockBytes = 64;

  Entry() = default;

  const char* sections() const { return reinterpret_cast<const char*>(this) + sizeof(Entry); }
  size_t expiry_offset() const { return flags_ & kHasWideKey ? kWideKeyBytes : 0; }
  size_t claims_offset() const { return expiry_offset() + (flags_ & kHasExpiry ? kExpiryBytes : 0); }
  size_t key_offset() const { return claims_offset() + (flags_ & kHasClaims ? kClaimsBytes : 0); }
  const char* key_begin() const { return sections() + key_offset(); }
  char* key_mutable() { return const_cast<char*>(key_begin()); }
  size_t key_size() const { return key_size_ != kWideKeyMark ? key_size_ : wide_key_size(); }
  size_t wide_key_size() const;
  const char* value_begin() const { return key_begin() + key_size(); }

  // Requires has_expiry_section(); only the keyspace sets it, for the timer must follow.
  void set_expiry(std::optional<Instant> expires_at);
  uint32_t timer() const;
  void set_timer(uint32_t timer);
  // Requires that the block has room for `size` bytes of value.
  void set_value_size(size_t size) { value_size_ = static_cast<uint32_t>(size); }
  // Sections are the same, the block is large enough.
  bool has_room_for(const Shape& shape) const;
  // And at most half of it would lie idle.
  bool fits_in_place(const Shape& shape) const;

  uint32_t policy_word_ = 0;
  uint32_t value_size_ = 0;
  uint16_t key_size_ = 0;
  uint8_t type_and_encoding_ = 0;
  uint8_t flags_ = 0;
};
static_assert(sizeof(Entry) == 12);

}  // namespace tidemark::cacheserver
