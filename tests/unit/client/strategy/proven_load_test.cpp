#include "client/strategy/proven_load.h"

#include <gtest/gtest.h>

namespace tidemark::client {
namespace {

using shardrouter::ResultSet;

ResultSet role(bool is_standby, std::optional<std::string> replayed) {
  return {{"standby", "replayed"}, {{is_standby ? "t" : "f", std::move(replayed)}}, "", 0};
}
ResultSet positions(std::optional<std::string> upper, std::optional<std::string> replayed,
                    std::optional<std::string> xid = {}) {
  return {{"upper", "replayed", "xid"}, {{std::move(upper), std::move(replayed), std::move(xid)}}, "", 0};
}
ResultSet data(std::vector<std::vector<std::optional<std::string>>> rows) {
  return {{"tm_e", "tm_bucket", "tm_state", "tm_epoch", "tm_forward", "tm_snapshot", "tm_found", "sku"},
          std::move(rows),
          "",
          0};
}
const std::vector<std::optional<std::string>> kFound{"7", "5", "owned", "3", std::nullopt, "10:12:10", "t", "bash"};
const std::vector<std::optional<std::string>> kAbsent{"7",          "6",        "owned",      "4",
                                                      std::nullopt, "10:12:10", std::nullopt, std::nullopt};

TEST(ProvenLoad, APrimaryProvesByTheSnapshotOfTheData) {
  auto rows = read_load({role(false, std::nullopt), {}, data({kFound, kAbsent}), positions("0/900", std::nullopt), {}});
  ASSERT_TRUE(rows) << rows.error().to_string();
  EXPECT_EQ(rows->proof(2, 5).to_string(), "S:2:7:3:10:12:10:0/900");
  EXPECT_EQ(rows->proof(2, 6).to_string(), "S:2:7:4:10:12:10:0/900");
  EXPECT_EQ(rows->rows, (std::vector<size_t>{0})) << "the proof row of an absence is no data";
}

TEST(ProvenLoad, AReplicaProvesByThePositionReadBefore) {
  auto rows = read_load({role(true, "0/500"), {}, data({kFound}), positions("0/700", "0/600"), {}});
  ASSERT_TRUE(rows) << rows.error().to_string();
  EXPECT_EQ(rows->proof(2, 5).to_string(), "R:2:7:3:0/500");
  EXPECT_EQ(rows->hi, Lsn{0x700});
}

TEST(ProvenLoad, AReplicaThatReceivedLessThanItReplayedCannotNameAnUpperBound) {
  auto rows = read_load({role(true, "0/500"), {}, data({kFound}), positions("0/400", "0/600"), {}});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->hi, std::nullopt);
  rows = read_load({role(true, "0/500"), {}, data({kFound}), positions(std::nullopt, "0/600"), {}});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->hi, std::nullopt);
}

TEST(ProvenLoad, AServerPromotedDuringTheLoadStillProvesAsTheReplicaItWas) {
  auto rows = read_load({role(true, "0/500"), {}, data({kFound}), positions("0/900", "0/600"), {}});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->kind, Proof::Kind::kReplica);
}

TEST(ProvenLoad, RefusesATransactionThatWrote) {
  auto rows = read_load({role(false, std::nullopt), {}, data({kFound}), positions("0/900", std::nullopt, "77"), {}});
  ASSERT_FALSE(rows);
  EXPECT_NE(rows.error().message.find("transaction 77"), std::string::npos) << rows.error().message;
}

TEST(ProvenLoad, AShardWithoutItsRowsIsNotInitialised) {
  auto rows = read_load({role(false, std::nullopt), {}, data({}), positions("0/900", std::nullopt), {}});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::kFailedPrecondition);
}

TEST(ProvenLoad, RefusesMalformedResults) {
  auto with = [](size_t column, std::string text) {
    auto row = kFound;
    row[column] = std::move(text);
    return read_load({role(false, std::nullopt), {}, data({row}), positions("0/900", std::nullopt), {}});
  };
  EXPECT_FALSE(with(0, "x"));
  EXPECT_FALSE(with(1, "99999999"));
  EXPECT_FALSE(with(2, "sold"));
  EXPECT_FALSE(with(5, "10"));
  EXPECT_FALSE(read_load({role(false, std::nullopt), {}}));
  EXPECT_FALSE(read_load({role(false, std::nullopt), {}, data({kFound}), positions(std::nullopt, std::nullopt), {}}));
  EXPECT_FALSE(read_load({role(true, std::nullopt), {}, data({kFound}), positions(std::nullopt, std::nullopt), {}}));
}

TEST(ProvenLoad, AMovedBucketKeepsItsForwardAddress) {
  auto row = kFound;
  row[2] = "moved";
  row[4] = "9";
  auto rows = read_load({role(false, std::nullopt), {}, data({row}), positions("0/900", std::nullopt), {}});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->buckets.at(5).refusal().to_string(), "state=moved epoch=3 forward=9");
}

TEST(MakeLoad, SqlIsConstantAndParametersCarryTheKey) {
  auto one = make_single_load("SELECT 1", {5, {"bash"}});
  auto two = make_single_load("SELECT 1", {6, {"vim"}});
  EXPECT_EQ(one.groups[1][1].sql, two.groups[1][1].sql);
  EXPECT_EQ(one.groups[1][1].params, (std::vector<std::optional<std::string>>{"5", "bash"}));
  const std::vector<LoadKey> keys{{5, {"bash", "1"}}, {6, {"v\"i\\m", "2"}}};
  auto batch = make_batch_load("SELECT 1", keys);
  EXPECT_EQ(batch.groups[1][1].params,
            (std::vector<std::optional<std::string>>{"{\"5\",\"6\"}", "{\"bash\",\"v\\\"i\\\\m\"}", "{\"1\",\"2\"}"}));
}

TEST(ProvenLoad, SaysTheNextXidThatTheServerCounted) {
  auto next_of = [](std::optional<std::string> xmax, std::optional<std::string> age) {
    ResultSet role_set{
        {"standby", "replayed", "xmax", "age"}, {{"f", std::nullopt, std::move(xmax), std::move(age)}}, "", 0};
    auto rows = read_load({role_set, {}, data({kFound}), positions("0/900", std::nullopt, std::nullopt), {}});
    EXPECT_TRUE(rows) << rows.error().to_string();
    return rows ? rows->next_xid : std::nullopt;
  };
  EXPECT_EQ(next_of("700", "697"), 700u);
  EXPECT_EQ(next_of("700", "720"), 723u);
  EXPECT_EQ(next_of("21474836490", "7"), 21474836490u) << "5 * 2^32 + 10: the epoch comes from the snapshot";
  EXPECT_EQ(next_of("4294967290", "5"), 4294967304u) << "the count has passed 2^32 since the snapshot";
  EXPECT_EQ(next_of("3000000000", "-1294967299"), 3000000000u) << "age is a signed number of 32 bits";
  EXPECT_EQ(next_of(std::nullopt, "7"), std::nullopt);
  EXPECT_EQ(next_of("700", std::nullopt), std::nullopt);
  EXPECT_EQ(next_of("700", "many"), std::nullopt);
}

}  // namespace
}  // namespace tidemark::client
