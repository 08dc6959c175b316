#include "shardrouter/rebalance/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::shardrouter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(CompareDigests, EqualSidesInAnyOrderAreEqual) {
  EXPECT_THAT(compare_digests({{"a", 1, 2, 3}, {"b", 1, 4, 5}}, {{"b", 1, 4, 5}, {"a", 1, 2, 3}}, 5), IsEmpty());
}

TEST(CompareDigests, SaysWhereRowsAreMissingOrNotTheSame) {
  EXPECT_THAT(
      compare_digests({{"a", 1, 2, 3}, {"a", 2, 2, 3}, {"a", 3, 2, 3}},
                      {{"a", 1, 1, 9}, {"a", 2, 2, 4}, {"a", 4, 7, 7}}, 5),
      ElementsAre("a bucket 1: 2 rows at the source, 1 at the target", "a bucket 2: 2 rows on both sides, not the same",
                  "a bucket 3: 2 rows at the source, 0 at the target",
                  "a bucket 4: 0 rows at the source, 7 at the target"));
}

TEST(CompareDigests, NamesNoMoreThanAskedFor) {
  std::vector<BucketDigest> many;
  for (int b = 0; b < 100; ++b) many.push_back({"a", b, 1, 1});
  EXPECT_EQ(compare_digests(many, {}, 3).size(), 3u);
}

TEST(DigestSql, HashesTheNamedColumnsOfTheRangeOnly) {
  const std::string sql = digest_sql("shop.orders", {"bucket", "id"}, 4, 7);
  EXPECT_THAT(sql, HasSubstr("ROW(bucket, id)::text"));
  EXPECT_THAT(sql, HasSubstr("FROM shop.orders WHERE bucket BETWEEN 4 AND 7"));
}

}  // namespace
}  // namespace tidemark::shardrouter
