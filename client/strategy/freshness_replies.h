// GETL, SETV, INVAL and TIDE as a client writes and reads them (docs/PROTOCOL.md).
//
// Threads: pure functions. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/proof/proof.h"
#include "base/result.h"
#include "base/topology/topology.h"
#include "base/wire/resp_value.h"

namespace tidemark::client {

// What an entry says of itself. Nodes of before this was said leave it unknown.
struct GetlClaims {
  Lsn lo;                   // every commit up to here is in it
  std::optional<Lsn> hi{};  // none beyond is; nothing: unknown
  DbEpoch db_epoch = 0;     // of both; 0: unknown
};
struct GetlHit {
  std::string value;
  int64_t bound_ms = -1;
  GetlClaims claims;
};
struct GetlAbsent {
  int64_t bound_ms = -1;
  GetlClaims claims;
};
struct GetlMiss {
  std::string lease;
  Lsn need;                      // a replica must have replayed this far
  bool is_visible_soon = false;  // a commit on this key may not be visible on the primary yet
  Lsn settled;                   // snapshots of the primary from now on see every commit up to here; zero: unknown
};
struct GetlBusy {
  int64_t retry_ms = 0;
};
struct GetlBypass {
  std::string reason;  // NOTJOINED, BEHIND, EPOCH, LOST, MOVED
};
using GetlReply = std::variant<GetlHit, GetlAbsent, GetlMiss, GetlBusy, GetlBypass>;

// What a session must find in the answer.
struct GetlAfter {
  DbEpoch db_epoch = 0;
  Lsn lsn;
};
// `owner`: the key's bucket's, as the client knows it; a node that knows another answers BYPASS MOVED.
std::string make_getl(std::string_view key, std::optional<int64_t> max_stale_ms, std::optional<GetlAfter> after = {},
                      std::optional<BucketOwner> owner = {});
// kCorrupt when the reply has no form of the protocol; error replies must be handled before.
Result<GetlReply> parse_getl(RespValue reply);

// What TIDE says of one shard.
struct TideOfShard {
  DbEpoch db_epoch = 0;
  Lsn settled;
};
std::string make_tide();
std::optional<TideOfShard> parse_tide(const RespValue& reply, ShardId shard);  // nothing: not joined, or no answer

enum class FillVerdict : uint8_t { kOk, kKept, kLease, kEpoch, kOlder, kFloor, kError };
std::string_view to_string(FillVerdict verdict);

struct Fill {
  std::string_view key;
  std::string_view lease;
  Proof proof;
  std::string_view value;  // ignored when absent
  std::optional<Lsn> hi;   // goes with an R proof
  bool is_absent = false;
};
std::string make_setv(const Fill& fill);
FillVerdict parse_setv(const RespValue& reply);

inline constexpr size_t kInvalKeysMax = 1024;
// At most kInvalKeysMax keys of one slot.
std::string make_inval(ShardId shard, DbEpoch db_epoch, Lsn lsn, Xid xid, std::span<const std::string_view> keys);

}  // namespace tidemark::client
