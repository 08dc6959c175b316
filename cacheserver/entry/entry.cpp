#include "cacheserver/entry/entry.h"

#include "base/invariant.h"
#include "cacheserver/entry/far_value.h"

namespace tidemark::cacheserver {
namespace {

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

}  // namespace

size_t Entry::bytes_needed(const Shape& shape) {
  const size_t fixed =
      sizeof(ItemHead) + (shape.has_expiry ? kExpiryBytes : 0) + (shape.has_claims ? kClaimsBytes : 0) + shape.key_size;
  if (shape.is_far()) return fixed + kSizesBytes + kFarBytes;
  return fixed + (shape.is_small() ? 0 : kSizesBytes) + shape.value_size;
}

void Entry::form(const Shape& shape) {
  INVARIANT(shape.key_size <= kKeyBytesMax && shape.value_size <= kValueBytesMax, shape.key_size, shape.value_size);
  const BlockKind kind = shape.is_far() ? BlockKind::kFar : shape.is_small() ? BlockKind::kSmall : BlockKind::kWide;
  word0 = word1 = 0;
  block =
      static_cast<uint8_t>((block & (kBlockPreviousFree | kBlockSpareMask)) | (shape.has_expiry ? kBlockHasExpiry : 0) |
                           (shape.has_claims ? kBlockHasClaims : 0) | static_cast<unsigned>(kind) << kBlockKindShift);
  marks = 0;
  key_size = value_size = 0;
  if (kind == BlockKind::kSmall) {
    key_size = static_cast<uint8_t>(shape.key_size);
    value_size = static_cast<uint8_t>(shape.value_size);
  } else {
    store_at(bytes() + sizeof(ItemHead), static_cast<uint32_t>(shape.key_size));
    store_at(bytes() + sizeof(ItemHead) + 4, static_cast<uint32_t>(shape.value_size));
  }
  if (shape.has_expiry) std::memset(bytes() + expiry_offset(), 0, kExpiryBytes);
  if (shape.has_claims) std::memset(bytes() + claims_offset(), 0, kClaimsBytes);
}

void Entry::set_value_size(size_t size) {
  if (is_wide()) {
    store_at(bytes() + sizeof(ItemHead) + 4, static_cast<uint32_t>(size));
  } else {
    value_size = static_cast<uint8_t>(size);
  }
}

const char* Entry::far_begin() const {
  return far_value()->data();
}

FarValue* Entry::far_value() const {
  return load_at<FarValue*>(key_begin() + key_bytes());
}

void Entry::set_far_value(FarValue* value) {
  store_at(key_mutable() + key_bytes(), value);
}

std::optional<Instant> Entry::expires_at() const {
  if (!has_expiry_section()) return std::nullopt;
  auto micros = load_at<int64_t>(bytes() + expiry_offset());
  if (micros == kNever) return std::nullopt;
  return Instant(Duration(micros));
}

void Entry::set_expiry(std::optional<Instant> expires_at) {
  int64_t micros = expires_at ? expires_at->time_since_epoch().count() : kNever;
  if (expires_at && micros == kNever) micros = 1;  // the one instant that the mark for "never" takes
  store_at(bytes() + expiry_offset(), micros);
}

EntryClaims Entry::claims() const {
  const char* at = bytes() + claims_offset();
  return {.shard = load_at<ShardId>(at + kShard),
          .db_epoch = load_at<DbEpoch>(at + kDbEpoch),
          .bucket_epoch = load_at<BucketEpoch>(at + kBucketEpoch),
          .proof = static_cast<ProofKind>(at[kProof]),
          .is_absent = (at[kClaimFlags] & kClaimAbsent) != 0,
          .lo = Lsn{load_at<uint64_t>(at + kLo)},
          .hi = Lsn{load_at<uint64_t>(at + kHi)},
          .xmin = load_at<Xid>(at + kXmin),
          .soft_ttl_ms = load_at<uint32_t>(at + kSoftTtl)};
}

void Entry::set_claims(const EntryClaims& claims) {
  char* at = bytes() + claims_offset();
  store_at(at + kShard, claims.shard);
  store_at(at + kDbEpoch, claims.db_epoch);
  store_at(at + kBucketEpoch, claims.bucket_epoch);
  at[kProof] = static_cast<char>(claims.proof);
  at[kClaimFlags] = static_cast<char>(claims.is_absent ? kClaimAbsent : 0);
  store_at(at + kLo, claims.lo.value);
  store_at(at + kHi, claims.hi.value);
  store_at(at + kXmin, claims.xmin);
  store_at(at + kSoftTtl, claims.soft_ttl_ms);
}

}  // namespace tidemark::cacheserver
