#include "bench/macro/outage_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tidemark::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kSecond = 1'000'000;
constexpr uint8_t kInternal = 13, kUnavailable = 14;

AnswerRecord answer(int64_t at_s) {
  AnswerRecord record;
  record.origin = Origin::kNode;
  record.bound_ms = 60;
  record.start_us = at_s * kSecond;
  record.end_us = record.start_us + 2'000;
  return record;
}
AnswerRecord error(int64_t at_s, uint8_t code) {
  AnswerRecord record = answer(at_s);
  record.kind = RecordKind::kError;
  record.error = code;
  return record;
}

// Stopped from 10 to 20, healthy again from 25 on.
OutageReport report(std::initializer_list<AnswerRecord> records) {
  OutageReport made({.part = "node", .stopped_us = 10 * kSecond, .returned_us = 20 * kSecond});
  made.add(answer(1));
  made.add(answer(30));
  for (const AnswerRecord& record : records) made.add(record);
  return made;
}

TEST(OutageReport, AllowsUnavailableWhileStoppedAndRecovering) {
  EXPECT_THAT(report({error(12, kUnavailable), error(24, kUnavailable)}).violations(), IsEmpty());
}

TEST(OutageReport, AllowsNoErrorBeforeTheStopNorOnceHealthy) {
  EXPECT_THAT(report({error(5, kUnavailable)}).violations(), ElementsAre(HasSubstr("UNAVAILABLE while before")));
  EXPECT_THAT(report({error(25, kUnavailable)}).violations(), ElementsAre(HasSubstr("UNAVAILABLE while healthy")));
}

TEST(OutageReport, AllowsNoOtherKindOfErrorAtAnyTime) {
  EXPECT_THAT(report({error(12, kInternal)}).violations(), ElementsAre(HasSubstr("INTERNAL while stopped")));
}

TEST(OutageReport, RefusesARequestLongerThanItsDeadlineAndTolerance) {
  AnswerRecord slow = answer(12);
  slow.end_us = slow.start_us + 600'000;
  EXPECT_THAT(report({slow}).violations(), IsEmpty());
  slow.end_us += 1;
  EXPECT_THAT(report({slow}).violations(), ElementsAre(HasSubstr("more than 600 ms")));
}

TEST(OutageReport, RefusesSilenceOnceHealthy) {
  OutageReport made({.part = "node", .stopped_us = 10 * kSecond, .returned_us = 20 * kSecond});
  made.add(answer(1));
  EXPECT_THAT(made.violations(), ElementsAre(HasSubstr("no answer at all while healthy")));
}

TEST(OutageReport, RefusesStaleAnswers) {
  OutageReport made = report({});
  made.set_stale(1, 2);
  EXPECT_EQ(made.violations().size(), 2u);
}

TEST(OutageReport, ShowsTheWorstBoundOfEachPhase) {
  AnswerRecord old = answer(15);
  old.bound_ms = 5'000;
  const auto json = report({old}).to_json();
  EXPECT_EQ(json["phases"]["stopped"]["bound_ms_max"], 5'000);
  EXPECT_EQ(json["phases"]["before"]["bound_ms_max"], 60);
}

}  // namespace
}  // namespace tidemark::bench
