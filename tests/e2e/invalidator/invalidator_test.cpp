// The real invalidator against a real Postgres and a node of which every step is known.
#include "replication/io/invalidator.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "tests/e2e/invalidator/fake_node.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::replication {
namespace {

using localcluster::LocalCluster;
using std::chrono::seconds;

constexpr const char* kPrimary = "s0-primary";

class InvalidatorTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = ::testing::TempDir() + "tidemark-inval-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    root_ = directory;
    std::ofstream(directory + "/items.sql")
        << "CREATE TABLE IF NOT EXISTS public.item (bucket int NOT NULL, id text NOT "
           "NULL, value int NOT NULL, PRIMARY KEY (bucket, id));";
    localcluster::Options options;
    options.directory = root_ / "cluster";
    options.nodes = 0;
    options.replicas = 0;
    options.with_invalidator = false;
    options.schema_files = {root_ / "items.sql"};
    options.tables = {"public.item"};
    options.stop_on_destroy = true;
    auto created = LocalCluster::create(options);
    ASSERT_TRUE(created) << created.error().to_string();
    cluster_ = std::make_unique<LocalCluster>(std::move(*created));
    const Status started = cluster_->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  static void TearDownTestSuite() {
    cluster_.reset();
    std::filesystem::remove_all(root_);
  }

  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    node_ = std::make_unique<FakeNode>(context_);
    auto store = tidemark::io::TopologyStoreFile::open(cluster_->directory() / "topology");
    ASSERT_TRUE(store);
    auto stored = store->update([this](Topology& topology) {
      topology.nodes = {
          {.id = "n1", .host = "127.0.0.1", .worker_ports = {node_->port()}, .metrics_port = 0, .workers = 1}};
      topology.groups = {{.id = "g1", .epoch = 1, .nodes = {"n1"}, .weight = 1.0}};
      topology.slot_groups.assign(kSlotCount, 0);
      ++topology.slots_version;
      topology.families = {{.name = "item", .pattern = "item:{<id>}", .table = "public.item", .key_columns = {"id"}}};
      ++topology.families_version;
      return Status{};
    });
    ASSERT_TRUE(stored) << stored.error().to_string();
    journal_ = root_ / ("journal-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
  }
  void TearDown() override {
    stop();
    std::vector<std::string> none;
    if (node_) EXPECT_EQ(node_->violations, none);
  }

  void start() {
    service_.reset();
    io_options_.journal = journal_;
    io_options_.shard.passfile = cluster_->passfile("tidemark_invalidator").string();
    io_options_.shard.node_password = "secret";
    auto store = tidemark::io::TopologyStoreFile::open(cluster_->directory() / "topology");
    auto opened = replication::io::InvalidatorService::open(context_, *store, io_options_, tidemark::io::Log{});
    ASSERT_TRUE(opened) << opened.error().to_string();
    service_ = *opened;
  }
  void stop() {
    if (!service_) return;
    bool is_stopped = false;
    service_->stop([&] { is_stopped = true; });
    EXPECT_TRUE(run_until([&] { return is_stopped; }));
    service_.reset();
    context_.restart();
    context_.run_for(std::chrono::milliseconds(50));
  }

  template <typename Condition>
  bool run_until(Condition condition, seconds limit = seconds(20)) {
    auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      context_.restart();
      context_.run_for(std::chrono::milliseconds(5));
    }
    return condition();
  }
  bool run_until_joined() {
    return run_until([this] { return node_->is_joined && !node_->settled.is_zero(); });
  }

  static std::string psql(std::string_view sql) {
    auto text = cluster_->psql(kPrimary, sql);
    EXPECT_TRUE(text) << text.error().to_string();
    return text.value_or("");
  }
  // Commits a change of the row and says where the commit is.
  static Lsn write(const std::string& id) {
    psql("INSERT INTO item VALUES (" + std::to_string(bucket_of_natural_key(id)) + ", '" + id +
         "', 1) ON CONFLICT (bucket, id) DO UPDATE SET value = item.value + 1");
    auto text = psql("SELECT pg_current_wal_insert_lsn()");
    return Lsn::parse(text.substr(0, text.find('\n'))).value_or(Lsn{});
  }
  bool has_applied(const std::string& key) const {
    return std::ranges::any_of(node_->applied,
                               [&](const auto& a) { return std::ranges::find(a.keys, key) != a.keys.end(); });
  }
  double metric(const std::string& name) const {
    double sum = 0;
    for (const auto& family : service_->metrics()) {
      if (family.name != "tidemark_invalidator_" + name) continue;
      for (const auto& sample : family.samples) sum += sample.value;
    }
    return sum;
  }

  static inline std::filesystem::path root_;
  static inline std::unique_ptr<LocalCluster> cluster_;
  boost::asio::io_context context_{1};
  std::unique_ptr<FakeNode> node_;
  std::filesystem::path journal_;
  replication::io::InvalidatorService::Options io_options_;
  std::shared_ptr<replication::io::InvalidatorService> service_;
};

