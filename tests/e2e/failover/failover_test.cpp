// Fail-over of a shard as routers live through it: promotions by somebody else, old primaries that come back.
#include <thread>

#include "shardrouter/io/pg_connection.h"
#include "tests/e2e/failover/failover_fixture.h"

namespace tidemark::shardrouter {
namespace {

using ::testing::HasSubstr;

// Asks a server every millisecond, on the test's own loop, whether it is in recovery still.
class PromotionClock : public std::enable_shared_from_this<PromotionClock> {
 public:
  static std::shared_ptr<PromotionClock> start(boost::asio::io_context& context, std::string conninfo) {
    auto clock = std::make_shared<PromotionClock>();
    PgConnection::Options options;
    options.conninfo = std::move(conninfo);
    clock->connection_ = PgConnection::create(context, options);
    clock->connection_->connect([clock](Status status) {
      if (status) clock->ask();
    });
    return clock;
  }
  void stop() {
    is_stopped_ = true;
    connection_->close();
  }
  std::optional<Clock::time_point> promoted_at;

 private:
  void ask() {
    Pipeline pipeline;
    pipeline.groups.push_back({{"SELECT pg_is_in_recovery()::text", {}}});
    connection_->run(std::move(pipeline), [self = shared_from_this()](Result<std::vector<ResultSet>> result) {
      if (!result || self->is_stopped_ || self->promoted_at) return;
      if (result->front().rows[0][0] == "false") {
        self->promoted_at = Clock::now();
        return;
      }
      self->ask();
    });
  }
  std::shared_ptr<PgConnection> connection_;
  bool is_stopped_ = false;
};

TEST_F(FailOverTest, TheRouterFollowsAPromotionAndNoAcknowledgedWriteIsLost) {
  wait_for_standby("s0-replica1");
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(write());
  auto clock = PromotionClock::start(context_, cluster_->admin_conninfo("s0-replica1"));
  ASSERT_TRUE(cluster_->kill("s0-primary"));
  EXPECT_FALSE(write()) << "nobody is there";
  // Whoever the failover manager is: this is all it does.
  std::jthread manager([&] { (void)cluster_->psql("s0-replica1", "SELECT pg_promote(false)"); });
  ASSERT_TRUE(write_until_acknowledged());
  const auto first_write = Clock::now();
  ASSERT_TRUE(clock->promoted_at);
  clock->stop();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(first_write - *clock->promoted_at);
  RecordProperty("visible_to_first_write_ms", static_cast<int>(took.count()));
  printf("visible to first acknowledged write: %lld ms, %zu refusals before\n", static_cast<long long>(took.count()),
         errors_.size());
  for (const Error& error : errors_)
    EXPECT_TRUE(error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kOutcomeUnknown) << error.to_string();
  EXPECT_EQ(primary_of(*pool_), "s0-replica1");
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(write());
  const Audit found = audit("s0-replica1");
  EXPECT_EQ(found.lost, 0u);
  EXPECT_EQ(found.duplicated, 0u);
  // Routed writes opened after the slot existed, and the shard remembers where the timeline began.
  EXPECT_EQ(psql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'tidemark'", "s0-replica1"), "1");
  EXPECT_EQ(psql("SELECT t.timeline, t.e, t.prev_timeline, t.prev_e, t.switch_lsn IS NOT NULL AND t.switch_lsn <= "
                 "t.opened_lsn AND s.confirmed_flush_lsn <= t.opened_lsn FROM shard.timeline t, pg_replication_slots s "
                 "WHERE t.timeline = 2",
                 "s0-replica1"),
            "2|131072|1|1|t");

  // The old primary comes back as it was: it thinks that it is one.
  ASSERT_TRUE(cluster_->start("s0-primary"));
  ASSERT_TRUE(eventually([&] { return psql("SELECT retired_timeline FROM tidemark.epoch", "s0-primary") == "1"; }))
      << "routers tell it that it has a successor";
  EXPECT_EQ(primary_of(*pool_), "s0-replica1");
  EXPECT_THAT(try_psql("SELECT tidemark.open_incarnation()", "s0-primary"), HasSubstr("has a successor"));
  EXPECT_THAT(try_psql("INSERT INTO item VALUES (7, 900000, 1)", "s0-primary"), HasSubstr("has a successor"))
      << "nor by hand";
  // A router that never heard of the new primary cannot write there either.
  const auto store = io::open_topology_store(cluster_->topology_address());
  Shard blind = store->load()->shards.at(0);
  blind.servers.resize(1);
  ShardPool::Options options;
  options.passfile = cluster_->passfile("tidemark_app").string();
  auto cut_off = ShardPool::create(context_, blind, options);
  const auto refused = write(*cut_off, 900001);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable) << refused.error().to_string();
  cut_off->close();
  EXPECT_EQ(psql("SELECT count(*) FROM item WHERE id >= 900000", "s0-primary"), "0");
}

TEST_F(FailOverTest, APrimaryThatWasToldNothingRefusesARouterThatKnowsMore) {
  ASSERT_TRUE(write());
  // Heard from another service, in a session's token: the shard has had a promotion.
  auto pipeline = make_routed_write({{kBucket, 1}}, {Statement{"INSERT INTO item VALUES (7, 500, 1)"}}, 131072);
  ASSERT_TRUE(pipeline);
  std::optional<Result<std::vector<ResultSet>>> answer;
  pool_->run(ShardPool::Target::kPrimary, {}, std::move(*pipeline), 2s,
             [&](Result<std::vector<ResultSet>> results) { answer = std::move(results); });
  ASSERT_TRUE(eventually([&] { return answer.has_value(); }));
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(answer->error().message, HasSubstr("SH007"));
  EXPECT_EQ(psql("SELECT count(*) FROM item WHERE id = 500"), "0");
  pool_->note_db_epoch(131072);
  const auto refused = write();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("has no primary now"));
}

TEST_F(FailOverTest, NobodyWritesBeforeTheSlotExists) {
  ASSERT_TRUE(write());
  pool_->close();
  ASSERT_TRUE(cluster_->kill("s0-primary"));
  psql("SELECT pg_promote()", "s0-replica1");
  EXPECT_THAT(try_psql("INSERT INTO item VALUES (7, 600, 1)", "s0-replica1"), HasSubstr("not open for writes yet"));
  EXPECT_THAT(try_psql("SELECT tidemark.open_incarnation()", "s0-replica1"), HasSubstr("slot"));
  EXPECT_THAT(try_psql("SELECT shard.guard(7, 1)", "s0-replica1"), HasSubstr("not open for routed writes"));
  EXPECT_EQ(psql("SELECT shard.open_timeline()", "s0-replica1"), "131072");
  EXPECT_EQ(psql("SELECT shard.open_timeline()", "s0-replica1"), "131072") << "again: nothing to do";
  psql("INSERT INTO item VALUES (7, 600, 1)", "s0-replica1");
}

}  // namespace
}  // namespace tidemark::shardrouter
