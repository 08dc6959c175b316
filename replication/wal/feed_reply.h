// What a worker answered to one of the invalidator's commands, read from its RESP value.
//
// Threads: pure functions. I/O: none.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "base/proof/lsn.h"
#include "base/result.h"
#include "base/wire/resp_value.h"

namespace tidemark::replication {

struct FeedOk {
  Lsn complete_through;
  uint64_t stamp = 0;
};
struct FeedTide {
  bool is_joined = false;
  DbEpoch db_epoch = 0;
  Lsn complete_through;
};
struct FeedGap {
  Lsn complete_through;  // 0/0: not joined
};
struct FeedEpoch {
  DbEpoch db_epoch = 0;
};
struct FeedStaleMap {
  uint32_t slots_version = 0;
};
struct FeedFailure {
  std::string message;  // transport, or an answer that makes no sense, or a refusal (NOPERM)
};
using FeedReply = std::variant<FeedOk, FeedTide, FeedGap, FeedEpoch, FeedStaleMap, FeedFailure>;

// Answer of INVALB, FENCE and FENCEALL.
FeedReply read_feed_reply(const Result<RespValue>& reply);
// Answer of TIDE, as far as it concerns `shard`.
FeedReply read_tide_reply(const Result<RespValue>& reply, ShardId shard);

}  // namespace tidemark::replication
