#include "shardrouter/sql/scatter_merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shardrouter/sql/scatter_read.h"

namespace tidemark::shardrouter {
namespace {

using Kind = OrderColumn::Kind;
using Cell = std::optional<std::string>;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ResultSet part(std::vector<std::vector<Cell>> rows) {
  return {.columns = {"stock", "sku"}, .rows = std::move(rows), .command_tag = ""};
}
std::vector<std::string> skus_of(const ResultSet& set) {
  std::vector<std::string> skus;
  for (const auto& row : set.rows) skus.push_back(row[1].value_or("NULL"));
  return skus;
}
const std::vector<OrderColumn> kByStockThenSku = {{"stock", Kind::kInteger, true}, {"sku"}};

TEST(ScatterMerge, OrdersRowsOfAllPartsAndStopsAtTheLimit) {
  const auto merged =
      merge_scattered({part({{"5", "bash"}, {"2", "nano"}}), part({{"5", "awk"}, {"1", "zsh"}})}, kByStockThenSku, 3);
  ASSERT_TRUE(merged) << merged.error().to_string();
  EXPECT_THAT(skus_of(*merged), ElementsAre("awk", "bash", "nano"));
  EXPECT_EQ(merged->columns, (std::vector<std::string>{"stock", "sku"}));
}

TEST(ScatterMerge, IntegersAreOrderedByValueAndTextsByTheirBytes) {
  const auto numbers = merge_scattered({part({{"9", "a"}, {"10", "b"}}), part({{"-3", "c"}, {"100", "d"}})},
                                       {{"stock", Kind::kInteger}}, 9);
  ASSERT_TRUE(numbers);
  EXPECT_THAT(skus_of(*numbers), ElementsAre("c", "a", "b", "d"));
  // Bytewise: capitals before small letters, and bytes above 0x7f after all of ASCII.
  const auto texts =
      merge_scattered({part({{"1", "B"}, {"1", "a"}}), part({{"1", "A"}, {"1", "\xc3\xa4"}})}, {{"sku"}}, 9);
  ASSERT_TRUE(texts) << texts.error().to_string();
  EXPECT_THAT(skus_of(*texts), ElementsAre("A", "B", "a", "\xc3\xa4"));
}

TEST(ScatterMerge, NullStandsLastAscendingAndFirstDescending) {
  const auto up = merge_scattered({part({{"1", "x"}, {"1", std::nullopt}}), part({{"1", "y"}})}, {{"sku"}}, 9);
  ASSERT_TRUE(up) << up.error().to_string();
  EXPECT_THAT(skus_of(*up), ElementsAre("x", "y", "NULL"));
  const auto down =
      merge_scattered({part({{"1", std::nullopt}, {"1", "x"}}), part({{"1", "y"}})}, {{"sku", Kind::kText, true}}, 9);
  ASSERT_TRUE(down) << down.error().to_string();
  EXPECT_THAT(skus_of(*down), ElementsAre("NULL", "y", "x"));
}

TEST(ScatterMerge, EqualRowsComeInTheOrderOfTheParts) {
  const auto merged =
      merge_scattered({part({{"1", "first"}}), part({{"1", "second"}})}, {{"stock", Kind::kInteger}}, 9);
  ASSERT_TRUE(merged);
  EXPECT_THAT(skus_of(*merged), ElementsAre("first", "second"));
}

TEST(ScatterMerge, APartThatIsNotInOrderIsAnError) {
  const auto merged = merge_scattered({part({{"1", "b"}, {"1", "a"}}), part({})}, {{"sku"}}, 9);
  ASSERT_FALSE(merged);
  EXPECT_EQ(merged.error().code, ErrorCode::kInternal);
  EXPECT_THAT(merged.error().message, HasSubstr("part 0"));
}

TEST(ScatterMerge, AnIntegerThatIsNoneAndAMissingColumnAreErrors) {
  EXPECT_FALSE(merge_scattered({part({{"many", "a"}})}, {{"stock", Kind::kInteger}}, 9));
  EXPECT_FALSE(merge_scattered({part({{"1", "a"}})}, {{"price"}}, 9));
  EXPECT_FALSE(merge_scattered({part({}), {.columns = {"sku"}, .rows = {}, .command_tag = ""}}, {{"sku"}}, 9));
}

TEST(ScatterMerge, TheStatementJoinsOwnedBucketsAndOrdersBytewise) {
  const auto sql = scatter_sql("SELECT bucket, stock, sku FROM t WHERE sku >= $1", kByStockThenSku, 1);
  ASSERT_TRUE(sql);
  EXPECT_THAT(*sql, HasSubstr("JOIN shard.bucket tm_b ON tm_b.bucket = tm_q.bucket AND tm_b.state = 'owned'"));
  EXPECT_THAT(*sql, HasSubstr("ORDER BY tm_q.\"stock\" DESC, tm_q.\"sku\" COLLATE \"C\" LIMIT $2::bigint"));
}

TEST(ScatterMerge, RefusesStatementsThatAreNoQueryAndColumnsThatAreNoName) {
  EXPECT_FALSE(scatter_sql("DELETE FROM t", {{"sku"}}, 0));
  EXPECT_FALSE(scatter_sql("SELECT 1; SELECT 2", {{"sku"}}, 0));
  EXPECT_FALSE(scatter_sql("SELECT 1", {}, 0));
  EXPECT_FALSE(scatter_sql("SELECT 1", {{"sku\" DESC --"}}, 0));
}

// --------------------------------------------------------------------------------------------------------- ownership
TEST(ScatterRead, ReadsPostgresMultiranges) {
  EXPECT_EQ(parse_bucket_ranges("{[0,2048),[2050,4096)}"), (std::vector<BucketRange>{{0, 2048}, {2050, 4096}}));
  EXPECT_EQ(parse_bucket_ranges("{}"), std::vector<BucketRange>{});
  for (const char* bad : {"", "{", "[0,1)", "{[0,1)", "{[1,1)}", "{[0,4097)}", "{[5,9),[8,10)}", "{[0,1),}", "{(0,1)}"})
    EXPECT_FALSE(parse_bucket_ranges(bad)) << bad;
}

TEST(ScatterRead, EveryBucketMustHaveExactlyOneOwner) {
  using Ranges = std::vector<BucketRange>;
  EXPECT_FALSE(find_gap(std::vector<Ranges>{{{0, 2048}}, {{2048, 4096}}}));
  const auto missing = find_gap(std::vector<Ranges>{{{0, 2047}}, {{2048, 4096}}});
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->buckets, (BucketRange{2047, 2048}));
  EXPECT_EQ(missing->owners, 0u);
  const auto doubled = find_gap(std::vector<Ranges>{{{0, 2050}}, {{2048, 4096}}});
  ASSERT_TRUE(doubled);
  EXPECT_EQ(doubled->buckets, (BucketRange{2048, 2050}));
  EXPECT_EQ(doubled->owners, 2u);
  EXPECT_TRUE(find_gap(std::vector<Ranges>{}));
}

}  // namespace
}  // namespace tidemark::shardrouter
