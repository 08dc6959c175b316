// Reference tables: the same rows on every shard, changed on one (the original) and copied to the others.
//
// A copy is one transaction on the target: the table is locked against writers, rows that the original lacks go, rows
// that differ or are missing come; readers see the old rows or the new ones. Equality is judged by a digest of every
// row's text under pinned settings. Threads: one. I/O: libpq, blocking. Limits: kBytesMax, kRowsPerBatch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "tools/shards/opened_shard.h"

namespace tidemark::shards {

struct ReferenceTable {
  std::string name;
  ShardId original = 0;
  bool operator==(const ReferenceTable&) const = default;
};

inline constexpr uint64_t kReferenceBytesMax = 64 << 20;  // of one table: more belongs into buckets
inline constexpr size_t kReferenceRowsPerBatch = 1000;

Result<std::vector<ReferenceTable>> read_references(PgSession& session);

// "3:-8143…": rows, and the sum of their hashes. The columns' order does not matter.
Result<std::string> digest_reference(PgSession& session, const std::string& table);

struct ReferenceCopy {
  std::string table;
  ShardId from = 0;
  ShardId to = 0;
  uint64_t rows_deleted = 0;
  uint64_t rows_written = 0;
};
Result<ReferenceCopy> copy_reference(OpenedShard& from, OpenedShard& to, const std::string& table);

// Which copies differ from their original.
Result<std::vector<ReferenceCopy>> find_differences(std::vector<OpenedShard>& opened);

// Declares `tables`, and those that any shard has declared, on every shard; then makes every copy equal.
// Returns the copies that were made.
Result<std::vector<ReferenceCopy>> settle_references(std::vector<OpenedShard>& opened,
                                                     const std::vector<std::string>& tables);
// Only makes the copies equal.
Result<std::vector<ReferenceCopy>> copy_differences(std::vector<OpenedShard>& opened);

}  // namespace tidemark::shards
