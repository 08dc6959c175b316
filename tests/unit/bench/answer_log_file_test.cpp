#include "bench/macro/io/answer_log_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace tidemark::bench {
namespace {

class AnswerLogFile : public testing::Test {
 protected:
  ~AnswerLogFile() override { std::filesystem::remove(path_); }

  std::vector<uint32_t> requests() {
    std::vector<uint32_t> found;
    end_ = read_answer_log(path_, [&](const AnswerRecord& record) { found.push_back(record.request); });
    return found;
  }
  void write(uint32_t count, uint64_t records_max) {
    auto log = AnswerLogWriter::create(path_, records_max);
    ASSERT_TRUE(log.has_value());
    for (uint32_t i = 0; i < count; ++i) log->append(AnswerRecord{.request = i});
    ASSERT_TRUE(log->close().has_value());
    dropped_ = log->dropped();
  }

  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("tidemark-answers-" + std::to_string(::getpid()));
  Result<AnswerLogEnd> end_;
  uint64_t dropped_ = 0;
};

TEST_F(AnswerLogFile, GivesRecordsBackInTheirOrder) {
  write(3, 10);
  EXPECT_EQ(requests(), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(end_->cut_bytes, 0u);
}

TEST_F(AnswerLogFile, StopsAtItsLimitAndCountsTheRest) {
  write(5, 2);
  EXPECT_EQ(requests().size(), 2u);
  EXPECT_EQ(dropped_, 3u);
}

TEST_F(AnswerLogFile, ReadsUpToARecordThatWasCutShort) {
  write(3, 10);
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 7);
  EXPECT_EQ(requests().size(), 2u);
  EXPECT_EQ(end_->cut_bytes, kRecordBytes - 7);
}

TEST_F(AnswerLogFile, RefusesAFileOfAnotherKind) {
  std::ofstream(path_) << "something else entirely";
  EXPECT_TRUE(requests().empty());
  ASSERT_FALSE(end_.has_value());
  EXPECT_EQ(end_.error().code, ErrorCode::kCorrupt);
}

TEST_F(AnswerLogFile, ReportsAFileItCannotMake) {
  EXPECT_FALSE(AnswerLogWriter::create("/nonexistent/answers", 1).has_value());
}

}  // namespace
}  // namespace tidemark::bench
