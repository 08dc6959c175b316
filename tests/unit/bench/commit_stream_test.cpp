#include "bench/macro/commit_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

CommitStream::Options options() {
  CommitStream::Options options;
  options.tables = {{.content_columns = {"price_cents", "description"}},
                    {.name = "shop.orders", .key_column = "id", .state_column = "state", .key_prefix = "order:"}};
  return options;
}

// Feeds lines, expecting every one to be accepted.
std::vector<RowCommit> commits_of(std::initializer_list<std::string_view> lines) {
  CommitStream stream(options());
  for (const std::string_view line : lines) {
    const Status status = stream.feed(line);
    EXPECT_TRUE(status.has_value()) << status.error().to_string();
  }
  return stream.take_commits();
}

constexpr int64_t kNoon = 1'764'072'000'000'000;  // 2025-11-25 12:00:00 UTC

TEST(CommitStream, GivesTheRowsOfATransactionWithItsCommitTime) {
  const auto commits = commits_of({"BEGIN 754",
                                   "table catalog.product: INSERT: bucket[integer]:12 sku[text]:'0ad' "
                                   "row_version[bigint]:7 price_cents[bigint]:1999 "
                                   "description[text]:'a game'",
                                   "COMMIT 754 (at 2025-11-25 12:00:00.5+00)"});
  EXPECT_THAT(commits, ElementsAre(RowCommit{"0ad", 7, false, content_hash({"1999", "a game"}), kNoon + 500'000}));
}

TEST(CommitStream, FollowsSeveralTablesAndKeepsTheStateOfThoseThatHaveOne) {
  const auto commits =
      commits_of({"BEGIN", "table shop.order_line: INSERT: order_id[bigint]:17",
                  "table shop.orders: INSERT: id[bigint]:17 row_version[bigint]:1 state[text]:'pending'",
                  "COMMIT (at 2025-11-25 12:00:00+00)"});
  EXPECT_THAT(commits, ElementsAre(RowCommit{.key = "order:17",
                                             .version = 1,
                                             .content = content_hash({}),
                                             .commit_us = kNoon,
                                             .table = 1,
                                             .state = "pending"}));
}

TEST(CommitStream, KeepsRowsBackUntilTheirCommit) {
  CommitStream stream(options());
  ASSERT_TRUE(stream.feed("BEGIN"));
  ASSERT_TRUE(
      stream.feed("table catalog.product: UPDATE: sku[text]:'a' row_version[bigint]:1 price_cents[bigint]:1 "
                  "description[text]:null"));
  EXPECT_THAT(stream.take_commits(), IsEmpty());
  ASSERT_TRUE(stream.feed("COMMIT (at 2025-11-25 12:00:00+00)"));
  EXPECT_EQ(stream.take_commits().size(), 1u);
}

TEST(CommitStream, ReadsQuotesSpacesAndBracketsInsideAText) {
  const auto commits = commits_of(
      {"BEGIN",
       "table catalog.product: UPDATE: sku[character varying]:'it''s [text]:''x'' new-tuple: ' row_version[bigint]:2 "
       "price_cents[bigint]:-5 description[text]:'' tags[text[]]:'{a,b}' \"order\"[integer]:null",
       "COMMIT 1 (at 2025-11-25 12:00:00.000001+00)"});
  EXPECT_THAT(commits,
              ElementsAre(RowCommit{"it's [text]:'x' new-tuple: ", 2, false, content_hash({"-5", ""}), kNoon + 1}));
}

TEST(CommitStream, GivesADeletion) {
  EXPECT_THAT(commits_of({"BEGIN 1", "table catalog.product: DELETE: bucket[integer]:1 sku[text]:'a'",
                          "COMMIT 1 (at 2025-11-25 12:00:00+00)"}),
              ElementsAre(RowCommit{"a", 0, true, 0, kNoon}));
}

TEST(CommitStream, AnUpdateOfTheKeyDeletesTheOldOne) {
  EXPECT_THAT(
      commits_of({"BEGIN 1",
                  "table catalog.product: UPDATE: old-key: sku[text]:'a' new-tuple: sku[text]:'b' "
                  "row_version[bigint]:3 price_cents[bigint]:1 description[text]:'d'",
                  "COMMIT 1 (at 2025-11-25 12:00:00+00)"}),
      ElementsAre(RowCommit{"a", 0, true, 0, kNoon}, RowCommit{"b", 3, false, content_hash({"1", "d"}), kNoon}));
}

TEST(CommitStream, SkipsOtherTablesAndMessages) {
  EXPECT_THAT(
      commits_of({"BEGIN 1", "table catalog.product_history: INSERT: sku[text]:'a'",
                  "table shard.bucket: UPDATE: bucket[integer]:1 state[text]:'owned'",
                  "message: transactional: 1 prefix: x, sz: 1 content:y", "COMMIT 1 (at 2025-11-25 12:00:00+00)"}),
      IsEmpty());
}

TEST(CommitStream, RefusesWhatItCannotReadInsteadOfSkippingIt) {
  for (const std::string_view line : {
           "table catalog.product: TRUNCATE: (no-flags)",
           "table catalog.product: INSERT: sku[text]:'a",
           "table catalog.product: INSERT: sku[text]:'a' row_version[bigint]:x price_cents[bigint]:1 "
           "description[text]:'d'",
           "table catalog.product: INSERT: sku[text]:'a' row_version[bigint]:1 price_cents[bigint]:1",
           "table catalog.product: DELETE: (no-tuple-data)",
           "COMMIT 754",
           "COMMIT 754 (at 2025-11-25 12:00:00+01)",
           "COMMIT 754 (at 2025-13-25 12:00:00+00)",
           "opening a streamed block for transaction",
       }) {
    CommitStream stream(options());
    const Status status = stream.feed(line);
    ASSERT_FALSE(status.has_value()) << line;
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt) << line;
  }
}

TEST(ContentHash, TellsColumnsApartThatReadTheSameTogether) {
  EXPECT_NE(content_hash({"ab", "c"}), content_hash({"a", "bc"}));
  EXPECT_EQ(content_hash({"ab", "c"}), content_hash({"ab", "c"}));
}

}  // namespace
}  // namespace tidemark::bench
