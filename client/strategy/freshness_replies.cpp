#include "client/strategy/freshness_replies.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/invariant.h"
#include "base/parse.h"

namespace tidemark::client {
namespace {

using Kind = RespValue::Kind;

std::optional<int64_t> number_of(const RespValue& value) {
  if (value.kind == Kind::kInteger) return value.integer;
  if (value.kind == Kind::kBulk || value.kind == Kind::kSimple) return parse_i64(value.text);
  return std::nullopt;
}

constexpr Lsn kUnknownHi{UINT64_MAX};

// lo, hi, e from `first` on; older nodes end with lo, or before it.
std::optional<GetlClaims> claims_of(const std::vector<RespValue>& parts, size_t first) {
  GetlClaims claims;
  if (parts.size() > first) {
    auto lo = Lsn::parse(parts[first].text);
    if (!lo) return std::nullopt;
    claims.lo = *lo;
  }
  if (parts.size() > first + 2) {
    auto hi = Lsn::parse(parts[first + 1].text);
    auto epoch = number_of(parts[first + 2]);
    if (!hi || !epoch || *epoch < 0 || *epoch > UINT32_MAX) return std::nullopt;
    if (*hi != kUnknownHi) claims.hi = *hi;
    claims.db_epoch = static_cast<DbEpoch>(*epoch);
  }
  return claims;
}

std::unexpected<Error> not_an_answer(const RespValue& reply) {
  return fail(ErrorCode::kCorrupt, "not an answer to GETL: " + reply.to_string().substr(0, 200));
}

}  // namespace

std::string make_getl(std::string_view key, std::optional<int64_t> max_stale_ms, std::optional<GetlAfter> after,
                      std::optional<BucketOwner> owner) {
  const std::string numbers[] = {std::to_string(max_stale_ms.value_or(0)), std::to_string(after ? after->db_epoch : 0),
                                 after ? after->lsn.to_string() : "", std::to_string(owner ? owner->shard : 0),
                                 std::to_string(owner ? owner->epoch : 0)};
  std::vector<std::string_view> arguments{"GETL", key};
  if (max_stale_ms) arguments.insert(arguments.end(), {"MAXSTALE", numbers[0]});
  if (after) arguments.insert(arguments.end(), {"AFTER", numbers[1], numbers[2]});
  if (owner) arguments.insert(arguments.end(), {"OWNER", numbers[3], numbers[4]});
  std::string out;
  append_request(out, arguments);
  return out;
}

Result<GetlReply> parse_getl(RespValue reply) {
  if (reply.kind != Kind::kArray || reply.elements.empty()) return not_an_answer(reply);
  auto& parts = reply.elements;
  const std::string& what = parts[0].text;
  if (what == "HIT" && parts.size() >= 3) {
    auto bound = number_of(parts[2]);
    auto claims = claims_of(parts, 3);
    if (bound && claims) return GetlHit{std::move(parts[1].text), *bound, *claims};
  } else if (what == "ABSENT" && parts.size() >= 2) {
    auto bound = number_of(parts[1]);
    auto claims = claims_of(parts, 2);
    if (bound && claims) return GetlAbsent{*bound, *claims};
  } else if (what == "MISS" && parts.size() >= 4) {
    auto need = Lsn::parse(parts[2].text);
    auto visible = number_of(parts[3]);
    auto settled = parts.size() >= 5 ? Lsn::parse(parts[4].text) : Lsn{};
    if (need && visible && settled && !parts[1].text.empty())
      return GetlMiss{std::move(parts[1].text), *need, *visible != 0, *settled};
  } else if (what == "BUSY" && parts.size() >= 2) {
    if (auto retry = number_of(parts[1])) return GetlBusy{std::max<int64_t>(*retry, 0)};
  } else if (what == "BYPASS" && parts.size() >= 2) {
    return GetlBypass{std::move(parts[1].text)};
  }
  return not_an_answer(reply);
}

std::string make_tide() {
  return make_request({"TIDE"});
}

std::optional<TideOfShard> parse_tide(const RespValue& reply, ShardId shard) {
  if (reply.kind != Kind::kArray) return std::nullopt;
  for (const RespValue& one : reply.elements) {
    if (one.kind != Kind::kArray || one.elements.size() < 4 || number_of(one.elements[0]) != shard) continue;
    auto epoch = number_of(one.elements[1]);
    auto settled = Lsn::parse(one.elements[3].text);
    if (!epoch || !settled || *epoch < 0 || *epoch > UINT32_MAX) return std::nullopt;
    return TideOfShard{static_cast<DbEpoch>(*epoch), *settled};
  }
  return std::nullopt;
}

std::string_view to_string(FillVerdict verdict) {
  switch (verdict) {
    case FillVerdict::kOk:
      return "ok";
    case FillVerdict::kKept:
      return "kept";
    case FillVerdict::kLease:
      return "lease";
    case FillVerdict::kEpoch:
      return "epoch";
    case FillVerdict::kOlder:
      return "older";
    case FillVerdict::kFloor:
      return "floor";
    case FillVerdict::kError:
      return "error";
  }
  return "error";
}

std::string make_setv(const Fill& fill) {
  const std::string proof = fill.proof.to_string();
  const std::string hi = fill.hi ? fill.hi->to_string() : "";
  std::vector<std::string_view> arguments{"SETV", fill.key, fill.lease, proof, fill.is_absent ? "" : fill.value};
  if (fill.proof.kind == Proof::Kind::kReplica && fill.hi) {
    arguments.push_back("HI");
    arguments.push_back(hi);
  }
  if (fill.is_absent) arguments.push_back("NEG");
  std::string out;
  append_request(out, arguments);
  return out;
}

FillVerdict parse_setv(const RespValue& reply) {
  if (!reply.is_error()) {
    return reply.text == "OK" ? FillVerdict::kOk : reply.text == "KEPT" ? FillVerdict::kKept : FillVerdict::kError;
  }
  auto words = split(reply.text, ' ');
  if (words.size() < 2 || words[0] != "REJECT") return FillVerdict::kError;
  if (words[1] == "LEASE") return FillVerdict::kLease;
  if (words[1] == "EPOCH") return FillVerdict::kEpoch;
  if (words[1] == "OLDER") return FillVerdict::kOlder;
  if (words[1] == "FLOOR") return FillVerdict::kFloor;
  return FillVerdict::kError;
}

std::string make_inval(ShardId shard, DbEpoch db_epoch, Lsn lsn, Xid xid, std::span<const std::string_view> keys) {
  INVARIANT(!keys.empty() && keys.size() <= kInvalKeysMax, keys.size());
  const std::string numbers[] = {std::to_string(shard), std::to_string(db_epoch), lsn.to_string(), std::to_string(xid)};
  std::vector<std::string_view> arguments{"INVAL", numbers[0], numbers[1], numbers[2], numbers[3]};
  arguments.insert(arguments.end(), keys.begin(), keys.end());
  std::string out;
  append_request(out, arguments);
  return out;
}

}  // namespace tidemark::client
