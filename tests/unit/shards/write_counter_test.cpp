#include "tools/shards/plan/write_counter.h"

#include <gtest/gtest.h>

namespace tidemark::shards {
namespace {

std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}
std::string word(std::string_view text) {
  return std::string(text) + '\0';
}
std::string relation(uint32_t id, const std::vector<std::string>& columns) {
  std::string text = "R" + number(id, 4) + word("shop") + word("item") + "d" + number(columns.size(), 2);
  for (const std::string& column : columns) text += number(1, 1) + word(column) + number(23, 4) + number(~0u, 4);
  return text;
}
std::string tuple(const std::vector<std::string>& values) {
  std::string text = number(values.size(), 2);
  for (const std::string& value : values) text += "t" + number(value.size(), 4) + value;
  return text;
}

TEST(WriteCounter, CountsEveryKindOfChangeInItsBucket) {
  WriteCounter counter;
  ASSERT_TRUE(counter.add(relation(7, {"id", "bucket"})));
  ASSERT_TRUE(counter.add("I" + number(7, 4) + "N" + tuple({"1", "42"})));
  ASSERT_TRUE(counter.add("U" + number(7, 4) + "N" + tuple({"1", "42"})));
  ASSERT_TRUE(counter.add("D" + number(7, 4) + "K" + tuple({"1", "42"})));
  ASSERT_TRUE(counter.add("I" + number(7, 4) + "N" + tuple({"2", "4095"})));
  EXPECT_EQ(counter.count(42), 3u);
  EXPECT_EQ(counter.count(4095), 1u);
  EXPECT_EQ(counter.count(0), 0u);
}

TEST(WriteCounter, LeavesOutTablesWithoutBucketsAndNumbersThatAreNone) {
  WriteCounter counter;
  ASSERT_TRUE(counter.add(relation(8, {"id", "name"})));
  ASSERT_TRUE(counter.add("I" + number(8, 4) + "N" + tuple({"1", "42"})));
  ASSERT_TRUE(counter.add("I" + number(9, 4) + "N" + tuple({"1", "42"})));
  ASSERT_TRUE(counter.add(relation(7, {"bucket"})));
  ASSERT_TRUE(counter.add("I" + number(7, 4) + "N" + tuple({"4096"})));
  uint64_t all = 0;
  for (uint32_t b = 0; b < kBucketCount; ++b) all += counter.count(static_cast<Bucket>(b));
  EXPECT_EQ(all, 0u);
}

TEST(WriteCounter, ATableThatLosesItsBucketIsCountedNoMore) {
  WriteCounter counter;
  ASSERT_TRUE(counter.add(relation(7, {"bucket"})));
  ASSERT_TRUE(counter.add(relation(7, {"id"})));
  ASSERT_TRUE(counter.add("I" + number(7, 4) + "N" + tuple({"42"})));
  EXPECT_EQ(counter.count(42), 0u);
}

TEST(WriteCounter, SaysWhenBytesAreNoMessage) {
  WriteCounter counter;
  EXPECT_FALSE(counter.add("I\1"));
}

}  // namespace
}  // namespace tidemark::shards
