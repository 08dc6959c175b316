#include "shardrouter/rebalance/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace tidemark::shardrouter {

const char* const kTextSettings =
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'hex'; "
    "SET extra_float_digits = 3; SET lc_monetary = 'C'; SET xmlbinary = 'base64'";

std::string digest_sql(const std::string& table, const std::vector<std::string>& columns, int bucket_lo,
                       int bucket_hi) {
  std::string list;
  for (const std::string& column : columns) list += (list.empty() ? "" : ", ") + column;
  return fmt::format(
      "SELECT bucket, count(*), bit_xor(hashtextextended(ROW({})::text, 0)) FROM {} WHERE bucket BETWEEN {} AND {} "
      "GROUP BY bucket",
      list, table, bucket_lo, bucket_hi);
}

std::vector<std::string> compare_digests(std::vector<BucketDigest> source, std::vector<BucketDigest> target,
                                         size_t lines_max) {
  using Key = std::pair<std::string, int64_t>;
  std::map<Key, std::pair<const BucketDigest*, const BucketDigest*>> both;
  for (const BucketDigest& one : source) both[{one.table, one.bucket}].first = &one;
  for (const BucketDigest& one : target) both[{one.table, one.bucket}].second = &one;
  std::vector<std::string> lines;
  for (const auto& [key, pair] : both) {
    const auto& [at_source, at_target] = pair;
    if (at_source && at_target && *at_source == *at_target) continue;
    if (lines.size() == lines_max) break;
    const int64_t source_rows = at_source ? at_source->rows : 0;
    const int64_t target_rows = at_target ? at_target->rows : 0;
    lines.push_back(source_rows == target_rows ? fmt::format("{} bucket {}: {} rows on both sides, not the same",
                                                             key.first, key.second, source_rows)
                                               : fmt::format("{} bucket {}: {} rows at the source, {} at the target",
                                                             key.first, key.second, source_rows, target_rows));
  }
  return lines;
}

int64_t rows_of(const std::vector<BucketDigest>& digests) {
  int64_t rows = 0;
  for (const BucketDigest& one : digests) rows += one.rows;
  return rows;
}

}  // namespace tidemark::shardrouter
