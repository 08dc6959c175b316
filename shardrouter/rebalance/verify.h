// Are the rows of a bucket range the same on two shards? Each side answers with one line per table and bucket.
//
// A digest is the row count and the xor of a 64-bit hash of every row's text; rows of one table differ by their primary
// key, so equal rows cannot cancel each other out on one side only. Threads: pure functions. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tidemark::shardrouter {

struct BucketDigest {
  std::string table;
  int64_t bucket = 0;
  int64_t rows = 0;
  int64_t hash = 0;
  auto operator<=>(const BucketDigest&) const = default;
};

// SELECT bucket, count, hash of one table over these columns; the session must run kTextSettings first.
std::string digest_sql(const std::string& table, const std::vector<std::string>& columns, int bucket_lo, int bucket_hi);

// Settings on which the text of a value depends: the same in every session that copies, applies or compares.
extern const char* const kTextSettings;

// Empty: equal. Else one line per difference, at most `lines_max`.
std::vector<std::string> compare_digests(std::vector<BucketDigest> source, std::vector<BucketDigest> target,
                                         size_t lines_max);
int64_t rows_of(const std::vector<BucketDigest>& digests);

}  // namespace tidemark::shardrouter
