#include "tests/interleave/scenarios.h"

#include <fmt/format.h>

#include "tests/interleave/hand_over_scenarios.h"
#include "tests/interleave/staged_scenarios.h"

namespace tidemark::interleave {

using namespace cacheserver;
using namespace std::chrono_literals;

// ---- steps

WorldStep getl(size_t loader) {
  return {fmt::format("L{} GETL", loader + 1), [=](World& w) { w.getl(loader); }};
}

WorldStep take_fence(std::chrono::seconds after) {
  return {after == 0s ? "fence taken" : fmt::format("{} s later a fence is taken", after.count()), [=](World& w) {
            w.pass(after);
            w.take_fence(0);
          }};
}

WorldStep apply_fence() {
  return {"FENCE", [](World& w) { w.apply_fence(0); }};
}

WorldStep del() {
  return {"DEL", [](World& w) { w.del(); }};
}

WorldStep post_invalb(size_t i) {
  return {fmt::format("I{} posts INVALB", i + 1), [=](World& w) { w.post_next_commit(i); }};
}

WorldStep post_fence(size_t i) {
  return {fmt::format("I{} posts FENCE", i + 1), [=](World& w) { w.post_fence(i); }};
}

WorldStep deliver(size_t i) {
  return {fmt::format("I{}'s message arrives", i + 1), [=](World& w) { w.deliver(i); },
          [=](const World& w) { return !w.invalidators[i].link.empty(); }};
}

WorldStep lose(size_t i) {
  return {fmt::format("I{}'s connection resets", i + 1), [=](World& w) { w.lose(i); }};
}

namespace {

WorldStep record(size_t commit) {
  return {fmt::format("T{} recorded", commit + 1), [=](World& w) { w.record(commit); }};
}
WorldStep select_primary(size_t loader) {
  return {fmt::format("L{} SELECT on the primary", loader + 1), [=](World& w) { w.read_primary(loader); }};
}
WorldStep standby_position(size_t loader) {
  return {fmt::format("L{} replay position", loader + 1), [=](World& w) { w.read_standby_position(loader); }};
}
WorldStep select_standby(size_t loader) {
  return {fmt::format("L{} SELECT on the standby", loader + 1), [=](World& w) { w.read_standby_data(loader); }};
}
WorldStep setv(size_t loader) {
  return {fmt::format("L{} SETV", loader + 1), [=](World& w) { w.setv(loader); }};
}
WorldStep writers_inval(size_t commit) {
  return {fmt::format("INVAL T{}", commit + 1), [=](World& w) { w.inval(commit); },
          [=](const World& w) { return w.transactions[commit].is_visible; }};
}

// An invalidator whose messages travel: they may be lost with their connection.

// Once a minute has passed a fence settles what is visible, and the floor moves to it.
Script<World> invalb_and_collection() {
  return {invalb(), take_fence(2s), apply_fence(), take_fence(61s), apply_fence()};
}

World with_old_entry(World world) {
  world.install_old_entry();
  return world;
}

// ---- scenarios

void add_races(std::vector<Scenario>& all) {
  all.push_back({"R1 fill race, two clients",
                 [](const Ingredients& i) { return World(1, i); },
                 {{record(0), visible(0)}, {invalb()}, {writers_inval(0)}, primary_loader(0), primary_loader(1)}});
  all.push_back({"R2 lease ABA: one client, two fills, a DEL between",
                 [](const Ingredients& i) { return recorded_world(i, 1); },
                 {{visible(0)}, {invalb()}, {del()}, primary_loader(0), primary_loader(1)}});
  all.push_back({"R3 invalidation overtakes visibility, two commits in any order",
                 [](const Ingredients& i) { return recorded_world(i, 2); },
                 {{visible(0)}, {visible(1)}, {invalb(), invalb()}, {take_fence(), apply_fence()}, primary_loader(0)}});
  all.push_back({"R4 replica-lag fill",
                 [](const Ingredients& i) { return recorded_world(i, 2); },
                 {standby_replays(2), {invalb(), invalb()}, standby_loader(0)}});
  all.push_back({"R4 replica and primary fill side by side",
                 [](const Ingredients& i) { return recorded_world(i, 1); },
                 {standby_replays(1), {visible(0)}, {invalb()}, standby_loader(0), primary_loader(1)}});
  all.push_back({"R20 absence proven, then inserted",
                 [](const Ingredients& i) { return World(1, i); },
                 {{record(0), visible(0)}, {invalb()}, {writers_inval(0)}, primary_loader(0)}});
}

void add_lost_messages(std::vector<Scenario>& all) {
  auto world = [](const Ingredients& i) {
    World with_two = with_old_entry(recorded_world(i, 2));
    with_two.transactions[1].touches_key = false;
    return with_two;
  };
  all.push_back({"F1 lost INVALB, then FENCE",
                 world,
                 {{post_invalb(0), post_fence(0), post_invalb(0), post_fence(0)},
                  {deliver(0), deliver(0), deliver(0), deliver(0)},
                  {lose(0)}},
                 false});
  all.push_back({"F1 two invalidators, one loses its connection",
                 world,
                 {{post_invalb(0), post_fence(0)},
                  {deliver(0), deliver(0)},
                  {lose(0)},
                  {post_invalb(1), post_invalb(1)},
                  {deliver(1), deliver(1)}},
                 false});
  auto post_part = [](uint64_t part, bool has_more) {
    return WorldStep{fmt::format("part {} posted", part), [=](World& w) {
                       Message message;
                       message.head = {1, kBase, w.transactions[1].end_lsn, part, has_more};
                       message.commits = {part};
                       w.invalidators[0].link.push_back(message);
                     }};
  };
  all.push_back({"a part of a batch is lost with its connection",
                 world,
                 {{post_part(0, true), post_part(1, false)}, {deliver(0), deliver(0)}, {lose(0)}},
                 false});
}

void add_old_proofs(std::vector<Scenario>& all) {
  all.push_back({"F9 old snapshot after the tombstone was collected",
                 [](const Ingredients& i) { return recorded_world(i, 1); },
                 {{visible(0)}, invalb_and_collection(), {select_primary(0), getl(0), setv(0)}}});
  all.push_back({"F9 lagging replica after the tombstone was collected",
                 [](const Ingredients& i) { return recorded_world(i, 1); },
                 {{visible(0)},
                  standby_replays(1),
                  invalb_and_collection(),
                  {standby_position(0), select_standby(0), getl(0), setv(0)}}});
  auto later = [](size_t commit) {
    return WorldStep{fmt::format("T{0} visible, INVALB T{0}", commit + 1), [=](World& w) {
                       w.make_visible(commit);
                       w.send_next_commit(0);
                     }};
  };
  all.push_back({"F13 six commits on one key, the first becomes visible last",
                 [](const Ingredients& i) { return recorded_world(i, 6); },
                 {{invalb(), later(1), later(2), later(3), later(4), later(5)},
                  {visible(0)},
                  {take_fence(), apply_fence()},
                  primary_loader(0)}});
  FreshnessLimits tiny;
  tiny.tombstone_bytes_max = 1;  // four keys
  WorldStep crowd{"INVALB of four other keys", [](World& w) { w.invalidate_other_keys(4); }};
  all.push_back(
      {"R27 tombstone memory overflows, old snapshot",
       [=](const Ingredients& i) { return recorded_world(i, 1, tiny); },
       {{visible(0)}, {invalb(), crowd, take_fence(), apply_fence()}, {select_primary(0), getl(0), setv(0)}}});
  all.push_back({"R27 tombstone memory overflows, lagging replica",
                 [=](const Ingredients& i) { return recorded_world(i, 1, tiny); },
                 {standby_replays(1),
                  {invalb(), crowd, take_fence(), apply_fence()},
                  {standby_position(0), select_standby(0), getl(0), setv(0)}}});
}

void add_joins(std::vector<Scenario>& all) {
  // The slot was lost: T1 is never decoded. FENCEALL names a position beyond it; a fence settles it once it is visible.
  WorldStep fenceall{"FENCEALL beyond T1", [](World& w) {
                       w.join(1, w.transactions[0].end_lsn);
                       w.invalidators[0] = {
                           .decoded = 1, .position = w.transactions[0].end_lsn, .link = {}, .fence = {}};
                     }};
  Script<World> rejoin = {fenceall, take_fence(), apply_fence()};
  auto world = [](const Ingredients& i) { return recorded_world(i, 1); };
  all.push_back({"F18 FENCEALL against a running primary fill", world, {{visible(0)}, rejoin, primary_loader(0)}});
  all.push_back(
      {"F18 FENCEALL against a running replica fill", world, {standby_replays(1), rejoin, standby_loader(0)}});
  all.push_back({"F18 FENCEALL: what was filled before is revalidated",
                 [](const Ingredients& i) { return with_old_entry(recorded_world(i, 1)); },
                 {{visible(0)}, rejoin, primary_loader(0)}});
  WorldStep restart{"node restarts", [](World& w) { w.restart_node(); }};
  Script<World> restarts = {invalb(), restart, fenceall, take_fence(), apply_fence()};
  all.push_back(
      {"restart, then an old snapshot", world, {{visible(0)}, restarts, {select_primary(0), getl(0), setv(0)}}});
  all.push_back({"restart, then a lagging replica",
                 world,
                 {standby_replays(1), restarts, {standby_position(0), select_standby(0), getl(0), setv(0)}}});
}

void add_epochs(std::vector<Scenario>& all) {
  // The standby that was not promoted still shows the lost timeline, at a position beyond the new one's first commit.
  auto failed_over = [](const Ingredients& i) {
    World world = recorded_world(i, 1);
    world.transactions[0].db_epoch = 2;
    world.transactions[0].end_lsn = Lsn{0x500};
    return world;
  };
  WorldStep new_epoch{"FENCEALL e=2", [](World& w) { w.join(2, Lsn{0x300}); }};
  WorldStep new_commit{"INVALB T1 e=2", [](World& w) { w.apply({2, Lsn{0x300}, Lsn{0x500}}, {0}); }};
  WorldStep lost_timeline{"L1 SELECT on a standby of the lost timeline", [](World& w) {
                            w.loaders[0].value = 0;
                            w.loaders[0].proof = Proof{Proof::Kind::kReplica, 0, 1, 1, Lsn{0x900}, {}};
                          }};
  all.push_back({"E2 proof of the lost timeline after a fail-over",
                 failed_over,
                 {{new_epoch, new_commit}, {lost_timeline, getl(0), setv(0)}}});
  // The standby that is promoted has not received T1, which the old primary shows to everybody until it ends.
  WorldStep promoted_before{"EPOCH e=2, switch 0/100", [](World& w) { w.succeed(2, kBase); }};
  all.push_back({"F4 a commit that was read and is lost with its primary",
                 [](const Ingredients& i) { return recorded_world(i, 1); },
                 {{visible(0)}, primary_loader(0), {promoted_before}}});
  // It has received T1, the node has not: its position must not be taken to be the switch.
  WorldStep promoted_after{"EPOCH e=2, switch 0/200", [](World& w) { w.succeed(2, Lsn{0x200}); }};
  all.push_back({"F2 EPOCH overtakes an invalidation of the old timeline",
                 [](const Ingredients& i) { return with_old_entry(recorded_world(i, 1)); },
                 {{visible(0), invalb()}, {promoted_after}, primary_loader(0)}});
  // The bucket moved from shard 0 to shard 1, where T1 was written; a client with the old map reads shard 0.
  auto moved = [](const Ingredients& i) {
    World world = recorded_world(i, 1);
    world.transactions[0].shard = 1;
    world.transactions[0].end_lsn = Lsn{0x90000};
    world.node.fence_all(1, 1, Lsn{0x80000});
    return world;
  };
  WorldStep flip{"the bucket is shard 1's", [](World& w) {
                   w.owner = {1, 2};
                   w.node.set_topology(1, 2, false);
                   w.current_lease.clear();
                 }};
  WorldStep write_there{"INVALB T1 of shard 1", [](World& w) { w.apply({1, Lsn{0x80000}, Lsn{0x90000}}, {0}); }};
  WorldStep old_map{"L1 SELECT on shard 0's standby", [](World& w) {
                      w.loaders[0].value = 0;
                      w.loaders[0].proof = Proof{Proof::Kind::kReplica, 0, 1, 1, Lsn{0xA0000}, {}};
                    }};
  all.push_back({"F12 proof of the shard that owned the bucket before",
                 moved,
                 {{flip, write_there}, {old_map, getl(0), setv(0)}}});
}

}  // namespace

World recorded_world(const Ingredients& ingredients, size_t commits, FreshnessLimits limits) {
  World world(commits, ingredients, limits);
  for (size_t i = 0; i < commits; ++i) world.record(i);
  return world;
}

Script<World> primary_loader(size_t loader) {
  return {getl(loader), select_primary(loader), setv(loader)};
}

Script<World> standby_loader(size_t loader) {
  return {getl(loader), standby_position(loader), select_standby(loader), setv(loader)};
}

Script<World> standby_replays(size_t commits) {
  Script<World> script;
  for (size_t i = 0; i < commits; ++i) {
    script.push_back({fmt::format("T{} replayed", i + 1), [=](World& w) { w.replay_data(i); }});
    script.push_back({fmt::format("replay position passes T{}", i + 1), [=](World& w) { w.replay_position(i); }});
  }
  return script;
}

WorldStep visible(size_t commit) {
  return {fmt::format("T{} visible", commit + 1), [=](World& w) { w.make_visible(commit); }};
}

WorldStep invalb() {
  return {"INVALB", [](World& w) { w.send_next_commit(0); },
          [](const World& w) {
            size_t next = w.invalidators[0].decoded;
            return next < w.transactions.size() && w.transactions[next].is_recorded;
          }};
}

std::vector<Scenario> scenarios() {
  std::vector<Scenario> all;
  add_races(all);
  add_lost_messages(all);
  add_old_proofs(all);
  add_joins(all);
  add_epochs(all);
  for (Scenario& scenario : hand_over_scenarios()) all.push_back(std::move(scenario));
  for (Scenario& scenario : staged_scenarios()) all.push_back(std::move(scenario));
  return all;
}

}  // namespace tidemark::interleave
