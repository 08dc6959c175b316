// Every refusal of a move, one by one; each test changes one fact of a move that nothing stands against.
#include "shardrouter/rebalance/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace tidemark::shardrouter {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ServerFacts server(std::string name) {
  ServerFacts facts;
  facts.name = std::move(name);
  facts.version = 150020;
  facts.free_slots = facts.free_origins = facts.free_walsenders = 8;
  return facts;
}
PreflightFacts fit() {
  PreflightFacts facts{server("shard 0"), server("shard 1"), {}, 1000, 1'000'000};
  TableFacts table;
  table.name = "shop.orders";
  table.source_columns = table.target_columns = {"bucket integer t", "id bigint t"};
  facts.tables.push_back(table);
  return facts;
}
std::vector<std::string> refusals_after(const std::function<void(PreflightFacts&)>& change) {
  PreflightFacts facts = fit();
  change(facts);
  return preflight_refusals(facts);
}

TEST(Preflight, NothingStandsAgainstAFitMove) {
  EXPECT_THAT(preflight_refusals(fit()), IsEmpty());
}

TEST(Preflight, RefusesServersThatCannot) {
  const std::vector<std::pair<std::function<void(ServerFacts&)>, std::string>> cases{
      {[](auto& s) { s.is_primary = false; }, "is a replica"},
      {[](auto& s) { s.is_superuser = false; }, "no superuser"},
      {[](auto& s) { s.is_direct = false; }, "pooler"},
      {[](auto& s) { s.knows_moves = false; }, "tidemark-shards init"},
      {[](auto& s) { s.wal_level = "replica"; }, "wal_level is replica"},
      {[](auto& s) { s.free_slots = 0; }, "0 replication slots"},
      {[](auto& s) { s.free_origins = 1; }, "1 replication origins"},
      {[](auto& s) { s.free_walsenders = 0; }, "0 WAL senders"},
      {[](auto& s) { s.old_transactions = {"session 7 is in a transaction for 60 s"}; }, "session 7"},
      {[](auto& s) { s.prepared_transactions = {"gid-9"}; }, "gid-9"},
      {[](auto& s) { s.running_ddl = {"session 8 locks shop.orders"}; }, "do not mix"},
      {[](auto& s) { s.absent_standbys = {"s0-replica1"}; }, "s0-replica1 does not stream"}};
  for (const auto& [change, text] : cases) {
    EXPECT_THAT(refusals_after([&](auto& f) { change(f.source); }),
                ElementsAre(AllOf(HasSubstr("shard 0: "), HasSubstr(text))));
    EXPECT_THAT(refusals_after([&](auto& f) { change(f.target); }),
                ElementsAre(AllOf(HasSubstr("shard 1: "), HasSubstr(text))));
  }
}

TEST(Preflight, RefusesAServerWithoutRowFilters) {
  EXPECT_THAT(
      refusals_after([](auto& f) { f.source.version = f.target.version = 140012; }),
      ElementsAre(HasSubstr("shard 0: PostgreSQL 14 is too old"), HasSubstr("shard 1: PostgreSQL 14 is too old")));
}

TEST(Preflight, RefusesTablesThatCannotBeStreamed) {
  const std::vector<std::pair<std::function<void(TableFacts&)>, std::string>> cases{
      {[](auto& t) { t.is_at_target = false; }, "does not exist at the target"},
      {[](auto& t) { t.is_ordinary = false; }, "partitioned"},
      {[](auto& t) { t.is_logged = false; }, "not logged"},
      {[](auto& t) { t.has_bucket_in_key = false; }, "primary key lacks the bucket"},
      {[](auto& t) { t.has_deferrable_key = true; }, "deferrable"},
      {[](auto& t) { t.identity = 'n'; }, "REPLICA IDENTITY NOTHING"},
      {[](auto& t) { t.has_bucket_in_identity = false; }, "every UPDATE of the application would fail"},
      {[](auto& t) { t.target_columns.pop_back(); }, "different columns (id bigint t)"},
      {[](auto& t) { t.unique_without_bucket = {"orders_number"}; }, "orders_number is unique without the bucket"},
      {[](auto& t) { t.keys_across_buckets = {"orders_parent"}; }, "orders_parent does not pair"},
      {[](auto& t) { t.always_triggers = {"audit"}; }, "trigger audit fires"},
      {[](auto& t) { t.missing_references = {"country (XX)"}; }, "country (XX)"}};
  for (const auto& [change, text] : cases)
    EXPECT_THAT(refusals_after([&](auto& f) { change(f.tables[0]); }),
                ElementsAre(AllOf(HasSubstr("shop.orders: "), HasSubstr(text))));
}

TEST(Preflight, RefusesTwoMajorVersionsATargetWithoutRoomAndNoTables) {
  EXPECT_THAT(refusals_after([](auto& f) { f.target.version = 160001; }), ElementsAre(HasSubstr("binary form")));
  EXPECT_THAT(refusals_after([](auto& f) { f.target.free_bytes = 2'000'000; }), ElementsAre(HasSubstr("2500000")));
  EXPECT_THAT(refusals_after([](auto& f) { f.target.free_bytes = 3'000'000; }), IsEmpty());
  EXPECT_THAT(refusals_after([](auto& f) { f.tables.clear(); }), ElementsAre(HasSubstr("no table belongs to buckets")));
}

}  // namespace
}  // namespace tidemark::shardrouter
