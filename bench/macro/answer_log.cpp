#include "bench/macro/answer_log.h"

#include <fmt/format.h>

#include "base/invariant.h"

namespace tidemark::bench {
namespace {

template <typename Number>
void put(RecordBytes& bytes, size_t& at, Number number) {
  auto rest = static_cast<std::make_unsigned_t<Number>>(number);
  for (size_t i = 0; i < sizeof(Number); ++i) {
    bytes[at++] = static_cast<char>(rest & 0xff);
    rest = static_cast<std::make_unsigned_t<Number>>(static_cast<uint64_t>(rest) >> 8);
  }
}

template <typename Number>
Number get(std::string_view bytes, size_t& at) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(Number); ++i)
    number |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at++])) << (8 * i);
  return static_cast<Number>(number);
}

}  // namespace

std::string_view to_string(Origin origin) {
  switch (origin) {
    case Origin::kUnknown:
      return "unknown";
    case Origin::kNode:
      return "node";
    case Origin::kReplica:
      return "replica";
    case Origin::kPrimary:
      return "primary";
  }
  return "unknown";
}

Origin parse_origin(std::string_view text) {
  for (const Origin origin : {Origin::kNode, Origin::kReplica, Origin::kPrimary}) {
    if (text == to_string(origin)) return origin;
  }
  return Origin::kUnknown;
}

RecordBytes encode(const AnswerRecord& record) {
  RecordBytes bytes;
  size_t at = 0;
  put<uint8_t>(bytes, at, static_cast<uint8_t>(record.kind));
  put<uint8_t>(bytes, at, static_cast<uint8_t>(record.origin));
  put<uint8_t>(bytes, at, record.error);
  put<uint8_t>(bytes, at, record.is_warmup ? 1 : 0);
  put<uint32_t>(bytes, at, record.request);
  put<uint32_t>(bytes, at, record.product);
  put<int32_t>(bytes, at, record.bound_ms);
  put<int64_t>(bytes, at, record.version);
  put<uint64_t>(bytes, at, record.content);
  put<int64_t>(bytes, at, record.start_us);
  put<int64_t>(bytes, at, record.end_us);
  INVARIANT(at == kRecordBytes, at);
  return bytes;
}

Result<AnswerRecord> decode_record(std::string_view bytes) {
  if (bytes.size() != kRecordBytes) {
    return fail(ErrorCode::kCorrupt, fmt::format("an answer record of {} bytes, not {}", bytes.size(), kRecordBytes));
  }
  AnswerRecord record;
  size_t at = 0;
  const auto kind = get<uint8_t>(bytes, at);
  const auto origin = get<uint8_t>(bytes, at);
  if (kind < 1 || kind > 4) return fail(ErrorCode::kCorrupt, fmt::format("answer record of unknown kind {}", kind));
  if (origin >= kOriginCount)
    return fail(ErrorCode::kCorrupt, fmt::format("answer record of unknown origin {}", origin));
  record.kind = static_cast<RecordKind>(kind);
  record.origin = static_cast<Origin>(origin);
  record.error = get<uint8_t>(bytes, at);
  record.is_warmup = get<uint8_t>(bytes, at) != 0;
  record.request = get<uint32_t>(bytes, at);
  record.product = get<uint32_t>(bytes, at);
  record.bound_ms = get<int32_t>(bytes, at);
  record.version = get<int64_t>(bytes, at);
  record.content = get<uint64_t>(bytes, at);
  record.start_us = get<int64_t>(bytes, at);
  record.end_us = get<int64_t>(bytes, at);
  return record;
}

}  // namespace tidemark::bench
