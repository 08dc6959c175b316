#include "tests/interleave/hand_over_scenarios.h"

#include <fmt/format.h>

namespace tidemark::interleave {

using namespace cacheserver;

namespace {

constexpr Lsn kThere{0x80000};  // where shard 1's log stands at first

// T1 will be written to shard 1, which the node has joined; the old entry is of shard 0.
World moving(const Ingredients& ingredients) {
  World world(1, ingredients);
  world.transactions[0].shard = 1;
  world.transactions[0].end_lsn = Lsn{0x90000};
  world.node.fence_all(1, 1, kThere);
  return world;
}
World moving_with_entry(const Ingredients& ingredients) {
  World world = moving(ingredients);
  world.install_old_entry();
  return world;
}

WorldStep fence() {
  return {"shard 0 fences the bucket", [](World& w) { w.fence_bucket(Lsn{0x200}); }};
}
WorldStep flip() {
  return {"shard 1 owns the bucket", [](World& w) { w.flip_bucket(); }};
}
WorldStep write() {
  return {"T1 on shard 1", [](World& w) {
            w.record(0);
            w.make_visible(0);
          }};
}
WorldStep topology() {
  return {"the node's topology names shard 1", [](World& w) { w.adopt_topology(); },
          [](const World& w) { return w.hand_over.has_flipped; }};
}

// Sampled, decoded, echoed: after each round the node's bound of this shard reaches back to the sample.
Script<World> stream_of(ShardId shard, size_t rounds) {
  Script<World> script;
  for (size_t round = 0; round < rounds; ++round) {
    script.push_back({fmt::format("shard {} sampled", shard), [=](World& w) { w.take_sample(shard); }});
    script.push_back(
        {fmt::format("shard {} INVALB up to there", shard), [=](World& w) { w.apply_up_to_sample(shard); }});
    script.push_back({fmt::format("shard {} FENCE with the echo", shard), [=](World& w) { w.apply_echo(shard); },
                      [=](const World& w) { return w.may_echo(shard); }});
  }
  return script;
}

WorldStep set_v() {
  return {"L1 SETV", [](World& w) { w.setv(0); }};
}
// A replica of shard 0 that has not replayed the fence: it shows epoch 1, and never T1.
WorldStep read_source_replica() {
  return {"L1 SELECT on shard 0's replica", [](World& w) {
            w.loaders[0].value = 0;
            w.loaders[0].proof = Proof{Proof::Kind::kReplica, 0, 1, 1, kBase, {}};
          }};
}
// The primary of shard 0: epoch 2 once the bucket is fenced.
WorldStep read_source_primary() {
  return {"L1 SELECT on shard 0's primary", [](World& w) {
            const Lsn fence = w.hand_over.fence_end;
            w.loaders[0].value = 0;
            w.loaders[0].proof =
                Proof{Proof::Kind::kReplica, 0, 1, fence.is_zero() ? 1u : 2u, std::max(kBase, fence), {}};
          }};
}
// The primary of shard 1: what shard 0 had before the fence is there once it owns the bucket.
WorldStep read_target_primary() {
  return {"L1 SELECT on shard 1's primary", [](World& w) {
            w.loaders[0].value = w.hand_over.has_flipped ? w.visible_commits() : 0;
            w.loaders[0].proof =
                Proof{Proof::Kind::kReplica, 1, 1, w.hand_over.has_flipped ? 3u : 1u, Lsn{0x90000}, {}};
            if (!w.transactions[0].is_recorded && w.transactions[0].shard == 1) w.loaders[0].proof.lsn = kThere;
          }};
}
// A replica of shard 1 that has not replayed the hand-over: the bucket is being imported under epoch 1.
WorldStep read_target_replica() {
  return {"L1 SELECT on a replica of shard 1 without the hand-over", [](World& w) {
            w.loaders[0].value = 0;
            w.loaders[0].proof = Proof{Proof::Kind::kReplica, 1, 1, 1, Lsn{0xA0000}, {}};
          }};
}

// T1 is the last commit of the old owner.
World written_at_source(const Ingredients& ingredients) {
  World world(1, ingredients);
  world.transactions[0].end_lsn = Lsn{0x180};
  world.node.fence_all(1, 1, kThere);
  return world;
}
WorldStep write_at_source() {
  return {"T1 on shard 0", [](World& w) {
            w.record(0);
            w.make_visible(0);
          }};
}

}  // namespace

std::vector<Scenario> hand_over_scenarios() {
  std::vector<Scenario> all;
  all.push_back({"F12 an entry of the old owner, its bound and a write to the new one",
                 moving_with_entry,
                 {{fence(), flip(), write()}, stream_of(0, 2), stream_of(1, 1), {topology()}},
                 false});
  all.push_back(
      {"F12 a fill from the old owner's replica beside the hand-over",
       moving,
       {{fence(), flip(), write()}, stream_of(0, 1), {topology()}, {getl(0), read_source_replica(), set_v()}}});
  all.push_back(
      {"F12 a fill from the old owner's primary beside the hand-over",
       moving,
       {{fence(), flip(), write()}, stream_of(0, 1), {topology()}, {getl(0), read_source_primary(), set_v()}}});
  all.push_back(
      {"F12 a fill from the new owner beside the hand-over",
       moving,
       {{fence(), flip(), write()}, stream_of(1, 1), {topology()}, {getl(0), read_target_primary(), set_v()}}});
  all.push_back(
      {"M8 the new owner's replica has not replayed the hand-over",
       written_at_source,
       {{write_at_source(), fence(), flip()}, stream_of(0, 1), {topology()}, {getl(0), read_target_replica(), set_v()}},
       false});
  all.push_back({"M8 the new owner's primary, whatever tombstones the old owner's commits left",
                 written_at_source,
                 {{write_at_source(), fence(), flip()},
                  stream_of(0, 1),
                  {topology()},
                  {getl(0), read_target_primary(), set_v()}}});
  // The log is taken back to before the fence, and the bucket stays with shard 0: nothing may be shut for good.
  WorldStep promoted{"EPOCH e=2, switch 0/100", [](World& w) {
                       w.succeed(2, kBase);
                       w.hand_over.fence_end = {};
                     }};
  WorldStep read_promoted{"L1 SELECT on the promoted primary", [](World& w) {
                            w.loaders[0].value = 0;
                            w.loaders[0].proof = Proof{Proof::Kind::kReplica, 0, 2, 1, Lsn{0x300}, {}};
                          }};
  all.push_back({"F12 a fence that a fail-over has lost",
                 moving,
                 {{fence(), stream_of(0, 1)[0], stream_of(0, 1)[1], promoted, getl(0), read_promoted, set_v()}}});
  return all;
}

Scenario fence_behind_the_flip() {
  return {"the fence behind the flip",
          moving_with_entry,
          {{flip(), write(), fence()}, stream_of(0, 2), stream_of(1, 1), {topology()}},
          false};
}

}  // namespace tidemark::interleave