TEST_F(InvalidatorTest, CarriesEveryCommitInOrderToTheNode) {
  start();
  ASSERT_TRUE(run_until_joined());
  EXPECT_EQ(node_->user, "invalidator");
  for (int i = 0; i < 20; ++i) write("order" + std::to_string(i));
  Lsn last = write("order-last");
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= last; })) << node_->complete_through.to_string();
  EXPECT_TRUE(has_applied("item:{order-last}"));
  EXPECT_GE(node_->applied.size(), 21u);
  EXPECT_TRUE(std::ranges::is_sorted(node_->applied, {}, &FakeNode::Applied::end_lsn));
  std::set<Lsn> distinct;
  for (auto& applied : node_->applied) EXPECT_TRUE(distinct.insert(applied.end_lsn).second) << "sent twice";
}

TEST_F(InvalidatorTest, AnIdleShardSettlesAndItsStampsComeBack) {
  start();
  ASSERT_TRUE(run_until_joined());
  Lsn written = write("idle");
  EXPECT_TRUE(run_until([&] { return node_->settled >= written && node_->last_echo > 0; }));
  uint64_t before = node_->last_echo;
  EXPECT_TRUE(run_until([&] { return node_->last_echo > before + 10; })) << "echoes go on without traffic";
}

TEST_F(InvalidatorTest, AnAsynchronousCommitIsFlushedByATickWithinAMoment) {
  start();
  ASSERT_TRUE(run_until_joined());
  psql("ALTER SYSTEM SET wal_writer_delay = '10s'; ");
  psql("SELECT pg_reload_conf()");
  auto begun = std::chrono::steady_clock::now();
  psql("SET synchronous_commit = off; INSERT INTO item VALUES (1, 'async', 1)");
  EXPECT_TRUE(run_until([&] { return has_applied("item:{async}"); }, seconds(8)));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
  psql("ALTER SYSTEM RESET wal_writer_delay");
  psql("SELECT pg_reload_conf()");
}

TEST_F(InvalidatorTest, ABatchLostWithItsConnectionIsSentAgain) {
  start();
  ASSERT_TRUE(run_until_joined());
  node_->drops_batches = true;
  Lsn written = write("lost");
  run_until([] { return false; }, seconds(1));
  EXPECT_LT(node_->complete_through, written) << "no FENCE may pass the lost batch";
  node_->drops_batches = false;
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= written; }));
  EXPECT_TRUE(has_applied("item:{lost}"));
  EXPECT_EQ(node_->joined_at.size(), 1u) << "no need to revalidate";
}

TEST_F(InvalidatorTest, ATransactionOfManyRowsArrivesWholeInParts) {
  start();
  ASSERT_TRUE(run_until_joined());
  psql("INSERT INTO item SELECT 1, 'many' || g, 1 FROM generate_series(1, 10000) g");
  Lsn after = write("after-many");
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= after; }));
  std::set<std::string> keys;
  for (auto& applied : node_->applied) keys.insert(applied.keys.begin(), applied.keys.end());
  EXPECT_EQ(keys.size(), 10'001u);
  EXPECT_GE(node_->applied.size(), 4u) << "one transaction, three parts";
}

