// For every order of every script the specification holds; and without any single ingredient it does not.
#include "tests/interleave/scenarios.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "tests/interleave/hand_over_scenarios.h"

namespace tidemark::interleave {
namespace {

std::string test_name(const std::string& name) {
  std::string out;
  bool starts_word = true;
  for (char c : name) {
    bool is_letter = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (is_letter) out += starts_word ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    starts_word = !is_letter;
  }
  return out;
}

void report(const std::string& name, const Exploration& found) {
  testing::Test::RecordProperty("orders", std::to_string(found.orders));
  testing::Test::RecordProperty("states", std::to_string(found.states));
  fmt::print("[ explored ] {}: {} orders, {} states\n", name, found.orders, found.states);
}

class EveryOrder : public testing::TestWithParam<Scenario> {};

TEST_P(EveryOrder, HoldsTheSpecification) {
  const Scenario& scenario = GetParam();
  uint64_t orders_with_fills = 0, orders_with_installs = 0;
  Explorer<World> explorer(scenario.scripts);
  Exploration found = explorer.explore(scenario.make_world({}), [&](const World& end) {
    orders_with_fills += end.fills_accepted > 0;
    orders_with_installs += end.installed > 0;
  });
  report(scenario.name, found);
  EXPECT_EQ(found.violation, "") << found.trace;
  EXPECT_GT(found.orders, 0u);
  if (scenario.expects_fills) EXPECT_GT(orders_with_fills, 0u) << "nothing is ever filled";
  EXPECT_EQ(orders_with_installs > 0, scenario.expects_installs) << orders_with_installs << " orders";
}

INSTANTIATE_TEST_SUITE_P(Script, EveryOrder, testing::ValuesIn(scenarios()),
                         [](const auto& param_info) { return test_name(param_info.param.name); });

// ---- mutants

struct Mutant {
  const char* name;
  bool Ingredients::* ingredient;
  const char* needed_by;  // the script that shows it
};

constexpr Mutant kMutants[] = {
    {"rule 1, leases", &Ingredients::rule_lease, "R2 lease ABA: one client, two fills, a DEL between"},
    {"rule 2, db_epoch", &Ingredients::rule_epochs, "E2 proof of the lost timeline after a fail-over"},
    {"rule 2, bucket_epoch", &Ingredients::rule_epochs, "F12 proof of the shard that owned the bucket before"},
    {"rule 3, tombstones, primary", &Ingredients::rule_tombstones,
     "R3 invalidation overtakes visibility, two commits in any order"},
    {"rule 3, tombstones, replica", &Ingredients::rule_tombstones, "R4 replica-lag fill"},
    {"rule 3, tombstones, absence", &Ingredients::rule_tombstones, "R20 absence proven, then inserted"},
    {"rule 3, overflow", &Ingredients::rule_overflow, "F13 six commits on one key, the first becomes visible last"},
    {"rule 4, floor LSN", &Ingredients::rule_floor_lsn, "F9 lagging replica after the tombstone was collected"},
    {"rule 4, floor snapshot", &Ingredients::rule_floor_snapshot, "F9 old snapshot after the tombstone was collected"},
    {"chained FENCE", &Ingredients::chained_fence, "F1 lost INVALB, then FENCE"},
    {"chained FENCE, two invalidators", &Ingredients::chained_fence, "F1 two invalidators, one loses its connection"},
    {"chained INVALB", &Ingredients::chained_invalidations, "F1 lost INVALB, then FENCE"},
    {"numbered parts", &Ingredients::chained_invalidations, "a part of a batch is lost with its connection"},
    {"collection only of what has settled", &Ingredients::collect_only_settled,
     "F9 old snapshot after the tombstone was collected"},
    {"collection raises the floor, replica", &Ingredients::collect_raises_floor,
     "F9 lagging replica after the tombstone was collected"},
    {"collection raises the floor, primary", &Ingredients::collect_raises_floor,
     "F9 old snapshot after the tombstone was collected"},
    {"join barrier", &Ingredients::join_barrier, "F18 FENCEALL against a running primary fill"},
    {"join barrier after a restart", &Ingredients::join_barrier, "restart, then an old snapshot"},
    {"join raises the floor", &Ingredients::join_raises_floor, "F18 FENCEALL against a running replica fill"},
    {"join raises the floor after a restart", &Ingredients::join_raises_floor, "restart, then a lagging replica"},
    {"join revalidates", &Ingredients::join_revalidates, "F18 FENCEALL: what was filled before is revalidated"},
    {"EPOCH needs the prefix", &Ingredients::epoch_needs_prefix,
     "F2 EPOCH overtakes an invalidation of the old timeline"},
    {"EPOCH drops what may be lost", &Ingredients::epoch_drops_lost,
     "F4 a commit that was read and is lost with its primary"},
    {"memory overflow raises the floor, primary", &Ingredients::overflow_raises_floor,
     "R27 tombstone memory overflows, old snapshot"},
    {"memory overflow raises the floor, replica", &Ingredients::overflow_raises_floor,
     "R27 tombstone memory overflows, lagging replica"},
    {"STAGE waits until settled", &Ingredients::stage_settled, "F8 ghost: decoded, staged, not yet visible"},
    {"STAGE by its id", &Ingredients::stage_id, "F8 savepoint: what was staged was rolled back"},
    {"STAGE as the last event", &Ingredients::stage_last_event, "F8 trigger: the row changes behind the stage message"},
    {"STAGE of this epoch", &Ingredients::stage_epoch, "F3 a decoded commit is lost with its primary"},
    {"STAGE under the newest tombstone", &Ingredients::rule_tombstones, "R7 two writers, each STAGE after its COMMIT"},
    {"STAGE under the newest tombstone, a fill besides", &Ingredients::rule_tombstones,
     "late STAGE after a later writer, with a fill"},
    {"MOVED ends an ownership, old entry", &Ingredients::moved_ends_ownership,
     "F12 an entry of the old owner, its bound and a write to the new one"},
    {"MOVED ends an ownership, late fill", &Ingredients::moved_ends_ownership,
     "F12 a fill from the old owner's replica beside the hand-over"},
    {"rule 2, bucket_epoch of a target that does not own yet", &Ingredients::rule_epochs,
     "M8 the new owner's replica has not replayed the hand-over"},
    {"STAGE over the floor", &Ingredients::rule_floor_lsn, "F18 FENCEALL over a lost commit, then a late STAGE"},
};

// rule_keep_newer stands behind rule_lease, which must be off to see it: its own test, below.
static_assert(sizeof(Ingredients) == 22, "a new ingredient needs its mutant above");

class Without : public testing::TestWithParam<Mutant> {};

TEST_P(Without, TheExplorerFindsAViolation) {
  Ingredients ingredients;
  ingredients.*GetParam().ingredient = false;
  auto all = scenarios();
  auto scenario = std::ranges::find(all, std::string(GetParam().needed_by), &Scenario::name);
  ASSERT_NE(scenario, all.end()) << "no script is named " << GetParam().needed_by;
  Exploration found = Explorer<World>(scenario->scripts).explore(scenario->make_world(ingredients));
  EXPECT_NE(found.violation, "") << "the script does not need this ingredient: " << GetParam().name;
  fmt::print("[  mutant  ] without {}: {} after {} states: {}\n", GetParam().name, found.violation, found.states,
             found.trace);
  RecordProperty("violation", found.violation);
  RecordProperty("trace", found.trace);
}

INSTANTIATE_TEST_SUITE_P(Ingredient, Without, testing::ValuesIn(kMutants),
                         [](const auto& param_info) { return test_name(param_info.param.name); });

Exploration two_fills_without_leases(bool keep_newer) {
  Ingredients ingredients;
  ingredients.rule_lease = false;
  ingredients.rule_keep_newer = keep_newer;
  World world = recorded_world(ingredients, 1);
  world.leases_matter = false;
  for (Loader& loader : world.loaders) loader.lease = "none";
  auto loads = [](size_t loader) {
    Script<World> script = standby_loader(loader);
    script.erase(script.begin());  // no GETL
    return script;
  };
  return Explorer<World>({standby_replays(1), loads(0), loads(1)}).explore(world);
}

TEST(WithoutLeases, AnEntryThatContainsMoreStaysAgainstAnOlderFill) {
  Exploration found = two_fills_without_leases(true);
  report("rule 5 alone", found);
  EXPECT_EQ(found.violation, "") << found.trace;
}

TEST(WithoutLeases, AndWithoutRuleFiveAnOlderFillReplacesIt) {
  Exploration found = two_fills_without_leases(false);
  EXPECT_EQ(found.violation, "M1: a valid entry was replaced by one with a smaller lo") << found.trace;
}

// ---- F7: how a loader must take an R proof. The node cannot tell, so the loader is the ingredient.

Script<World> one_repeatable_read_transaction(size_t loader) {
  WorldStep snapshot{"L1 snapshot (first statement)", [=](World& w) { w.read_standby_data(loader); }};
  WorldStep position{"L1 replay position inside the same transaction",
                     [=](World& w) { w.read_standby_position(loader); }};
  Script<World> script = standby_loader(loader);
  script[1] = snapshot;
  script[2] = position;
  return script;
}

TEST(ReplicaProof, TakenBeforeTheDataInAnEndedStatementNeverClaimsTooMuch) {
  World world = recorded_world({}, 2);
  Exploration found = Explorer<World>({standby_replays(2), {invalb(), invalb()}, standby_loader(0)}).explore(world);
  report("F7 position first", found);
  EXPECT_EQ(found.violation, "") << found.trace;
}

TEST(ReplicaProof, TakenInsideTheDatasTransactionClaimsTooMuch) {
  World world = recorded_world({}, 2);
  Exploration found =
      Explorer<World>({standby_replays(2), {invalb(), invalb()}, one_repeatable_read_transaction(0)}).explore(world);
  EXPECT_NE(found.violation, "") << "the explorer must see why a loader may not do this";
}

// ---- F12: the order of the mover's steps is an ingredient too

TEST(HandOver, AFenceThatStandsBehindTheFlipComesTooLate) {
  const Scenario scenario = fence_behind_the_flip();
  Exploration found = Explorer<World>(scenario.scripts).explore(scenario.make_world({}));
  EXPECT_TRUE(found.violation.starts_with("B1")) << found.violation;
}

TEST(HandOver, AnAttemptTakenBackLeavesNothingShut) {
  World world = recorded_world({}, 1);
  world.fence_bucket(Lsn{0x300});
  world.take_sample(0);
  world.apply_up_to_sample(0);
  EXPECT_TRUE(world.has_moved());
  world.owner = {0, 4};  // "owned" again, with the epoch that the topology publishes
  EXPECT_FALSE(world.has_moved());
}

// ---- the optimisation: an entry that provably contains a commit is not dropped for it

TEST(Invalidation, KeepsAnEntryThatProvablyContainsTheCommitAndOnlyThat) {
  World world = recorded_world({}, 2);
  uint64_t kept = 0;
  Exploration found =
      Explorer<World>({{visible(0)}, {visible(1)}, {invalb(), invalb()}, primary_loader(0), standby_replays(2)})
          .explore(world, [&](const World& end) { kept += end.node.counters().kept_entries > 0; });
  report("entries kept", found);
  EXPECT_EQ(found.violation, "") << found.trace;
  EXPECT_GT(kept, 0u);
}

}  // namespace
}  // namespace tidemark::interleave
