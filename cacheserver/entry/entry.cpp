#include "cacheserver/entry/entry.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/invariant.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kAllocatorHeaderBytes = 8;  // glibc keeps the size of a block in the 8 bytes before it

// Offsets inside the claims section; docs/ENTRY_LAYOUT.md.
enum ClaimsOffset : size_t {
  kLo = 0,
  kHi = 8,
  kXmin = 16,
  kDbEpoch = 24,
  kBucketEpoch = 28,
  kSoftTtl = 32,
  kShard = 36,
  kProof = 38,
  kClaimFlags = 39,
};
constexpr uint8_t kClaimAbsent = 1;

template <typename T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void store(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

}  // namespace

size_t Entry::bytes_needed(const Shape& shape) {
  return sizeof(Entry) + (shape.key_size >= kWideKeyMark ? kWideKeyBytes : 0) + (shape.has_expiry ? kExpiryBytes : 0) +
         (shape.has_claims ? kClaimsBytes : 0) + shape.key_size + shape.value_size;
}

Entry* Entry::create(const Shape& shape) {
  INVARIANT(shape.key_size <= kValueBytesMax && shape.value_size <= kValueBytesMax, shape.key_size, shape.value_size);
  void* memory = std::malloc(bytes_needed(shape));
  if (memory == nullptr) throw std::bad_alloc();
  auto* entry = new (memory) Entry();
  bool is_wide = shape.key_size >= kWideKeyMark;
  entry->value_size_ = static_cast<uint32_t>(shape.value_size);
  entry->key_size_ = is_wide ? kWideKeyMark : static_cast<uint16_t>(shape.key_size);
  entry->flags_ = static_cast<uint8_t>((is_wide ? kHasWideKey : 0) | (shape.has_expiry ? kHasExpiry : 0) |
                                       (shape.has_claims ? kHasClaims : 0));
  char* sections = const_cast<char*>(entry->sections());
  if (is_wide) store(sections, static_cast<uint32_t>(shape.key_size));
  if (shape.has_expiry) std::memset(sections + entry->expiry_offset(), 0, kExpiryBytes);
  return entry;
}

void Entry::destroy(Entry* entry) {
  std::free(entry);
}

size_t Entry::wide_key_size() const {
  return load<uint32_t>(sections());
}

std::optional<Instant> Entry::expires_at() const {
  if (!has_expiry_section()) return std::nullopt;
  auto micros = load<int64_t>(sections() + expiry_offset());
  if (micros == kNever) return std::nullopt;
  return Instant(Duration(micros));
}

void Entry::set_expiry(std::optional<Instant> expires_at) {
  int64_t micros = expires_at ? expires_at->time_since_epoch().count() : kNever;
  if (expires_at && micros == kNever) micros = 1;  // the one instant that the mark for "never" takes
  store(const_cast<char*>(sections()) + expiry_offset(), micros);
}

uint32_t Entry::timer() const {
  return has_expiry_section() ? load<uint32_t>(sections() + expiry_offset() + sizeof(int64_t)) : 0;
}

void Entry::set_timer(uint32_t timer) {
  store(const_cast<char*>(sections()) + expiry_offset() + sizeof(int64_t), timer);
}

EntryClaims Entry::claims() const {
  const char* at = sections() + claims_offset();
  return {.shard = load<ShardId>(at + kShard),
          .db_epoch = load<DbEpoch>(at + kDbEpoch),
          .bucket_epoch = load<BucketEpoch>(at + kBucketEpoch),
          .proof = static_cast<ProofKind>(at[kProof]),
          .is_absent = (at[kClaimFlags] & kClaimAbsent) != 0,
          .lo = Lsn{load<uint64_t>(at + kLo)},
          .hi = Lsn{load<uint64_t>(at + kHi)},
          .xmin = load<Xid>(at + kXmin),
          .soft_ttl_ms = load<uint32_t>(at + kSoftTtl)};
}

void Entry::set_claims(const EntryClaims& claims) {
  char* at = const_cast<char*>(sections()) + claims_offset();
  store(at + kShard, claims.shard);
  store(at + kDbEpoch, claims.db_epoch);
  store(at + kBucketEpoch, claims.bucket_epoch);
  at[kProof] = static_cast<char>(claims.proof);
  at[kClaimFlags] = static_cast<char>(claims.is_absent ? kClaimAbsent : 0);
  store(at + kLo, claims.lo.value);
  store(at + kHi, claims.hi.value);
  store(at + kXmin, claims.xmin);
  store(at + kSoftTtl, claims.soft_ttl_ms);
}

bool Entry::has_room_for(const Shape& shape) const {
  return shape.has_claims == has_claims() && shape.has_expiry == has_expiry_section() &&
         bytes_needed(shape) <= malloc_usable_size(const_cast<Entry*>(this));
}

bool Entry::fits_in_place(const Shape& shape) const {
  if (!has_room_for(shape)) return false;
  size_t room = malloc_usable_size(const_cast<Entry*>(this));
  return room <= kSmallBlockBytes || bytes_needed(shape) >= room / 2;
}

size_t Entry::bytes_allocated() const {
  return malloc_usable_size(const_cast<Entry*>(this)) + kAllocatorHeaderBytes;
}

}  // namespace tidemark::cacheserver
