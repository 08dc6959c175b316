// What a fill carries to show which commits its value contains.
//
//   R:<p>:<e>:<be>:<lsn>                     read on a standby; every commit <= lsn is in the value. The LSN was read in
//                                            a statement that ended, on the same backend, before the data snapshot.
//   S:<p>:<e>:<be>:<xmin>:<xmax>:<xip,…>:<lsn>  read on a primary under that snapshot; lsn is `hi`, an upper bound of the
//                                            commits it can contain (pg_current_wal_insert_lsn() of the last statement).
//
// p = shard, e = db_epoch (tidemark.epoch), be = bucket_epoch (shard.bucket): e and be are read from the shard in the
// data's own snapshot, never asserted by the client. An R proof gets its `hi` through SETV's HI option.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/proof/lsn.h"
#include "base/proof/pg_snapshot.h"

namespace tidemark {

struct Proof {
  enum class Kind : uint8_t { kReplica, kSnapshot };

  Kind kind = Kind::kReplica;
  ShardId shard = 0;
  DbEpoch db_epoch = 0;
  BucketEpoch bucket_epoch = 0;
  Lsn lsn;              // kReplica: contains every commit <= lsn.  kSnapshot: hi
  PgSnapshot snapshot;  // kSnapshot only

  bool operator==(const Proof&) const = default;
  std::string to_string() const;
  static std::optional<Proof> parse(std::string_view text);
};

}  // namespace tidemark
