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

std::unexpected<Error> not_an_answer(const RespValue& reply) {
  return fail(ErrorCode::kCorrupt, "not an answer to GETL: " + reply.to_string().substr(0, 200));
}

}  // namespace

std::string make_getl(std::string_view key, std::optional<int64_t> max_stale_ms) {
  if (!max_stale_ms) return make_request({"GETL", key});
  return make_request({"GETL", key, "MAXSTALE", std::to_string(*max_stale_ms)});
}

Result<GetlReply> parse_getl(RespValue reply) {
  if (reply.kind != Kind::kArray || reply.elements.empty()) return not_an_answer(reply);
  auto& parts = reply.elements;
  const std::string& what = parts[0].text;
  if (what == "HIT" && parts.size() >= 3) {
    if (auto bound = number_of(parts[2])) return GetlHit{std::move(parts[1].text), *bound};
  } else if (what == "ABSENT" && parts.size() >= 2) {
    if (auto bound = number_of(parts[1])) return GetlAbsent{*bound};
  } else if (what == "MISS" && parts.size() >= 4) {
    auto need = Lsn::parse(parts[2].text);
    auto visible = number_of(parts[3]);
    if (need && visible && !parts[1].text.empty()) return GetlMiss{std::move(parts[1].text), *need, *visible != 0};
  } else if (what == "BUSY" && parts.size() >= 2) {
    if (auto retry = number_of(parts[1])) return GetlBusy{std::max<int64_t>(*retry, 0)};
  } else if (what == "BYPASS" && parts.size() >= 2) {
    return GetlBypass{std::move(parts[1].text)};
  }
  return not_an_answer(reply);
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
