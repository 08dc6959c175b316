// GETL, SETV and INVAL as a client writes and reads them (docs/PROTOCOL.md).
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
#include "base/wire/resp_value.h"

namespace tidemark::client {

struct GetlHit {
  std::string value;
  int64_t bound_ms = -1;
};
struct GetlAbsent {
  int64_t bound_ms = -1;
};
struct GetlMiss {
  std::string lease;
  Lsn need;                      // a replica must have replayed this far
  bool is_visible_soon = false;  // a commit on this key may not be visible on the primary yet
};
struct GetlBusy {
  int64_t retry_ms = 0;
};
struct GetlBypass {
  std::string reason;  // NOTJOINED, BEHIND
};
using GetlReply = std::variant<GetlHit, GetlAbsent, GetlMiss, GetlBusy, GetlBypass>;

std::string make_getl(std::string_view key, std::optional<int64_t> max_stale_ms);
// kCorrupt when the reply has no form of the protocol; error replies must be handled before.
Result<GetlReply> parse_getl(RespValue reply);

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
