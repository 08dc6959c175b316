#include "services/order/relay/saga_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "services/platform/outbox.h"

namespace tidemark::order {
namespace {

using namespace std::chrono_literals;
using services::OutboxRetry;
using services::SagaDirection;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Writes down what was asked; answers from a script, and with success where the script is silent.
class ScriptedSagaStore : public SagaStore {
 public:
  std::vector<std::string> asked;
  std::map<std::string, std::deque<Result<ConfirmOutcome>>> confirms;  // by sku
  std::deque<Status> releases;
  std::deque<Result<bool>> turns, ends;
  std::vector<OutboxRetry> retries;

  std::vector<ShardId> shards() override { return {0}; }
  void claim(ShardId, int64_t, Duration, size_t, client::Callback<Result<std::vector<Saga>>> done) override {
    done(std::vector<Saga>{});
  }
  void confirm(const Saga& saga, size_t line, client::Callback<Result<ConfirmOutcome>> done) override {
    asked.push_back("confirm " + saga.lines[line].sku);
    done(take(confirms[saga.lines[line].sku], Result<ConfirmOutcome>(ConfirmOutcome::kConfirmed)));
  }
  void release(const Saga& saga, size_t line, client::Callback<Status> done) override {
    asked.push_back("release " + saga.lines[line].sku);
    done(take(releases, Status{}));
  }
  void turn_back(const Saga&, std::string reason, client::Callback<Result<bool>> done) override {
    asked.push_back("turn back: " + reason);
    done(take(turns, Result<bool>(true)));
  }
  void end(const Saga&, pb::OrderState state, client::Callback<Result<bool>> done) override {
    asked.push_back("end " + pb::OrderState_Name(state));
    done(take(ends, Result<bool>(true)));
  }
  void retry_later(const Saga&, OutboxRetry retry, std::string reason, client::Callback<Result<bool>> done) override {
    asked.push_back("later: " + reason);
    retries.push_back(retry);
    done(true);
  }
  void expire_reservations(ShardId, size_t, client::Callback<Result<int64_t>> done) override { done(0); }
  void forget_reservations(ShardId, Duration, size_t, client::Callback<Result<int64_t>> done) override { done(0); }
  void measure(ShardId, client::Callback<Result<OutboxDepth>> done) override { done(OutboxDepth{}); }

 private:
  template <typename T>
  static T take(std::deque<T>& script, T otherwise) {
    if (script.empty()) return otherwise;
    T answer = script.front();
    script.pop_front();
    return answer;
  }
};

class SagaRunTest : public testing::Test {
 protected:
  SagaRun::Ended run(Saga saga) {
    saga.order_id = 1;
    saga.lines = {{"bash", 1, 10}, {"zsh", 2, 20}};
    std::optional<SagaRun::Ended> ended;
    SagaRun::start(store_, metrics_, saga, [&](const Saga&, SagaRun::Ended how) {
      EXPECT_FALSE(ended) << "ended twice";
      ended = std::move(how);
    });
    EXPECT_TRUE(ended) << "it never ended";
    return ended.value_or(SagaRun::Ended{});
  }
  static Error unavailable() { return {ErrorCode::kUnavailable, "shard 1 is away"}; }