TEST_F(InvalidatorTest, ANodeThatForgotEverythingJoinsAgain) {
  start();
  ASSERT_TRUE(run_until_joined());
  Lsn written = write("before");
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= written; }));
  node_->lose_memory();
  node_->lose_connections();
  ASSERT_TRUE(run_until_joined());
  EXPECT_GE(node_->joined_at.back(), written);
}

TEST_F(InvalidatorTest, ARestartedInvalidatorReplaysFromItsJournalWithoutRevalidating) {
  start();
  ASSERT_TRUE(run_until_joined());
  Lsn known = write("first");
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= known; }));
  // The meta says that everyone is clean once a second; before that a restart revalidates, which is right but slow.
  run_until([] { return false; }, seconds(2));
  node_->drops_batches = true;
  Lsn missed = write("missed");
  ASSERT_TRUE(run_until([&] { return metric("confirmed_position") >= double(missed.value); }));
  stop();
  Lsn unseen = write("unseen");
  node_->drops_batches = false;
  start();
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= unseen; }));
  EXPECT_TRUE(has_applied("item:{missed}")) << "only the journal has it: the slot was confirmed beyond it";
  EXPECT_TRUE(has_applied("item:{unseen}"));
  EXPECT_EQ(node_->joined_at.size(), 1u);
}

TEST_F(InvalidatorTest, AJournalThatWasLostRevalidatesTheNode) {
  start();
  ASSERT_TRUE(run_until_joined());
  node_->drops_batches = true;
  Lsn missed = write("gone");
  ASSERT_TRUE(run_until([&] { return metric("confirmed_position") >= double(missed.value); }));
  stop();
  node_->drops_batches = false;
  journal_ += "-new";
  start();
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= missed; }));
  EXPECT_EQ(node_->joined_at.size(), 2u);
  EXPECT_GE(node_->joined_at.back(), missed) << "the floor must be at or beyond what was never sent";
}

TEST_F(InvalidatorTest, ALostSlotRevalidatesTheNode) {
  start();
  ASSERT_TRUE(run_until_joined());
  run_until([] { return false; }, seconds(2));
  stop();
  psql("SELECT pg_drop_replication_slot('tidemark')");
  Lsn missed = write("slotless");
  start();
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= missed; }));
  EXPECT_EQ(node_->joined_at.size(), 2u);
  EXPECT_GE(node_->joined_at.back(), missed);
}

TEST_F(InvalidatorTest, ACrashOfPostgresMakesANewIncarnationAndLosesNothing) {
  start();
  ASSERT_TRUE(run_until_joined());
  DbEpoch before = node_->db_epoch;
  ASSERT_TRUE(cluster_->pg_stop(kPrimary, localcluster::StopMode::kImmediate));
  ASSERT_TRUE(cluster_->pg_start(kPrimary));
  Lsn written = write("after-crash");
  ASSERT_TRUE(run_until([&] { return node_->complete_through >= written && node_->db_epoch > before; }));
  EXPECT_EQ(node_->joined_at.size(), 2u) << "FENCEALL with the new epoch";
}

// A commit that waits for a synchronous standby that never comes: decoded, but seen by no snapshot (the ghost, M-1).
class HangingCommit {
 public:
  explicit HangingCommit(const LocalCluster& cluster) : cluster_(cluster) {
    set_standby("'nobody'");
    pid_ = ::fork();
    if (pid_ == 0) {
      (void)cluster_.psql(kPrimary, "INSERT INTO item VALUES (1, 'ghost', 1)");
      ::_exit(0);
    }
  }
  ~HangingCommit() { release(); }
  void release() {
    if (pid_ <= 0) return;
    set_standby("''");
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
    (void)cluster_.psql(kPrimary, "ALTER SYSTEM RESET synchronous_standby_names");
    (void)cluster_.psql(kPrimary, "DELETE FROM item WHERE id = 'ghost'");
  }

 private:
  void set_standby(const std::string& names) {
    (void)cluster_.psql(kPrimary, "ALTER SYSTEM SET synchronous_standby_names = " + names);
    (void)cluster_.psql(kPrimary, "SELECT pg_reload_conf()");
    (void)cluster_.psql(kPrimary, "SELECT pg_sleep(0.2)");
  }
  const LocalCluster& cluster_;
  pid_t pid_ = 0;
};

