#include "replication/wal/feed_reply.h"

#include "base/parse.h"

namespace tidemark::replication {
namespace {

// Numbers may come as integers or as text.
std::optional<uint64_t> number_of(const RespValue& value) {
  if (value.kind == RespValue::Kind::kInteger) {
    return value.integer < 0 ? std::nullopt : std::optional<uint64_t>(static_cast<uint64_t>(value.integer));
  }
  return parse_u64(value.text);
}

FeedReply read_error(const std::string& text) {
  auto words = split(text, ' ');
  std::string_view argument = words.size() > 1 ? words[1] : std::string_view();
  if (words[0] == "GAP") {
    if (auto lsn = Lsn::parse(argument)) return FeedGap{*lsn};
  } else if (words[0] == "EPOCH") {
    auto epoch = parse_u64(argument);
    if (epoch && *epoch <= UINT32_MAX) return FeedEpoch{static_cast<DbEpoch>(*epoch)};
  } else if (words[0] == "STALEMAP") {
    auto version = parse_u64(argument);
    if (version && *version <= UINT32_MAX) return FeedStaleMap{static_cast<uint32_t>(*version)};
  }
  return FeedFailure{text};
}

std::optional<FeedReply> read_common(const Result<RespValue>& reply) {
  if (!reply) return FeedFailure{reply.error().to_string()};
  if (reply->is_error()) return read_error(reply->text);
  if (reply->kind != RespValue::Kind::kArray) return FeedFailure{"answer is no array"};
  return std::nullopt;
}

}  // namespace

FeedReply read_feed_reply(const Result<RespValue>& reply) {
  if (auto common = read_common(reply)) return *common;
  if (reply->elements.size() < 2) return FeedFailure{"answer has fewer than 2 elements"};
  auto lsn = Lsn::parse(reply->elements[0].text);
  auto stamp = number_of(reply->elements[1]);
  if (!lsn || !stamp) return FeedFailure{"answer is not [complete_through, stamp]"};
  return FeedOk{*lsn, *stamp};
}

FeedReply read_tide_reply(const Result<RespValue>& reply, ShardId shard) {
  if (auto common = read_common(reply)) return *common;
  for (const RespValue& row : reply->elements) {
    if (row.elements.size() < 3) return FeedFailure{"row of TIDE has fewer than 3 elements"};
    auto p = number_of(row.elements[0]);
    auto epoch = number_of(row.elements[1]);
    auto lsn = Lsn::parse(row.elements[2].text);
    if (!p || !epoch || *epoch > UINT32_MAX || !lsn)
      return FeedFailure{"row of TIDE is not [p, e, complete_through, …]"};
    if (*p == shard) return FeedTide{true, static_cast<DbEpoch>(*epoch), *lsn};
  }
  return FeedTide{};
}

}  // namespace tidemark::replication