  std::shared_ptr<ScriptedSagaStore> store_ = std::make_shared<ScriptedSagaStore>();
  std::shared_ptr<OrderMetrics> metrics_ = std::make_shared<OrderMetrics>(OrderMetrics::Side::kRelay);
};

TEST_F(SagaRunTest, ConfirmsEveryLineAndThenTheOrder) {
  EXPECT_TRUE(run({.attempts = 1}).has_ended);
  EXPECT_THAT(store_->asked, ElementsAre("confirm bash", "confirm zsh", "end CONFIRMED"));
  EXPECT_EQ(metrics_->sagas("confirmed"), 1u);
}

TEST_F(SagaRunTest, ALineThatCannotBeHadAnyMoreTurnsItBackAndTheOrderFails) {
  store_->confirms["zsh"] = {ConfirmOutcome::kOutOfStock};
  EXPECT_TRUE(run({.attempts = 1}).has_ended);
  ASSERT_EQ(store_->asked.size(), 6u);
  EXPECT_THAT(store_->asked[2], HasSubstr("turn back: sku \"zsh\""));
  EXPECT_EQ(store_->asked[3], "release bash");
  EXPECT_EQ(store_->asked[4], "release zsh");
  EXPECT_EQ(store_->asked[5], "end FAILED");
  EXPECT_EQ(metrics_->sagas("failed"), 1u);
}

TEST_F(SagaRunTest, ACancelledOrderOnlyReleases) {
  EXPECT_TRUE(run({.is_cancel = true, .direction = SagaDirection::kBackward, .attempts = 1}).has_ended);
  EXPECT_THAT(store_->asked, ElementsAre("release bash", "release zsh", "end CANCELLED"));
}

TEST_F(SagaRunTest, WhoseTurnIsFencedReleasesNothing) {
  store_->confirms["bash"] = {ConfirmOutcome::kReleased};
  store_->turns = {false};
  EXPECT_FALSE(run({.attempts = 1}).has_ended);
  ASSERT_EQ(store_->asked.size(), 3u);
  EXPECT_THAT(store_->asked[2], HasSubstr("was released"));
  EXPECT_EQ(metrics_->sagas("fenced"), 1u);
}

TEST_F(SagaRunTest, AShardThatIsAwayIsTriedLaterAndLongerEachTime) {
  std::vector<Duration> delays;
  for (int attempt : {1, 2, 3, 10}) {
    store_->confirms["bash"] = {std::unexpected(unavailable())};
    EXPECT_FALSE(run({.attempts = attempt}).has_ended);
    delays.push_back(store_->retries.back().delay);
  }
  EXPECT_THAT(delays, ElementsAre(50ms, 100ms, 200ms, services::kOutboxDelayMax));
  EXPECT_THAT(store_->asked.back(), HasSubstr("shard 1 is away"));
}

TEST_F(SagaRunTest, ARowThatFailedManyTimesIsParkedAndStillTried) {
  store_->releases = {std::unexpected(unavailable())};
  const SagaRun::Ended ended =
      run({.is_cancel = true, .direction = SagaDirection::kBackward, .attempts = services::kOutboxAttemptsMax});
  EXPECT_TRUE(ended.is_parked);
  EXPECT_THAT(ended.trouble, HasSubstr("shard 1 is away"));
  EXPECT_EQ(store_->retries.back(), (OutboxRetry{services::kOutboxParkedDelay, true}));
  EXPECT_EQ(metrics_->value("saga_retries"), 1u);
}

TEST_F(SagaRunTest, AnEndThatWasNotToldIsTriedLater) {
  store_->ends = {std::unexpected(Error{ErrorCode::kOutcomeUnknown, "the link broke"})};
  EXPECT_FALSE(run({.attempts = 1}).has_ended);
  EXPECT_EQ(metrics_->sagas("confirmed"), 0u);
}

TEST(OutboxPace, LooksAtOnceAfterAFullBatchAndSeldomWhenThereIsNothing) {
  services::OutboxPace pace;
  EXPECT_EQ(pace.after(32, 32), 0ms);
  EXPECT_EQ(pace.after(3, 32), services::kOutboxPollBusy);
  EXPECT_EQ(pace.after(0, 32), 20ms);
  EXPECT_EQ(pace.after(0, 32), 40ms);
  for (int i = 0; i < 5; ++i) pace.after(0, 32);
  EXPECT_EQ(pace.after(0, 32), services::kOutboxPollIdle);
  EXPECT_EQ(pace.after(1, 32), services::kOutboxPollBusy);
}

}  // namespace
}  // namespace tidemark::order
