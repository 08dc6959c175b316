// What a service promises when the cache is down, behind or lagging, tested without a server.
#include <gtest/gtest.h>

#include <thread>

#include "client/testing/fake_cluster.h"
#include "note_store.h"

namespace notes {
namespace {

using tidemark::Error;
using tidemark::ErrorCode;
using tidemark::client::Origin;
using tidemark::shardrouter::ResultSet;
using tidemark::shardrouter::Statement;
using tidemark::testing::FakeCluster;

class NoteTest : public ::testing::Test {
 protected:
  NoteTest() : store_(cluster_.cache(), cluster_.database()) {
    cluster_.serve(note_source());
    cluster_.put<NoteBySlug>({"a"}, {{{"body", "one"}, {"likes", "0"}}});
  }
  // A fill is offered after the caller has its answer: wait for it.
  bool wait_until_cached(const std::string& slug) {
    for (int i = 0; i < 2000 && !cluster_.is_cached<NoteBySlug>({slug}); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return cluster_.is_cached<NoteBySlug>({slug});
  }

  FakeCluster cluster_;
  NoteStore store_;
};

TEST_F(NoteTest, TheFirstReadLoadsAndTheSecondHits) {
  auto first = store_.get("a");
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->origin(), Origin::kPrimary);
  ASSERT_TRUE(wait_until_cached("a"));
  auto second = store_.get("a");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->origin(), Origin::kNode);
  EXPECT_EQ(second->value().body, "one");
  EXPECT_EQ(cluster_.loads(), 1U);
}

TEST_F(NoteTest, ANoteThatIsNotThereIsProvenAbsent) {
  auto answer = store_.get("nobody");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_TRUE(answer->is_absent());
}

TEST_F(NoteTest, AnotherWritersCommitDropsTheEntry) {
  ASSERT_TRUE(store_.get("a"));
  ASSERT_TRUE(wait_until_cached("a"));
  cluster_.put<NoteBySlug>({"a"}, {{{"body", "two"}, {"likes", "0"}}});
  auto answer = store_.get("a");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->value().body, "two");
}

TEST_F(NoteTest, WhenTheStreamStandsStillTheBoundSaysSo) {
  ASSERT_TRUE(store_.get("a"));
  ASSERT_TRUE(wait_until_cached("a"));
  cluster_.hold_stream(true);
  cluster_.put<NoteBySlug>({"a"}, {{{"body", "two"}, {"likes", "0"}}});
  cluster_.clock().advance(std::chrono::seconds(5));
  auto answer = store_.get("a");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->value().body, "one");
  EXPECT_GE(answer->staleness_ms(), 5000);
}

TEST_F(NoteTest, ALaggingReplicaCannotFillWhatTheNodeKnowsToBeOld) {
  cluster_.use_replica(true);
  cluster_.hold_replay(true);
  cluster_.put<NoteBySlug>({"a"}, {{{"body", "two"}, {"likes", "0"}}});
  auto answer = store_.get("a");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->value().body, "two");
}

TEST_F(NoteTest, WithTheNodeDownTheDatabaseAnswers) {
  cluster_.stop_node();
  auto answer = store_.get("a");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->origin(), Origin::kPrimary);
}

TEST_F(NoteTest, WithEverythingDownTheErrorIsNotAMiss) {
  cluster_.stop_node();
  cluster_.fail_primary(Error{ErrorCode::kUnavailable, "the primary is gone"});
  auto answer = store_.get("a");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
}

TEST_F(NoteTest, ALikeIsSeenByTheNextRead) {
  ASSERT_TRUE(store_.get("a"));
  ASSERT_TRUE(wait_until_cached("a"));
  cluster_.on_write([this](const Statement& statement) -> tidemark::Result<FakeCluster::Done> {
    if (statement.sql.find("likes + 1") == std::string::npos) {
      return tidemark::fail(ErrorCode::kInvalidArgument, "not expected: " + statement.sql);
    }
    return FakeCluster::Done{ResultSet{{"likes"}, {{"1"}}, "UPDATE 1", 1},
                             {FakeCluster::change_of<NoteBySlug>({"a"}, {{{"body", "one"}, {"likes", "1"}}})}};
  });
  auto likes = store_.like("a");
  ASSERT_TRUE(likes) << likes.error().to_string();
  EXPECT_EQ(*likes, 1);
  auto answer = store_.get("a");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->value().likes, 1);
}

}  // namespace
}  // namespace notes
