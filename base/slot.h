// Slots and buckets: the two sizes of the same division of the key space.
//
//   slot   = crc16(hash tag or key) & 16383     the cache's unit (Redis Cluster's)
//   bucket = slot >> 2                           the database's unit: one bucket is exactly four slots
//
// So for every db-backed key a node finds the bucket, and through the topology the Postgres shard, from the slot alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark {

inline constexpr uint32_t kSlotCount = 16384;
inline constexpr uint32_t kBucketCount = 4096;
inline constexpr uint32_t kSlotsPerBucket = kSlotCount / kBucketCount;

using Slot = uint16_t;    // 0..16383
using Bucket = uint16_t;  // 0..4095

// The part of the key that is hashed: what stands between the first '{' and the next '}', if that is not empty; else
// the whole key.
std::string_view hash_tag_of(std::string_view key);
Slot slot_of_key(std::string_view key);

inline Bucket bucket_of_slot(Slot slot) { return static_cast<Bucket>(slot >> 2); }

// The bucket of a root that has a natural key (a product's sku, a session's token): the tag is the natural key itself.
Bucket bucket_of_natural_key(std::string_view natural_key);

// A short tag whose slot is exactly `slot`: what a key of a row with a bucket number, but no natural key, carries
// between its braces. Four tags exist per bucket, one for each of its slots; `slot & 3` spreads rows over them.
std::string_view tag_for_slot(Slot slot);

}  // namespace tidemark
