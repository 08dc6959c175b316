#include "client/session_token.h"

#include <algorithm>
#include <iterator>

namespace tidemark::client {
namespace {

// Byte 0: version, the mark, which shards were written. Byte 1: two bits a shard, which positions follow.
constexpr uint8_t kVersion = 1;
constexpr uint8_t kVersionMask = 0x0f;
constexpr uint8_t kForgottenBit = 0x10;
constexpr uint8_t kWrittenBit = 0x20;  // of the first shard
constexpr uint8_t kHasOwn = 1, kHasRead = 2;
constexpr uint8_t kKindsMask = 0x3f;
constexpr size_t kMacBytes = 8;

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  out += static_cast<char>(value);
}

// The shortest form only, so that one token has one text.
std::optional<uint64_t> take_varint(std::string_view& in, uint64_t max) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in.front());
    in.remove_prefix(1);
    const uint64_t digit = byte & 0x7f;
    if (shift == 63 && digit > 1) return std::nullopt;
    value |= digit << shift;
    if ((byte & 0x80) != 0) continue;
    const bool is_shortest = byte != 0 || shift == 0;
    return is_shortest && value <= max ? std::optional(value) : std::nullopt;
  }
  return std::nullopt;
}

std::string encode_positions(std::span<const SessionPosition> positions, bool has_forgotten_writes) {
  uint8_t head = kVersion | (has_forgotten_writes ? kForgottenBit : 0);
  uint8_t kinds = 0;
  std::string body;
  for (size_t i = 0; i < positions.size(); ++i) {
    const SessionPosition& position = positions[i];
    if (position.is_written) head |= static_cast<uint8_t>(kWrittenBit << i);
    const int kind = (position.own.is_zero() ? 0 : kHasOwn) | (position.read.is_zero() ? 0 : kHasRead);
    kinds |= static_cast<uint8_t>(kind << (2 * i));
    append_varint(body, position.shard);
    append_varint(body, position.db_epoch);
    if (!position.own.is_zero()) append_varint(body, position.own.value);
    if (!position.read.is_zero()) append_varint(body, position.read.value);
  }
  return std::string{static_cast<char>(head), static_cast<char>(kinds)} + body;
}

// One position in the place of two: the primary must prove what it would have been trusted with.
void fold(SessionPosition& position) {
  position.read = position.needed();
  position.own = {};
}

std::unexpected<Error> not_a_token() {
  return fail(ErrorCode::kInvalidArgument, "session token: not of the form that this version writes");
}

std::optional<SessionPosition> take_position(std::string_view& in, int kind) {
  SessionPosition position;
  auto shard = take_varint(in, UINT16_MAX);
  auto epoch = take_varint(in, UINT32_MAX);
  if (!shard || !epoch) return std::nullopt;
  position.shard = static_cast<ShardId>(*shard);
  position.db_epoch = static_cast<DbEpoch>(*epoch);
  for (auto [bit, lsn] : {std::pair(kHasOwn, &position.own), std::pair(kHasRead, &position.read)}) {
    if ((kind & bit) == 0) continue;
    auto value = take_varint(in, UINT64_MAX);
    if (!value || *value == 0) return std::nullopt;
    lsn->value = *value;
  }
  return position;
}

}  // namespace

void SessionToken::absorb_write(ShardId shard, DbEpoch db_epoch, Lsn lsn) {
  absorb(SessionPosition{.shard = shard, .db_epoch = db_epoch, .own = lsn, .read = {}, .is_written = true});
}

void SessionToken::absorb_read(ShardId shard, DbEpoch db_epoch, Lsn hi, bool is_visible_on_primary) {
  SessionPosition position{.shard = shard, .db_epoch = db_epoch, .own = {}, .read = {}, .is_written = false};
  (is_visible_on_primary ? position.own : position.read) = hi;
  absorb(position);
}