TEST_F(InvalidatorTest, ACommitThatNobodySeesYetHoldsBackSettled) {
  start();
  ASSERT_TRUE(run_until_joined());
  HangingCommit ghost(*cluster_);
  ASSERT_TRUE(run_until([&] { return has_applied("item:{ghost}"); }));
  Lsn end = node_->applied.back().end_lsn;
  run_until([] { return false; }, seconds(1));
  EXPECT_LT(node_->settled, end);
  EXPECT_GE(node_->complete_through, end);
  ghost.release();
  EXPECT_TRUE(run_until([&] { return node_->settled >= end; }));
}

TEST_F(InvalidatorTest, AnInvalidatorWithoutAJournalClaimsNothingSettledWhileAnOldCommitHangs) {
  // E16: the commit was decoded and confirmed by an invalidator whose journal is lost; the new one's stream starts
  // after it, so the longest visible prefix of what it has seen says nothing.
  start();
  ASSERT_TRUE(run_until_joined());
  HangingCommit ghost(*cluster_);
  ASSERT_TRUE(run_until([&] { return has_applied("item:{ghost}"); }));
  Lsn end = node_->applied.back().end_lsn;
  ASSERT_TRUE(run_until([&] { return metric("confirmed_position") >= double(end.value); }));
  stop();
  node_->lose_memory();
  journal_ += "-new";
  start();
  ASSERT_TRUE(run_until([&] { return node_->is_joined && node_->joined_at.back() >= end; }));
  run_until([] { return false; }, seconds(1));
  EXPECT_TRUE(node_->settled.is_zero()) << node_->settled.to_string();
  ghost.release();
  EXPECT_TRUE(run_until([&] { return node_->settled >= end; }));
}

TEST_F(InvalidatorTest, ARestartRemembersWhichCommitsOfItsJournalHang) {
  start();
  ASSERT_TRUE(run_until_joined());
  run_until([] { return false; }, seconds(2));
  HangingCommit ghost(*cluster_);
  ASSERT_TRUE(run_until([&] { return has_applied("item:{ghost}"); }));
  Lsn end = node_->applied.back().end_lsn;
  ASSERT_TRUE(run_until([&] { return metric("confirmed_position") >= double(end.value); }));
  stop();
  start();
  run_until([] { return false; }, seconds(1));
  EXPECT_LT(node_->settled, end);
  EXPECT_GE(metric("unsettled_commits"), 1);
  ghost.release();
  EXPECT_TRUE(run_until([&] { return node_->settled >= end; }));
}

TEST_F(InvalidatorTest, ATableOutsideThePublicationIsRefusedUntilItIsPublished) {
  psql("SET tidemark.eventless_ddl = 'allowed'; ALTER PUBLICATION tidemark DROP TABLE public.item");
  start();
  ASSERT_TRUE(run_until([&] {
    auto reasons = service_->readiness().reasons_against;
    return !reasons.empty() && reasons[0].find("is not in publication tidemark") != std::string::npos;
  }));
  EXPECT_FALSE(node_->is_joined) << "the node must not serve what nobody keeps fresh";
  psql("ALTER PUBLICATION tidemark ADD TABLE public.item");
  EXPECT_TRUE(run_until_joined());
}

TEST_F(InvalidatorTest, OfTwoInvalidatorsOneWaits) {
  start();
  ASSERT_TRUE(run_until_joined());
  auto options = io_options_;
  options.journal += "-standby";
  auto store = tidemark::io::TopologyStoreFile::open(cluster_->directory() / "topology");
  auto second = replication::io::InvalidatorService::open(context_, *store, options, tidemark::io::Log{});
  ASSERT_TRUE(second);
  auto standby = [&] {
    for (const auto& family : (*second)->metrics()) {
      if (family.name == "tidemark_invalidator_standby") return family.samples[0].value == 1;
    }
    return false;
  };
  ASSERT_TRUE(run_until(standby));
  stop();
  Lsn written = write("taken-over");
  EXPECT_TRUE(run_until([&] { return node_->complete_through >= written; })) << "the standby takes over";
  service_ = *second;
}

}  // namespace
}  // namespace tidemark::replication
