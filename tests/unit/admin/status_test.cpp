#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/topology/bootstrap.h"
#include "tools/admin/status_view.h"

namespace tidemark::admin {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Json = nlohmann::json;

// Two nodes, the second with two workers; one shard with a replica; everything as it should be.
ClusterStatus healthy() {
  ClusterStatus status;
  Topology& topology = status.topology;
  EXPECT_TRUE(add_nodes(topology, {{.id = "n1"}, {.id = "n2", .workers = 2}}));
  topology.version = 9;
  topology.shards = {{.id = 0,
                      .servers = {{.name = "s0-primary", .conninfo = "host=a"},
                                  {.name = "s0-replica1", .role = ShardServer::Role::kReplica, .conninfo = "host=b"}}}};
  topology.buckets.assign(kBucketCount, {.shard = 0, .epoch = 1});
  Tide tide{.shard = 0, .db_epoch = 3, .complete_through = "1/F0", .settled = "1/E0", .floor = "0/0", .bound_ms = 12};
  auto worker = [&](const std::string& node, uint32_t index, uint32_t slots) {
    WorkerMeasures measures{.role = "primary",
                            .keys = 41,
                            .memory_bytes_used = 1536,
                            .memory_bytes_max = 64 << 20,
                            .commands_per_second = 250,
                            .clients = 4,
                            .uptime_s = 60,
                            .topology_version = 9,
                            .slots_version = topology.slots_version,
                            .tides = {tide}};
    return WorkerState{node, index, "127.0.0.1:700" + std::to_string(slots % 10), slots, measures};
  };
  status.workers = {worker("n1", 0, 8192), worker("n2", 0, 4096), worker("n2", 1, 4096)};
  status.slots_served = kSlotCount;
  ServerMeasures primary{.is_primary = true, .timeline = 2, .lsn = "1/100", .lag_bytes = {}, .lag_ms = {}};
  ServerMeasures replica{.is_primary = false, .timeline = 2, .lsn = "1/100", .lag_bytes = 0, .lag_ms = 0};
  status.shards = {{.id = 0,
                    .buckets = 4096,
                    .buckets_owned = 4096,
                    .db_epoch = 3,
                    .is_open = true,
                    .wal_slots = {{.name = "tidemark",
                                   .is_logical = true,
                                   .is_active = true,
                                   .wal_status = "reserved",
                                   .retained_bytes = 4096,
                                   .confirmed_lsn = "1/F8",
                                   .lag_bytes = 8}},
                    .servers = {{"s0-primary", ShardServer::Role::kPrimary, primary},
                                {"s0-replica1", ShardServer::Role::kReplica, replica}}}};
  return status;
}

std::vector<std::string> problems_after(const std::function<void(ClusterStatus&)>& change) {
  ClusterStatus status = healthy();
  change(status);
  return problems_of(status);
}

TEST(Problems, AHealthyClusterHasNone) {
  EXPECT_THAT(problems_of(healthy()), IsEmpty());
}

TEST(Problems, NamesAWorkerThatDoesNotAnswerAndTheSlotsItLeaves) {
  EXPECT_THAT(problems_after([](ClusterStatus& status) {
                status.workers[2].measures = fail(ErrorCode::kUnavailable, "connection refused");
                status.slots_served -= 4096;
              }),
              ElementsAre("4096 of 16384 slots are not served", "worker 1 of n2 (127.0.0.1:7006): connection refused"));
}

TEST(Problems, NamesAnOldSlotTable) {
  EXPECT_THAT(problems_after([](ClusterStatus& status) { status.workers[0].measures->slots_version = 0; }),
              ElementsAre(HasSubstr("has slots version 0, the topology 1")));
}

TEST(Problems, NamesAWorkerWithoutAShardOrWithoutABoundOrBeyondIt) {
  EXPECT_THAT(problems_after([](ClusterStatus& status) { status.workers[0].measures->tides.clear(); }),
              ElementsAre(HasSubstr("has not joined shard 0")));
  EXPECT_THAT(problems_after([](ClusterStatus& status) { status.workers[0].measures->tides[0].bound_ms = -1; }),
              ElementsAre(HasSubstr("does not know how fresh shard 0 is")));
  auto late = [](ClusterStatus& status) { status.workers[0].measures->tides[0].bound_ms = 5001; };
  EXPECT_THAT(problems_after(late), IsEmpty());
  EXPECT_THAT(problems_after([&](ClusterStatus& status) {
                late(status);
                status.topology.families = {{.name = "f", .pattern = "f:{<a>}", .table = "s.t", .key_columns = {"a"}}};
                status.topology.families[0].max_stale_ms = 5000;
              }),
              ElementsAre(HasSubstr("5001 ms behind shard 0")));
}

TEST(Problems, AWorkerWithoutSlotsNeedsNoShard) {
  EXPECT_THAT(problems_after([](ClusterStatus& status) {
                status.workers.push_back(status.workers[0]);
                status.workers.back().slots = 0;
                status.workers.back().measures->tides.clear();
              }),
              IsEmpty());
}

TEST(Problems, NamesAServerThatDoesNotAnswer) {
  EXPECT_THAT(problems_after([](ClusterStatus& status) {
                status.shards[0].servers[1].measures = fail(ErrorCode::kDeadlineExceeded, "no answer in time");
              }),
              ElementsAre("s0-replica1 of shard 0: no answer in time"));
  EXPECT_THAT(problems_after([](ClusterStatus& status) {
                status.shards[0].servers[0].measures = fail(ErrorCode::kUnavailable, "connection refused");
                status.shards[0].is_open = false;  // nobody said otherwise: not a problem of its own
                status.shards[0].wal_slots.clear();
              }),
              ElementsAre("s0-primary of shard 0: connection refused"));
}

TEST(Problems, NamesAPromotedReplicaAndAStrangeTimeline) {
  EXPECT_THAT(problems_after([](ClusterStatus& status) { status.shards[0].servers[1].measures->is_primary = true; }),
              ElementsAre("s0-replica1 of shard 0 is a primary, the topology calls it a replica"));
  EXPECT_THAT(problems_after([](ClusterStatus& status) { status.shards[0].servers[1].measures->timeline = 1; }),
              ElementsAre("s0-replica1 of shard 0 follows timeline 1, the primary is on 2"));
}

TEST(Problems, NamesPausedReplayAndALateReplica) {
  auto measures = [](ClusterStatus& status) -> ServerMeasures& { return *status.shards[0].servers[1].measures; };
  EXPECT_THAT(problems_after([&](ClusterStatus& status) { measures(status).is_replay_paused = true; }),
              ElementsAre("replay is paused on s0-replica1 of shard 0"));
  EXPECT_THAT(problems_after([&](ClusterStatus& status) { measures(status).lag_ms = kReplayLagMsMax; }), IsEmpty());
  EXPECT_THAT(problems_after([&](ClusterStatus& status) { measures(status).lag_ms = kReplayLagMsMax + 1; }),
              ElementsAre("s0-replica1 of shard 0 is up to 10001 ms behind"));
}

TEST(Problems, NamesWhatIsWrongWithTheInvalidatorsSlot) {
  auto after = [](const std::function<void(WalSlot&)>& change) {
    return problems_after([&](ClusterStatus& status) { change(status.shards[0].wal_slots[0]); });
  };
  EXPECT_THAT(after([](WalSlot& slot) { slot.name = "other"; }), ElementsAre(HasSubstr("is missing")));
  EXPECT_THAT(after([](WalSlot& slot) { slot.is_active = false; }), ElementsAre(HasSubstr("nobody reads")));
  EXPECT_THAT(after([](WalSlot& slot) { slot.wal_status = "lost"; }), ElementsAre(HasSubstr("has lost WAL")));
  EXPECT_THAT(after([](WalSlot& slot) { slot.lag_bytes = kSlotLagBytesMax + 1; }), ElementsAre(HasSubstr("behind")));
}

TEST(Problems, NamesAClosedShardAndBucketsThatDoNotAddUp) {
  EXPECT_THAT(problems_after([](ClusterStatus& status) { status.shards[0].is_open = false; }),
              ElementsAre("shard 0 is not open for routed writes"));
  EXPECT_THAT(problems_after([](ClusterStatus& status) { status.shards[0].buckets_owned = 4095; }),
              ElementsAre("shard 0 owns 4095 buckets, the topology gives it 4096"));
}

TEST(TideLag, IsWhatThePrimaryWroteBeyondTheTideMark) {
  ClusterStatus status = healthy();
  EXPECT_EQ(tide_lag_bytes(status.workers[0].measures->tides[0], status), 0x10);
  status.shards[0].servers[0].measures->lsn = "1/10";  // asked a moment before the worker
  EXPECT_EQ(tide_lag_bytes(status.workers[0].measures->tides[0], status), 0);
  status.shards[0].servers[0].measures = fail(ErrorCode::kUnavailable, "gone");
  EXPECT_EQ(tide_lag_bytes(status.workers[0].measures->tides[0], status), std::nullopt);
}

TEST(StatusTables, ShowEveryPartAligned) {
  EXPECT_EQ(status_as_tables(healthy()),
            "topology version 9, slots version 1, 0 families (version 0); 16384 of 16384 slots served\n"
            "\n"
            "NODE  WORKER  ADDRESS         ROLE     SLOTS  KEYS  MEMORY            OPS/S  CLIENTS  STATE\n"
            "n1    0       127.0.0.1:7002  primary  8192   41    1.5 KB / 64.0 MB  250    4        ok\n"
            "n2    0       127.0.0.1:7006  primary  4096   41    1.5 KB / 64.0 MB  250    4        ok\n"
            "n2    1       127.0.0.1:7006  primary  4096   41    1.5 KB / 64.0 MB  250    4        ok\n"
            "\n"
            "SHARD  BUCKETS  OWNED  DB EPOCH  SERVER       ROLE     TIMELINE  LSN    LAG  LAG MS  STATE\n"
            "0      4096     4096   3         s0-primary   primary  2         1/100  -    -       ok\n"
            "0      4096     4096   3         s0-replica1  replica  2         1/100  0 B  0       ok\n"
            "\n"
            "SHARD  WAL SLOT  KIND     READ  WAL STATUS  CONFIRMED  LAG  RETAINED\n"
            "0      tidemark  logical  yes   reserved    1/F8       8 B  4.0 KB\n"
            "\n"
            "NODE  WORKER  SHARD  DB EPOCH  TIDE MARK  LAG   SETTLED  BOUND\n"
            "n1    0       0      3         1/F0       16 B  1/E0     12 ms\n"
            "n2    0       0      3         1/F0       16 B  1/E0     12 ms\n"
            "n2    1       0      3         1/F0       16 B  1/E0     12 ms\n"
            "\n"
            "healthy\n");
}

TEST(StatusTables, ShowTheUnreachableInItsPlaceAndEndWithTheProblems) {
  ClusterStatus status = healthy();
  status.workers[1].measures = fail(ErrorCode::kUnavailable, "connection refused");
  status.shards[0].servers[1].measures = fail(ErrorCode::kDeadlineExceeded, "no answer in time");
  status.topology.lanes = {{.lane = 3, .owner = "order-1", .holder = "x", .until = {1800000000000}}};
  std::string text = status_as_tables(status);
  EXPECT_THAT(text, HasSubstr("n2    0       127.0.0.1:7006  -        4096   -     -                 -      -        "
                              "connection refused\n"));
  EXPECT_THAT(text, HasSubstr("s0-replica1  replica  -         -      -    -       no answer in time\n"));
  EXPECT_THAT(text, HasSubstr("\n3        order-1  1800000000000\n"));
  EXPECT_THAT(text, HasSubstr("\ndegraded: 2 problems\n  - worker 0 of n2"));
}

TEST(StatusJson, HasTheDocumentedKeys) {
  ClusterStatus status = healthy();
  status.topology.lanes = {{.lane = 3, .owner = "order-1", .holder = "x", .until = {1800000000000}}};
  Json json = Json::parse(status_as_json(status));
  EXPECT_EQ(json["format"], 1);
  EXPECT_EQ(json["healthy"], true);
  EXPECT_TRUE(json["problems"].empty());
  EXPECT_EQ(json["slots_served"], kSlotCount);
  EXPECT_EQ(json["workers"].size(), 3u);
  EXPECT_EQ(json["workers"][0]["keys"], 41);
  EXPECT_EQ(json["workers"][0]["commands_per_second"], 250);
  EXPECT_EQ(json["workers"][0]["tides"][0]["lag_bytes"], 16);
  EXPECT_EQ(json["workers"][0]["tides"][0]["bound_ms"], 12);
  EXPECT_EQ(json["groups"][1]["nodes"][0], "n2");
  EXPECT_EQ(json["shards"][0]["buckets_owned"], 4096);
  EXPECT_EQ(json["shards"][0]["open"], true);
  EXPECT_EQ(json["shards"][0]["servers"][0]["lag_bytes"], nullptr);
  EXPECT_EQ(json["shards"][0]["servers"][1]["lag_ms"], 0);
  EXPECT_EQ(json["shards"][0]["servers"][1]["timeline"], 2);
  EXPECT_EQ(json["shards"][0]["wal_slots"][0]["retained_bytes"], 4096);
  EXPECT_EQ(json["lanes"][0]["owner"], "order-1");
}

TEST(StatusJson, SaysWhatIsUnknownAndWhy) {
  ClusterStatus status = healthy();
  status.workers[0].measures->tides[0].bound_ms = -1;
  status.workers[1].measures = fail(ErrorCode::kUnavailable, "refused \xff");  // bytes that are not UTF-8
  status.shards[0].servers[0].measures = fail(ErrorCode::kUnavailable, "gone");
  Json json = Json::parse(status_as_json(status));
  EXPECT_EQ(json["healthy"], false);
  EXPECT_EQ(json["workers"][0]["tides"][0]["bound_ms"], nullptr);
  EXPECT_EQ(json["workers"][0]["tides"][0]["lag_bytes"], nullptr);
  EXPECT_EQ(json["workers"][1]["reachable"], false);
  EXPECT_THAT(json["workers"][1]["error"].get<std::string>(), testing::StartsWith("refused"));
  EXPECT_EQ(json["shards"][0]["servers"][0]["reachable"], false);
  EXPECT_EQ(json["shards"][0]["servers"][0]["error"], "gone");
}

TEST(HumanBytes, ChoosesTheUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KB");
  EXPECT_EQ(human_bytes(1024 * 1024 - 1), "1.0 MB");
  EXPECT_EQ(human_bytes(uint64_t{5} << 40), "5.0 TB");
}

}  // namespace
}  // namespace tidemark::admin
