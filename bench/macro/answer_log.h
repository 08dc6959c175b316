// What the shop saw, one fixed-size record per row asked for or written: enough to judge every answer later.
//
// A file is the header (magic, version, record size), then records of kRecordBytes, little endian, no padding. A file
// whose last record is cut short (the writer was killed) is read up to there and the rest is reported. Limits: the
// writer stops at a stated number of records and says how many it dropped. Threads: not shared. I/O: none here; encode
// and decode only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tidemark::bench {

enum class RecordKind : uint8_t {
  kAnswer = 1,   // a row came
  kAbsent = 2,   // "there is no such row" came
  kWritten = 3,  // a write was acknowledged with this version
  kError = 4,    // the request failed; `error` says how
};

enum class Origin : uint8_t { kUnknown = 0, kNode = 1, kReplica = 2, kPrimary = 3 };
inline constexpr size_t kOriginCount = 4;
std::string_view to_string(Origin origin);
Origin parse_origin(std::string_view text);  // anything else: kUnknown

inline constexpr int32_t kBoundMissing = -1;
inline constexpr uint32_t kNoProduct = UINT32_MAX;  // of an error: the call named none (a list, a search)

struct AnswerRecord {
  RecordKind kind = RecordKind::kAnswer;
  Origin origin = Origin::kUnknown;
  uint8_t error = 0;       // a gRPC status code
  bool is_warmup = false;  // checked like any other, left out of the figures
  uint32_t request = 0;    // number of the request; the rows of a batch share it
  uint32_t product = 0;    // index into the list of names
  int32_t bound_ms = kBoundMissing;
  int64_t version = 0;
  uint64_t content = 0;  // content_hash of the columns
  int64_t start_us = 0;  // Unix microseconds when the request was sent (not when it was due: the later is the stricter)
  int64_t end_us = 0;    // when its answer came

  bool operator==(const AnswerRecord&) const = default;
};

inline constexpr size_t kRecordBytes = 48;
inline constexpr std::string_view kAnswerLogHeader = "TMANSWR1";
using RecordBytes = std::array<char, kRecordBytes>;

RecordBytes encode(const AnswerRecord& record);
// Refuses an unknown kind or origin.
Result<AnswerRecord> decode_record(std::string_view bytes);

}  // namespace tidemark::bench
