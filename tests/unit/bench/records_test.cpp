#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/macro/answer_log.h"
#include "bench/macro/fault_report.h"

namespace tidemark::bench {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(AnswerLog, ARecordComesBackAsItWasWritten) {
  const AnswerRecord record{
      RecordKind::kAbsent, Origin::kReplica, 14, true, 4'000'000'000u, 63'000, -1, -5, ~0ull, 1'764'072'000'000'123, 2};
  const RecordBytes bytes = encode(record);
  const auto decoded = decode_record({bytes.data(), bytes.size()});
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(*decoded, record);
}

TEST(AnswerLog, RefusesARecordOfAnotherSizeOrKindOrOrigin) {
  RecordBytes bytes = encode(AnswerRecord{});
  EXPECT_FALSE(decode_record({bytes.data(), bytes.size() - 1}).has_value());
  bytes[0] = 9;
  EXPECT_FALSE(decode_record({bytes.data(), bytes.size()}).has_value());
  bytes[0] = 1;
  bytes[1] = 4;
  EXPECT_FALSE(decode_record({bytes.data(), bytes.size()}).has_value());
}

TEST(AnswerLog, AnUnknownOriginIsNotMistakenForAnother) {
  EXPECT_EQ(parse_origin("replica"), Origin::kReplica);
  EXPECT_EQ(parse_origin("Node"), Origin::kUnknown);
  EXPECT_EQ(parse_origin(""), Origin::kUnknown);
}

AnswerRecord error_at(int64_t start_us, int64_t end_us) {
  AnswerRecord record;
  record.kind = RecordKind::kError;
  record.error = 14;
  record.start_us = start_us;
  record.end_us = end_us;
  return record;
}

FaultReport one_window() {
  FaultWindow window{100, 200, std::vector<bool>(16384)};
  for (int slot = 0; slot <= 5; ++slot) window.slots[slot] = true;
  return FaultReport({window});
}

TEST(FaultReport, ExcusesErrorsOnTheStoppedNodesSlotsInsideTheWindow) {
  FaultReport report = one_window();
  report.add(error_at(150, 151), {3});
  report.add(error_at(150, 151), {9, 3});
  EXPECT_THAT(report.in_window(), ElementsAre(Pair("UNAVAILABLE", 2)));
  EXPECT_EQ(report.other_slots(), 0u);
  EXPECT_EQ(report.outside(), 0u);
}

TEST(FaultReport, CountsErrorsOnOtherSlotsInsideTheWindow) {
  FaultReport report = one_window();
  report.add(error_at(150, 151), {9});
  EXPECT_THAT(report.in_window(), ElementsAre(Pair("UNAVAILABLE", 1)));
  EXPECT_EQ(report.other_slots(), 1u);
}

TEST(FaultReport, CountsErrorsBeforeAndAfterTheWindowAsOutside) {
  FaultReport report = one_window();
  report.add(error_at(90, 99), {3});
  report.add(error_at(200, 210), {3});
  EXPECT_EQ(report.outside(), 2u);
  EXPECT_TRUE(report.in_window().empty());
}

TEST(FaultReport, ARequestUnderWayWhenTheWindowOpensBelongsToIt) {
  FaultReport report = one_window();
  report.add(error_at(90, 100), {3});
  EXPECT_EQ(report.outside(), 0u);
}

TEST(FaultReport, CountsErrorsOfTheWarmupApart) {
  FaultReport report = one_window();
  AnswerRecord error = error_at(10, 11);
  error.is_warmup = true;
  report.add(error, {3});
  EXPECT_EQ(report.outside(), 0u);
  EXPECT_THAT(report.warmup(), ElementsAre(Pair("UNAVAILABLE", 1)));
}

TEST(FaultReport, NamesStatusCodesAsGrpcDoes) {
  EXPECT_EQ(grpc_status_name(4), "DEADLINE_EXCEEDED");
  EXPECT_EQ(grpc_status_name(8), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(grpc_status_name(99), "CODE_99");
}

}  // namespace
}  // namespace tidemark::bench
