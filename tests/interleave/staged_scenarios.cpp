#include "tests/interleave/staged_scenarios.h"

#include <fmt/format.h>

namespace tidemark::interleave {

using namespace cacheserver;

namespace {

// ---- steps

// The row's lock: a transaction is recorded once all earlier ones on the key have released it, which comes after they
// are visible.
WorldStep commits(size_t commit) {
  return {fmt::format("T{} recorded", commit + 1), [=](World& w) { w.record(commit); },
          [=](const World& w) {
            for (size_t i = 0; i < commit; ++i) {
              if (w.transactions[i].touches_key && !w.transactions[i].is_visible) return false;
            }
            return true;
          }};
}
WorldStep visible_after_record(size_t commit) {
  return {fmt::format("T{} visible", commit + 1), [=](World& w) { w.make_visible(commit); },
          [=](const World& w) { return w.transactions[commit].is_recorded; }};
}

// What T's writer sends: the row as T leaves it, under the stage that T's message names.
constexpr uint64_t stage_of(size_t commit) {
  return 11 * (commit + 1);
}
Stage staged_row(const World& world, size_t commit, Lsn bound) {
  const Transaction& t = world.transactions[commit];
  return {t.xid, t.db_epoch, bound, stage_of(commit), world.row(commit)};
}
// `beyond`: how far the insert position had moved when the writer read it, after its COMMIT had come back.
WorldStep stage_after_commit(size_t commit, uint64_t beyond = 0x80) {
  return {fmt::format("STAGE T{}", commit + 1),
          [=](World& w) { w.stage(staged_row(w, commit, Lsn{w.transactions[commit].end_lsn.value + beyond})); },
          [=](const World& w) { return w.transactions[commit].is_visible; }};
}
// Sent before COMMIT; it may arrive at any time.
WorldStep stage_before_commit(size_t commit) {
  return {fmt::format("STAGE T{} 0/0", commit + 1), [=](World& w) { w.stage(staged_row(w, commit, Lsn{})); }};
}
// A row that no transaction left.
WorldStep stage_wrong_row(Xid xid, uint64_t stage, Lsn bound = {}, DbEpoch db_epoch = 1) {
  return {fmt::format("STAGE of xid {} as it was for a while", xid),
          [=](World& w) { w.stage({xid, db_epoch, bound, stage, kWrongRow}); }};
}
WorldStep fence_now() {
  return {"fence taken; FENCE", [](World& w) {
            w.take_fence(0);
            w.apply_fence(0);
          }};
}

Script<World> writers(size_t count) {
  Script<World> script;
  for (size_t i = 0; i < count; ++i) {
    script.push_back(commits(i));
    script.push_back(visible_after_record(i));
  }
  return script;
}

World staged_world(size_t commits, const Ingredients& ingredients, FreshnessLimits limits = {}) {
  World world(commits, ingredients, limits);
  for (size_t i = 0; i < commits; ++i)
    world.transactions[i].stage = decode_stage({RowChange{}, stage_of(i)}, ingredients);
  return world;
}

auto staged(size_t commits) {
  return [=](const Ingredients& ingredients) { return staged_world(commits, ingredients); };
}

Scenario installs(std::string name, std::function<World(const Ingredients&)> make_world,
                  std::vector<Script<World>> scripts, bool expects_fills = false) {
  return {std::move(name), std::move(make_world), std::move(scripts), expects_fills, true};
}
Scenario never_installs(std::string name, std::function<World(const Ingredients&)> make_world,
                        std::vector<Script<World>> scripts, bool expects_fills = false) {
  return {std::move(name), std::move(make_world), std::move(scripts), expects_fills, false};
}

// ---- scenarios

void add_writers(std::vector<Scenario>& all) {
  all.push_back(installs(
      "STAGE and INVALB in any order", staged(1),
      {writers(1), {invalb()}, {stage_after_commit(0)}, {take_fence(), apply_fence(), take_fence(), apply_fence()}}));
  all.push_back(installs("STAGE before COMMIT, lost or late or twice", staged(1),
                         {writers(1),
                          {invalb()},
                          {stage_before_commit(0)},
                          {stage_after_commit(0)},
                          {take_fence(), apply_fence(), fence_now()}}));
  all.push_back(installs("R7 two writers, each STAGE after its COMMIT", staged(2),
                         {writers(2),
                          {invalb(), invalb()},
                          {stage_after_commit(0)},
                          {stage_after_commit(1)},
                          {take_fence(), apply_fence(), fence_now()}}));
  all.push_back(installs("R7 two writers, one reads its position long after", staged(2),
                         {writers(2),
                          {invalb(), invalb()},
                          {stage_after_commit(0, 0x180)},
                          {stage_after_commit(1)},
                          {fence_now(), fence_now()}}));
  all.push_back(installs("R7 two writers, each STAGE before its COMMIT", staged(2),
                         {writers(2),
                          {invalb(), invalb()},
                          {stage_before_commit(0)},
                          {stage_before_commit(1)},
                          {fence_now(), fence_now()}}));
  all.push_back(installs(
      "late STAGE after a later writer, with a fill", staged(2),
      {writers(2), {invalb(), invalb()}, {stage_after_commit(0)}, {fence_now(), fence_now()}, primary_loader(0)},
      true));
}

void add_aborts(std::vector<Scenario>& all) {
  auto plain = [](const Ingredients& ingredients) { return World(1, ingredients); };
  all.push_back(never_installs(
      "R8 abort: the transaction rolled back after its STAGE", plain,
      {{stage_wrong_row(700, 5)}, writers(1), {invalb()}, {fence_now(), fence_now()}, primary_loader(0)}, true));
  // The stream has the row's last change only: messages of a rolled-back subtransaction are not decoded.
  auto rolled_back = [](const Ingredients& ingredients) {
    World world(1, ingredients);
    world.transactions[0].stage = decode_stage({RowChange{}}, ingredients);
    return world;
  };
  all.push_back(never_installs("F8 savepoint: what was staged was rolled back", rolled_back,
                               {{stage_wrong_row(725, 11)}, writers(1), {invalb()}, {fence_now(), fence_now()}}));
  auto triggered = [](const Ingredients& ingredients) {
    World world(1, ingredients);
    world.transactions[0].stage = decode_stage({RowChange{}, uint64_t{11}, RowChange{}}, ingredients);
    return world;
  };
  all.push_back(never_installs("F8 trigger: the row changes behind the stage message", triggered,
                               {{stage_wrong_row(725, 11)}, writers(1), {invalb()}, {fence_now(), fence_now()}}));
  // Two statements stage the same row in turn: the second counts.
  auto twice = [](const Ingredients& ingredients) {
    World world(1, ingredients);
    world.transactions[0].stage = decode_stage({RowChange{}, uint64_t{5}, RowChange{}, stage_of(0)}, ingredients);
    return world;
  };
  all.push_back(installs(
      "two stages of one row in one transaction", twice,
      {{stage_wrong_row(725, 5)}, {stage_before_commit(0)}, writers(1), {invalb()}, {fence_now(), fence_now()}}));
}

void add_ghost(std::vector<Scenario>& all) {
  auto recorded = [](const Ingredients& ingredients) {
    World world = staged_world(1, ingredients);
    world.record(0);
    return world;
  };
  all.push_back(installs("F8 ghost: decoded, staged, not yet visible", recorded,
                         {{visible(0)},
                          {invalb()},
                          {stage_before_commit(0)},
                          {take_fence(), apply_fence(), take_fence(), apply_fence()}}));
  all.push_back(installs("a primary fill races the installation", recorded,
                         {{visible(0)},
                          {invalb()},
                          {stage_before_commit(0)},
                          {take_fence(), apply_fence(), fence_now()},
                          primary_loader(0)},
                         true));
  all.push_back(installs(
      "a replica fill races the installation", recorded,
      {{visible(0)}, standby_replays(1), {invalb()}, {stage_before_commit(0)}, {fence_now()}, standby_loader(0)},
      true));
  all.push_back(installs(
      "DEL between STAGE and installation", recorded,
      {{visible(0)}, {invalb()}, {stage_before_commit(0)}, {del()}, {fence_now(), fence_now()}, primary_loader(0)},
      true));
}

void add_crashes(std::vector<Scenario>& all) {
  // Never committed; after the crash another transaction gets its xid and is staged itself.
  auto reused = [](const Ingredients& ingredients) {
    World world = staged_world(1, ingredients);
    world.transactions[0].db_epoch = 2;
    world.transactions[0].end_lsn = Lsn{0x500};
    world.record(0);
    world.make_visible(0);
    return world;
  };
  auto fence_of_new = [](Lsn lsn) {
    return WorldStep{"FENCE e=2", [=](World& w) {
                       FenceMessage fence{.db_epoch = 2,
                                          .prev_lsn = Lsn{0x180},
                                          .lsn = lsn,
                                          .settled = lsn,
                                          .snapshot = w.snapshot(),
                                          .echo = std::nullopt};
                       w.invalidators[0].fence = fence;
                       w.apply_fence(0);
                     }};
  };
  auto new_epoch = [](Lsn lsn) { return WorldStep{"FENCEALL e=2", [=](World& w) { w.join(2, lsn); }}; };
  WorldStep new_commit{"INVALB T1 e=2", [](World& w) { w.apply({2, Lsn{0x300}, Lsn{0x500}}, {0}); }};
  all.push_back(installs("F3 crash, the xid is given out again", reused,
                         {{stage_wrong_row(725, 7)},
                          {stage_wrong_row(725, 7, Lsn{0x280})},
                          {new_epoch(Lsn{0x300}), new_commit, fence_of_new(Lsn{0x500})},
                          {stage_after_commit(0)}}));
  // Decoded and staged, but the new primary never got it; its positions pass the lost commit's.
  auto lost = [](const Ingredients& ingredients) {
    World world = staged_world(1, ingredients);
    world.record(0);
    world.make_visible(0);
    return world;
  };
  all.push_back(
      installs("F3 a decoded commit is lost with its primary", lost,
               {{stage_after_commit(0)}, {invalb(), fence_now()}, {new_epoch(Lsn{0x180}), fence_of_new(Lsn{0x300})}}));
}

void add_lost_state(std::vector<Scenario>& all) {
  auto one_of_two = [](const Ingredients& ingredients) {
    World world = staged_world(2, ingredients);
    world.transactions[1].touches_key = false;
    for (size_t i = 0; i < 2; ++i) {
      world.record(i);
      world.make_visible(i);
    }
    return world;
  };
  all.push_back(installs("the stream's messages are lost and sent again", one_of_two,
                         {{post_invalb(0), post_fence(0), post_invalb(0), post_fence(0)},
                          {deliver(0), deliver(0), deliver(0), deliver(0)},
                          {lose(0)},
                          {stage_after_commit(0)}}));
  auto recorded_one = [](const Ingredients& ingredients) {
    World world = staged_world(1, ingredients);
    world.record(0);
    return world;
  };
  WorldStep restart{"node restarts", [](World& w) { w.restart_node(); }};
  WorldStep rejoin{"FENCEALL beyond T1", [](World& w) {
                     w.join(1, w.transactions[0].end_lsn);
                     w.invalidators[0] = {.decoded = 1, .position = w.transactions[0].end_lsn, .link = {}, .fence = {}};
                   }};
  all.push_back(installs("restart between STAGE and installation", recorded_one,
                         {{visible(0)},
                          {invalb(), restart, rejoin, fence_now()},
                          {stage_before_commit(0)},
                          {fence_now()},
                          primary_loader(0)},
                         true));
  // T2 is in the part of the log that was never decoded.
  auto two = [](const Ingredients& ingredients) { return staged_world(2, ingredients); };
  WorldStep beyond_both{"FENCEALL beyond T2",
                        [](World& w) {
                          w.join(1, w.transactions[1].end_lsn);
                          w.invalidators[0] = {
                              .decoded = 2, .position = w.transactions[1].end_lsn, .link = {}, .fence = {}};
                        },
                        [](const World& w) { return w.transactions[1].is_recorded; }};
  all.push_back(installs("F18 FENCEALL over a lost commit, then a late STAGE", two,
                         {writers(2), {invalb(), fence_now(), beyond_both, fence_now()}, {stage_after_commit(0)}}));
  FreshnessLimits tiny;
  tiny.tombstone_bytes_max = 1;  // four keys
  auto crowded = [=](const Ingredients& ingredients) { return staged_world(2, ingredients, tiny); };
  WorldStep crowd{"INVALB of four other keys", [](World& w) { w.invalidate_other_keys(4); },
                  [](const World& w) { return w.invalidators[0].decoded == 1; }};
  all.push_back(
      installs("the tombstone is collected between", crowded,
               {writers(2), {invalb(), crowd, invalb()}, {stage_after_commit(0)}, {fence_now(), fence_now()}}));
}

}  // namespace

std::vector<Scenario> staged_scenarios() {
  std::vector<Scenario> all;
  add_writers(all);
  add_aborts(all);
  add_ghost(all);
  add_crashes(all);
  add_lost_state(all);
  return all;
}

}  // namespace tidemark::interleave
