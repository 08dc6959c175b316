#include "replication/io/journal.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace tidemark::replication::io {
namespace {

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "tidemark-journal-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    open();
  }
  void TearDown() override {
    journal_.reset();
    std::filesystem::remove_all(directory_);
  }
  void open() {
    journal_.reset();
    auto journal = Journal::open(directory_);
    ASSERT_TRUE(journal.has_value()) << journal.error().to_string();
    journal_ = std::move(*journal);
  }
  static JournalRecord record(uint64_t prev, uint64_t lsn) {
    return {.prev_lsn = {prev},
            .lsn = {lsn},
            .commits = {{.xid = lsn,
                         .end_lsn = {lsn},
                         .commit_us = 5,
                         .invalidates_all = false,
                         .keys = {{"k", slot_of_key("k")}}}}};
  }
  static JournalMeta meta(uint64_t begin, uint64_t tail) {
    return {.begin = {begin}, .tail = {tail}, .settled = {}, .system_id = "s"};
  }

  std::filesystem::path directory_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, KnowsNothingAtFirst) {
  EXPECT_EQ(journal_->load_meta(1).error().code, ErrorCode::kNotFound);
}

TEST_F(JournalTest, ReplaysAfterAReopenWhatWasAppended) {
  ASSERT_TRUE(journal_->append(1, {record(0, 10), record(10, 20)}, meta(0, 25)).has_value());
  open();
  EXPECT_EQ(*journal_->load_meta(1), meta(0, 25));
  auto read = journal_->read_after(1, {10});
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->commits.size(), 1u);
  EXPECT_EQ(read->commits[0].end_lsn, Lsn{20});
  EXPECT_EQ(read->lsn, Lsn{25}) << "covered up to the tail, beyond the last commit";
}

TEST_F(JournalTest, KeepsShardsApart) {
  ASSERT_TRUE(journal_->append(1, {record(0, 10)}, meta(0, 10)).has_value());
  ASSERT_TRUE(journal_->append(2, {record(0, 11)}, meta(0, 11)).has_value());
  EXPECT_EQ(journal_->read_after(1, {0})->commits.size(), 1u);
  EXPECT_EQ(journal_->read_after(2, {0})->commits.at(0).end_lsn, Lsn{11});
}

TEST_F(JournalTest, RefusesAReplayFromBeforeItsBegin) {
  ASSERT_TRUE(journal_->append(1, {record(5, 10)}, meta(5, 10)).has_value());
  EXPECT_EQ(journal_->read_after(1, {4}).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(journal_->read_after(1, {5}).has_value());
}

TEST_F(JournalTest, ACutForgetsEverythingBefore) {
  ASSERT_TRUE(journal_->append(1, {record(0, 10)}, meta(0, 10)).has_value());
  ASSERT_TRUE(journal_->cut(1, meta(50, 50)).has_value());
  EXPECT_FALSE(journal_->read_after(1, {10}).has_value());
  auto read = journal_->read_after(1, {50});
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->commits.empty());
}

TEST_F(JournalTest, ATrimDropsTheOldestOnly) {
  ASSERT_TRUE(journal_->append(1, {record(0, 10), record(10, 20)}, meta(0, 20)).has_value());
  ASSERT_TRUE(journal_->trim(1, {10}, meta(10, 20)).has_value());
  EXPECT_FALSE(journal_->read_after(1, {0}).has_value());
  EXPECT_EQ(journal_->read_after(1, {10})->commits.size(), 1u);
}

TEST_F(JournalTest, IsRefusedToASecondProcess) {
  auto second = Journal::open(directory_);
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().message.find("another invalidator"), std::string::npos);
}

TEST(JournalRetention, TrimsByAgeAndSizeButNeverWhatIsUnsettled) {
  JournalRetention retention({.bytes_max = 3u << 20, .age_us_max = 100'000'000});
  for (uint64_t i = 1; i <= 5; ++i) retention.on_record({i * 10}, 1u << 20, 1);
  EXPECT_EQ(retention.trim(1, Lsn{15}), Lsn{10}) << "20 is needed for 15";
  EXPECT_EQ(retention.trim(1, std::nullopt), Lsn{20});
  EXPECT_EQ(retention.trim(1, std::nullopt), std::nullopt);
  EXPECT_EQ(retention.trim(200'000'000, std::nullopt), Lsn{40}) << "too old; the newest segment stays";
}

}  // namespace
}  // namespace tidemark::replication::io
