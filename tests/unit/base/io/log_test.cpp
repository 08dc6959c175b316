#include "base/io/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tidemark::io {
namespace {

struct Lines {
  std::vector<std::string> all;
  Log log(LogLevel level) {
    return Log::to("tidemark-test", level, [this](std::string_view line) { all.emplace_back(line); });
  }
  nlohmann::json last() { return nlohmann::json::parse(all.back()); }
};

TEST(Log, WritesOneJsonObjectPerLine) {
  Lines lines;
  lines.log(LogLevel::kInfo)
      .warn("load failed", {{"key", "a\"b\n"}, {"tries", 3}, {"size", size_t{7}}, {"share", 0.5}, {"ok", false}},
            "c-1");
  nlohmann::json line = lines.last();
  EXPECT_EQ(line["level"], "warn");
  EXPECT_EQ(line["service"], "tidemark-test");
  EXPECT_EQ(line["msg"], "load failed");
  EXPECT_EQ(line["correlation_id"], "c-1");
  EXPECT_EQ(line["key"], "a\"b\n");
  EXPECT_EQ(line["tries"], 3);
  EXPECT_EQ(line["size"], 7);
  EXPECT_EQ(line["share"], 0.5);
  EXPECT_EQ(line["ok"], false);
  EXPECT_THAT(line["ts"].get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:..\\....Z"));
  EXPECT_EQ(lines.all.back().find('\n'), std::string::npos);
}

TEST(Log, LeavesOutWhatIsBelowItsLevel) {
  Lines lines;
  Log log = lines.log(LogLevel::kWarn);
  log.info("no");
  log.warn("yes");
  EXPECT_EQ(lines.all.size(), 1u);
  EXPECT_FALSE(log.writes(LogLevel::kInfo));
}

TEST(Log, CutsLongTextsAndSurvivesBytesThatAreNotText) {
  Lines lines;
  lines.log(LogLevel::kInfo)
      .info("x", {{"long", std::string(Log::kTextBytesMax + 1000, 'a')}, {"bytes", std::string_view("\xff\x00z", 3)}});
  EXPECT_LT(lines.last()["long"].get<std::string>().size(), Log::kTextBytesMax + 10);
  EXPECT_TRUE(lines.last().contains("bytes"));
}

TEST(Log, IsSilentWhenDefaultMade) {
  Log log;
  log.error("nobody hears");
  EXPECT_FALSE(log.writes(LogLevel::kError));
}

TEST(Log, LevelsHaveNames) {
  EXPECT_EQ(parse_log_level("warn"), LogLevel::kWarn);
  EXPECT_EQ(parse_log_level("loud").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tidemark::io
