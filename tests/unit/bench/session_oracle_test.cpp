#include "bench/macro/session_oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::bench {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr uint8_t kOk = 0, kNotFound = 5, kUnavailable = 14;
constexpr int64_t kMs = 1000;

ShopEvent event(CustomerAction action, uint8_t status, int64_t start_ms, int64_t end_ms) {
  ShopEvent event;
  event.action = action;
  event.session = "abc";
  event.customer_id = 7;
  event.status = status;
  event.start_us = start_ms * kMs;
  event.end_us = end_ms * kMs;
  event.has_carried_token = true;
  return event;
}
ShopEvent check(uint8_t status, int64_t start_ms, int32_t bound_ms, bool with_token) {
  ShopEvent check = event(CustomerAction::kGetSession, status, start_ms, start_ms + 1);
  check.bound_ms = bound_ms;
  check.origin = Origin::kNode;
  check.has_carried_token = with_token;
  return check;
}

// Revoked and told so at 100 ms.
SessionOracle revoked() {
  SessionOracle oracle;
  oracle.add(event(CustomerAction::kCreateSession, kOk, 0, 10));
  oracle.add(event(CustomerAction::kRevokeSession, kOk, 90, 100));
  return oracle;
}

TEST(SessionOracle, AcceptsAThiefAsLongAsTheBoundAllowsIt) {
  SessionOracle oracle = revoked();
  oracle.add(check(kOk, 150, 60, false));
  EXPECT_EQ(oracle.figures().accepted_within_bound, 1u);
  EXPECT_EQ(oracle.figures().accepted_beyond_bound, 0u);
}

TEST(SessionOracle, FindsARevokedSessionThatWasAcceptedBeyondItsBound) {
  SessionOracle oracle = revoked();
  oracle.add(check(kOk, 150, 40, false));
  EXPECT_EQ(oracle.figures().accepted_beyond_bound, 1u);
  EXPECT_THAT(oracle.figures().examples, SizeIs(1));
  EXPECT_THAT(oracle.figures().examples.front(), HasSubstr("50.0 ms after its revocation"));
}

TEST(SessionOracle, HoldsWhoCarriesTheTokenOfTheRevocationToBoundZero) {
  SessionOracle oracle = revoked();
  oracle.add(check(kOk, 101, 60, true));
  EXPECT_EQ(oracle.figures().accepted_beyond_bound, 1u);
}

TEST(SessionOracle, FindsAnAcceptedSessionOfACacheWithoutBound) {
  SessionOracle oracle = revoked();
  oracle.add(check(kOk, 150, kBoundMissing, false));
  EXPECT_EQ(oracle.figures().bound_missing, 1u);
}

TEST(SessionOracle, CountsRefusalsByWhetherTheyHadTheToken) {
  SessionOracle oracle = revoked();
  oracle.add(check(kNotFound, 101, 0, true));
  oracle.add(check(kNotFound, 200, 0, false));
  EXPECT_EQ(oracle.figures().refused_at_once, 1u);
  EXPECT_EQ(oracle.figures().refused_in_time, 1u);
  EXPECT_EQ(oracle.figures().checks_of_revoked, 2u);
}

TEST(SessionOracle, FindsASessionThatNobodyRevokedAndItsOwnerCannotFind) {
  SessionOracle oracle;
  oracle.add(event(CustomerAction::kCreateSession, kOk, 0, 10));
  oracle.add(check(kNotFound, 20, 0, true));
  EXPECT_EQ(oracle.figures().lost, 1u);
}

TEST(SessionOracle, BlamesNobodyWhileARevocationIsUnderWayOrUnanswered) {
  SessionOracle oracle;
  oracle.add(event(CustomerAction::kCreateSession, kOk, 0, 10));
  oracle.add(event(CustomerAction::kRevokeSession, kUnavailable, 90, 100));
  oracle.add(check(kNotFound, 110, 0, true));
  oracle.add(check(kOk, 120, 0, true));
  EXPECT_EQ(oracle.figures().lost, 0u);
  EXPECT_EQ(oracle.figures().accepted_beyond_bound, 0u);
}

TEST(SessionOracle, DoesNotCountAFailedCheck) {
  SessionOracle oracle = revoked();
  oracle.add(check(kUnavailable, 150, 0, false));
  EXPECT_EQ(oracle.figures().checks, 0u);
}

}  // namespace
}  // namespace tidemark::bench
