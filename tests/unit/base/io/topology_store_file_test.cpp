#include "base/io/topology_store_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <fstream>

namespace tidemark::io {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class TopologyStoreFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tidemark-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }

  TopologyStoreFile store() { return TopologyStoreFile::open(root_ / "topology").value(); }
  static Topology with_nodes(int count) {
    Topology topology;
    for (int i = 0; i < count; ++i) topology.nodes.push_back({.id = "n" + std::to_string(i), .worker_ports = {}});
    return topology;
  }

  fs::path root_;
};

TEST_F(TopologyStoreFileTest, IsEmptyUntilTheFirstWrite) {
  Result<Topology> topology = store().load();
  ASSERT_FALSE(topology);
  EXPECT_EQ(topology.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(topology.error().message, HasSubstr("tidemarkctl init"));
}

TEST_F(TopologyStoreFileTest, MakesItsDirectoryPrivate) {
  auto perms = fs::status(store().directory()).permissions();
  EXPECT_EQ(perms, fs::perms::owner_all);
}

TEST_F(TopologyStoreFileTest, NumbersTheVersions) {
  EXPECT_EQ(store().compare_and_set(0, with_nodes(1))->version, 1u);
  EXPECT_EQ(store().compare_and_set(1, with_nodes(2))->version, 2u);
  EXPECT_EQ(store().load()->version, 2u);
  EXPECT_EQ(store().load()->nodes.size(), 2u);
}

TEST_F(TopologyStoreFileTest, TheSecondOfTwoWritersIsTold) {
  ASSERT_TRUE(store().compare_and_set(0, with_nodes(1)));
  ASSERT_TRUE(store().compare_and_set(1, with_nodes(2)));
  Result<Topology> lost = store().compare_and_set(1, with_nodes(3));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kAborted);
  EXPECT_EQ(store().load()->nodes.size(), 2u);
}

TEST_F(TopologyStoreFileTest, RefusesAVersionBeyondTheNewest) {
  EXPECT_EQ(store().compare_and_set(5, with_nodes(1)).error().code, ErrorCode::kAborted);
}

TEST_F(TopologyStoreFileTest, RefusesATopologyThatIsNotWhole) {
  Topology topology = with_nodes(1);
  topology.groups = {{.id = "g1", .nodes = {"n9"}}};
  EXPECT_EQ(store().compare_and_set(0, topology).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(TopologyStoreFileTest, KeepsTheLastSixteenVersionsAndNoTemporaryFile) {
  for (uint64_t version = 0; version < 20; ++version) ASSERT_TRUE(store().compare_and_set(version, with_nodes(1)));
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(store().directory())) {
    EXPECT_THAT(entry.path().filename().string(), testing::StartsWith("topology.0000"));
    ++files;
  }
  EXPECT_EQ(files, 16u);
  EXPECT_TRUE(fs::exists(store().directory() / "topology.00000000000000000020.json"));
}

TEST_F(TopologyStoreFileTest, NamesTheFileThatDoesNotDecode) {
  ASSERT_TRUE(store().compare_and_set(0, with_nodes(1)));
  std::ofstream(store().directory() / "topology.00000000000000000002.json") << "{";
  Result<Topology> topology = store().load();
  ASSERT_FALSE(topology);
  EXPECT_EQ(topology.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(topology.error().message, HasSubstr("00002.json"));
}

TEST_F(TopologyStoreFileTest, RefusesAFileWhoseNameAndVersionDiffer) {
  ASSERT_TRUE(store().compare_and_set(0, with_nodes(1)));
  fs::copy_file(store().directory() / "topology.00000000000000000001.json",
                store().directory() / "topology.00000000000000000002.json");
  EXPECT_THAT(store().load().error().message, HasSubstr("says it is version 1"));
}

TEST_F(TopologyStoreFileTest, AnUpdateMayRefuseAndAnUnchangedOneWritesNothing) {
  ASSERT_TRUE(store().compare_and_set(0, with_nodes(1)));
  auto refused = store().update([](Topology&) -> Status { return fail(ErrorCode::kFailedPrecondition, "no"); });
  EXPECT_EQ(refused.error().message, "no");
  EXPECT_EQ(store().update([](Topology&) -> Status { return {}; })->version, 1u);
}

// Four processes add 15 nodes each through update(): a lost update would lose a node, a torn file would not decode.
TEST_F(TopologyStoreFileTest, LosesNoUpdateOfManyProcesses) {
  constexpr int kProcesses = 4, kNodesEach = 15;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      bool is_good = true;
      for (int i = 0; i < kNodesEach; ++i) {
        std::string id = "p" + std::to_string(process) + "-" + std::to_string(i);
        is_good = is_good && store().update([&](Topology& topology) -> Status {
          topology.nodes.push_back({.id = id, .worker_ports = {}});
          return {};
        });
      }
      ::_exit(is_good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  Result<Topology> topology = store().load();
  ASSERT_TRUE(topology) << topology.error().to_string();
  EXPECT_EQ(topology->nodes.size(), static_cast<size_t>(kProcesses * kNodesEach));
  EXPECT_EQ(topology->version, static_cast<uint64_t>(kProcesses * kNodesEach));
}

TEST_F(TopologyStoreFileTest, TellsWatchersTheNewestAtOnceAndEveryNewerOne) {
  ASSERT_TRUE(store().compare_and_set(0, with_nodes(1)));
  boost::asio::io_context context;
  std::vector<uint64_t> seen;
  std::unique_ptr<TopologyStoreFile::Watch> watch =
      store().watch(context, [&](std::shared_ptr<const Topology> topology) {
        seen.push_back(topology->version);
        if (topology->version < 3) {
          EXPECT_TRUE(store().compare_and_set(topology->version, with_nodes(1)));
        } else {
          watch.reset();  // run() returns: nothing of the watch is left
        }
      });
  context.run_for(std::chrono::seconds(10));
  EXPECT_EQ(seen, (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_TRUE(context.stopped());
}

TEST(OpenTopologyStore, TakesFileAddressesOnly) {
  EXPECT_THAT(open_topology_store("etcd:127.0.0.1:2379").error().message, HasSubstr("file:DIR"));
  EXPECT_EQ(open_topology_store("file:").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tidemark::io
