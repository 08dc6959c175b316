// What a promotion of a shard has to do next, by what its servers say now. No ledger: the servers are the state, so
// that a promotion that was killed at any step, or was begun by another manager, is ended by asking once more.
//
//   retire old -> drain old -> repoint… -> catch up -> promote candidate -> disown buckets -> open timeline -> publish
//        \ old does not answer: only with `is_forced`; then nothing is waited for, and `repoint` comes last
//
// Other replicas are re-pointed to the candidate while it is one itself: none can get ahead of it, so all can follow
// it.
//
// A server that left recovery on a later timeline than every other *is* the promoted one, whoever did it: then only the
// steps behind `promote` remain. Two such servers on one timeline: refused, that is for people to decide.
// Threads: pure. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/proof/lsn.h"
#include "base/result.h"

namespace tidemark::shardrouter {

struct PromotionServer {
  std::string name;
  bool is_primary_in_topology = false;
  bool is_reachable = false;
  // The rest is known if it is reachable.
  bool is_in_recovery = false;
  uint32_t timeline = 0;  // of a primary
  DbEpoch db_epoch = 0;
  bool is_retired = false;     // a primary that was told that it has a successor
  bool is_open = false;        // a primary whose timeline is open for routed writes
  uint64_t writers = 0;        // a retired primary: transactions that began before it was retired
  uint64_t stale_buckets = 0;  // buckets it claims that another shard owns at a later epoch
  Lsn position{};              // replica: received and replayed; primary: flushed
  Lsn switch_lsn{};            // a primary: where its timeline left the one before; zero: unknown
  bool is_replay_paused = false;
  std::string follows{};  // a replica: the server it streams from; "": none, or one that is not of this shard
  bool operator==(const PromotionServer&) const = default;
};

struct PromotionFacts {
  std::vector<PromotionServer> servers;
  std::string wanted{};              // --to; "": the most advanced one
  bool is_forced = false;            // the operator has made sure that the old primary is stopped
  bool is_topology_current = false;  // names the promoted server as the primary, and every other as a replica
};

struct PromotionStep {
  // In the order in which they come. kRepoint once for each replica.
  enum class Kind : uint8_t { kRetire, kDrain, kCatchUp, kPromote, kDisown, kOpen, kPublish, kRepoint, kDone };
  Kind kind = Kind::kDone;
  std::string server;  // that it is done to
  std::string of;      // kCatchUp, kRepoint: the other side
  bool operator==(const PromotionStep&) const = default;
};
std::string_view to_string(PromotionStep::Kind kind);  // "retire", …
std::string describe(const PromotionStep& step);

// Which server the promotion ends with: the one that was promoted already, else `wanted`, else the most advanced
// replica. Asked once, and `wanted` from then on: a promotion that has ended looks like a shard that needs none, and
// the next question would begin another one.
Result<std::string> promotion_target(const PromotionFacts& facts);

// kFailedPrecondition: it must not go on, and why; what to do stands in the message.
Result<PromotionStep> next_promotion_step(const PromotionFacts& facts);

// The facts as they are when the step has succeeded, for --dry-run and for tests.
PromotionFacts after_promotion_step(PromotionFacts facts, const PromotionStep& step);

// What an operator must do by hand afterwards: servers that cannot follow the promoted one.
std::vector<std::string> promotion_leftovers(const PromotionFacts& facts);

}  // namespace tidemark::shardrouter
