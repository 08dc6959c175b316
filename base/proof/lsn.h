// A position in one Postgres shard's write-ahead log. Only positions of the same shard and db_epoch are comparable.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidemark {

struct Lsn {
  uint64_t value = 0;

  auto operator<=>(const Lsn&) const = default;
  bool is_zero() const { return value == 0; }

  // Postgres's own form: "16/B374D848".
  std::string to_string() const;
  static std::optional<Lsn> parse(std::string_view text);
};

// A transaction id of 64 bits (Postgres's xid8). Commit order is not xid order.
using Xid = uint64_t;
using ShardId = uint16_t;
using DbEpoch = uint32_t;      // bumped at every promotion and crash recovery of a shard; read from the shard itself
using BucketEpoch = uint32_t;  // bumped when a bucket changes its owning shard

}  // namespace tidemark
