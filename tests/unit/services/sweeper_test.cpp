#include "services/session/sweeper.h"

#include <gtest/gtest.h>

#include <future>

#include "services/session/session_rules.h"
#include "services/session/token_digest.h"
#include "tests/unit/services/fake_session_store.h"

namespace tidemark::session {
namespace {

class SweeperTest : public testing::Test {
 protected:
  SweepSummary sweep() {
    std::promise<SweepSummary> promise;
    sweeper_->sweep({1'800'000'000'000}, [&](SweepSummary summary) { promise.set_value(std::move(summary)); });
    return promise.get_future().get();
  }
  std::shared_ptr<FakeSessionStore> store_ = std::make_shared<FakeSessionStore>();
  std::shared_ptr<SessionMetrics> metrics_ = std::make_shared<SessionMetrics>();
  std::shared_ptr<Sweeper> sweeper_ = std::make_shared<Sweeper>(store_, metrics_);
};

constexpr size_t kBatch = Sweeper::kBatchRowsMax;

TEST_F(SweeperTest, DeletesOnEveryShardUntilABatchIsNotFull) {
  store_->ended = {{0, 2 * kBatch + 10}, {1, 3}, {2, 0}};
  SweepSummary summary = sweep();
  EXPECT_EQ(summary.deleted, static_cast<int64_t>(2 * kBatch + 13));
  EXPECT_FALSE(summary.is_behind);
  EXPECT_EQ(store_->ended, (std::map<ShardId, size_t>{{0, 0}, {1, 0}, {2, 0}}));
  EXPECT_EQ(store_->finds, 3 + 1 + 1);
  EXPECT_EQ(metrics_->swept, 2 * kBatch + 13);
  EXPECT_EQ(metrics_->batches_ok, 4u);
}

TEST_F(SweeperTest, StopsAtItsLimitAndSaysThatItIsBehind) {
  store_->ended = {{0, (Sweeper::kBatchesPerShardMax + 2) * kBatch}};
  EXPECT_TRUE(sweep().is_behind);
  EXPECT_EQ(store_->ended.at(0), 2 * kBatch);
  EXPECT_TRUE(metrics_->sweep_is_behind);
  EXPECT_FALSE(sweep().is_behind);
  EXPECT_FALSE(metrics_->sweep_is_behind);
}

TEST_F(SweeperTest, LeavesAShardToTheSweeperThatIsAtWorkThere) {
  store_->ended = {{0, kBatch}, {1, kBatch}};
  store_->busy_shards[0] = true;
  SweepSummary summary = sweep();
  EXPECT_EQ(summary.deleted, static_cast<int64_t>(kBatch));
  EXPECT_EQ(summary.shards_failed, 0);
  EXPECT_EQ(metrics_->batches_busy, 1u);
}

TEST_F(SweeperTest, AShardThatIsDownHoldsUpNoOther) {
  store_->ended = {{0, 5}, {1, 5}};
  store_->failed_shards.emplace(0, Error{ErrorCode::kUnavailable, "down"});
  SweepSummary summary = sweep();
  EXPECT_EQ(summary.deleted, 5);
  EXPECT_EQ(summary.shards_failed, 1);
  EXPECT_EQ(summary.error.message, "down");
  EXPECT_EQ(metrics_->batches_failed, 1u);
}

TEST_F(SweeperTest, DoesNotTurnInCirclesWhenNothingCanBeDeleted) {
  store_->ended = {{0, 3 * kBatch}};
  store_->are_deletes_futile = true;
  EXPECT_EQ(sweep().deleted, 0);
  EXPECT_EQ(store_->finds, 1);
}

TEST_F(SweeperTest, WithoutShardsThereIsNothingToDo) {
  EXPECT_EQ(sweep().deleted, 0);
}

TEST(SweepStatements, SparesASessionUntilNoServiceCanTakeItForAlive) {
  const UnixMillis now{1'800'000'000'000};
  shardrouter::Statement found = select_ended(now, 10);
  EXPECT_EQ(found.params.at(0), std::to_string(now.value - (kTouchInterval + kSweepDelay).count()));
  EXPECT_EQ(found.params.at(1), "10");
  shardrouter::Statement deleted = delete_ended({{1, "ab"}, {4095, "cd"}}, now);
  EXPECT_EQ(deleted.params.at(0), "{1,4095}");
  EXPECT_EQ(deleted.params.at(1), "{ab,cd}");
  EXPECT_EQ(deleted.params.at(2), found.params.at(0));
}

TEST(TokenDigest, IsSha256OfTheDigits) {
  EXPECT_EQ(digest_of_token("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace tidemark::session