void SessionToken::absorb_proven(ShardId shard, DbEpoch db_epoch, Lsn lsn) {
  for (SessionPosition& position : positions_) {
    if (position.shard != shard || position.db_epoch != db_epoch || position.read > lsn) continue;
    position.own = position.needed();
    position.read = {};
  }
}

void SessionToken::absorb(const SessionToken& other) {
  has_forgotten_writes_ = has_forgotten_writes_ || other.has_forgotten_writes_;
  const std::vector<SessionPosition> positions = other.positions_;  // `other` may be this
  for (auto position = positions.rbegin(); position != positions.rend(); ++position) absorb(*position);
}

void SessionToken::absorb(const SessionPosition& position) {
  if (position.needed().is_zero()) return;
  auto known = std::find_if(positions_.begin(), positions_.end(),
                            [&](const SessionPosition& one) { return one.shard == position.shard; });
  if (known == positions_.end()) {
    positions_.insert(positions_.begin(), position);
    return drop_surplus();
  }
  if (known->db_epoch > position.db_epoch) return;
  SessionPosition merged = position;
  if (known->db_epoch == position.db_epoch) {
    merged.own = std::max(known->own, position.own);
    merged.read = std::max(known->read, position.read);
    merged.is_written = known->is_written || position.is_written;
  }
  positions_.erase(known);
  positions_.insert(positions_.begin(), merged);
}

void SessionToken::drop_surplus() {
  if (positions_.size() <= kShardsMax) return;
  auto only_read = std::find_if(positions_.rbegin(), positions_.rend(),
                                [](const SessionPosition& position) { return !position.is_written; });
  if (only_read != positions_.rend()) {
    ++drops_.read;
    positions_.erase(std::prev(only_read.base()));
    return;
  }
  ++drops_.written;
  has_forgotten_writes_ = true;
  positions_.pop_back();
}

std::optional<SessionPosition> SessionToken::find(ShardId shard) const {
  for (const SessionPosition& position : positions_) {
    if (position.shard == shard) return position;
  }
  return std::nullopt;
}

std::string SessionToken::encode() const {
  std::vector<SessionPosition> positions = positions_;
  std::string bytes = encode_positions(positions, has_forgotten_writes_);
  for (auto oldest = positions.rbegin(); oldest != positions.rend() && bytes.size() + kMacBytes > kBytesMax; ++oldest) {
    fold(*oldest);
    bytes = encode_positions(positions, has_forgotten_writes_);
  }
  return bytes;  // folded, a shard has at most 3 + 5 + 10 bytes
}

Result<SessionToken> SessionToken::decode(std::string_view bytes) {
  if (bytes.size() < 2) return not_a_token();
  const auto head = static_cast<uint8_t>(bytes[0]);
  const auto kinds = static_cast<uint8_t>(bytes[1]);
  if ((head & kVersionMask) != kVersion) {
    return fail(ErrorCode::kInvalidArgument, "session token: version " + std::to_string(head & kVersionMask) +
                                                 ", this library reads version " + std::to_string(kVersion));
  }
  if ((kinds & ~kKindsMask) != 0) return not_a_token();
  SessionToken token;
  token.has_forgotten_writes_ = (head & kForgottenBit) != 0;
  std::string_view rest = bytes.substr(2);
  for (size_t i = 0; i < kShardsMax; ++i) {
    const int kind = kinds >> (2 * i) & 3;
    const bool is_written = (head & (kWrittenBit << i)) != 0;
    if (kind == 0) {
      const bool is_end = (kinds >> (2 * i)) == 0 && (head >> 5 >> i) == 0;
      if (!is_end) return not_a_token();
      break;
    }
    auto position = take_position(rest, kind);
    if (!position || token.find(position->shard)) return not_a_token();
    position->is_written = is_written;
    token.positions_.push_back(*position);
  }
  if (!rest.empty()) return not_a_token();
  return token;
}

}  // namespace tidemark::client
