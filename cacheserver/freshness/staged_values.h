// Staged values: rows as their transactions left them, parked until the change stream vouches for them.
//
// STAGE parks a value. It becomes the key's entry once the stream has brought the commit with the same stage as the
// key's last event, the commit has settled, and nothing later is known of the key. STAGE and the stream's word may come
// in either order: what the stream said last stands in the key's tombstone for as long as that lives.
//
//   STAGE  -> parked ------ INVALB with this stage ------> confirmed (end known) -- FENCE, settled >= end --> installed
//               |                                             |
//               | INVALB without it, or with another stage    | a later commit, an accepted fill, DEL, FENCEALL, 10 s
//               v                                             v
//             dropped                                       dropped
//
// This is the container: it knows no rules. judge_staged() is the rule, and it is the fill rule: a confirmed value is
// judged like a fill whose proof is R with the commit's exact end (the row contains every commit on the key up to its
// own, for the row's lock orders them), plus two conditions of its own, the stage and settled.
//
// Invariants: size() <= values_max, bytes() <= bytes_max, at most kPerKeyMax values of one hash; a place is stable
// until it is dropped. Threads: one worker's. I/O: none; time is an argument. Limits: Options.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/proof/lsn.h"
#include "cacheserver/freshness/fill_rule.h"
#include "cacheserver/freshness/hash_index.h"
#include "cacheserver/freshness/ingredients.h"
#include "cacheserver/freshness/tombstones.h"

namespace tidemark::cacheserver {

struct StagedValue {
  uint64_t key_hash = 0;
  std::string key;
  std::string value;
  bool is_absent = false;  // the row is gone; the value is empty
  Duration ttl{};          // from its installation on
  CommitDomain domain;     // where the commit is, and whose the key's bucket was at STAGE
  Xid xid = 0;
  uint64_t stage = 0;
  Lsn end_bound;           // 0/0: nothing known; else the commit's end is not beyond it
  std::optional<Lsn> end;  // confirmed by the stream: the commit's exact end
  bool operator==(const StagedValue&) const = default;
};

// What became of a staged value.
enum class StagedEnd : uint8_t {
  kInstalled,
  kContained,   // an entry that contains the commit is there, or was filled meanwhile
  kSuperseded,  // a later commit on the key is known, or may be: its tombstone is covered by the floor
  kNoStage,     // the stream's commit named another stage, or none
  kFull,        // no room for parked values
  kTimeout,
  kForgotten,  // DEL, FLUSHALL, FENCEALL, another topology: the ground it stood on is gone
  kNoRoom,     // the keyspace had no room
};
inline constexpr size_t kStagedEndCount = 8;
std::string_view to_string(StagedEnd end);  // "installed", "contained", …

// What is known of a value now: to be dropped, confirmed with this end, or neither (the stream has not come so far).
struct StagedJudgement {
  std::optional<StagedEnd> drop;
  std::optional<Lsn> end;
  bool operator==(const StagedJudgement&) const = default;
};

struct StagedQuestion {
  const StagedValue& value;
  CommitDomain domain;  // this node's, of the key's bucket
  const Tombstones& tombstones;
  const Floor& floor;  // of domain.shard
  Lsn complete_through;
  std::optional<Lsn> existing_lo;  // of a valid entry of the same domain
};

StagedJudgement judge_staged(const StagedQuestion& question, const Ingredients& ingredients = {});

class StagedValues {
 public:
  struct Options {
    size_t bytes_max = 16u << 20;
    size_t values_max = 16384;
    Duration life = std::chrono::seconds(10);
  };
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kPerKeyMax = 4;  // a fifth pushes the oldest of its key out

  explicit StagedValues(Options options) : options_(options) {}

  // The place, or kNone: no room. A value of the same key, xid and stage is replaced.
  uint32_t park(StagedValue value, Instant now);

  // The values of a hash, newest first: for (auto p = first(h); p != kNone; p = next(p)).
  uint32_t first(uint64_t key_hash) const { return index_.find(key_hash); }
  uint32_t next(uint32_t place) const { return nodes_[place].next_of_hash; }
  const StagedValue& at(uint32_t place) const { return nodes_[place].value; }
  bool contains(uint64_t key_hash, std::string_view key) const;

  void confirm(uint32_t place, Lsn end);
  void drop(uint32_t place, StagedEnd why);

  // The confirmed value of the shard with the smallest end, if that is at most `settled`. It is no longer parked;
  // what becomes of it is the caller's to count().
  std::optional<StagedValue> take_settled(ShardId shard, Lsn settled);
  void count(StagedEnd end) { ++ended_[static_cast<size_t>(end)]; }

  void drop_key(uint64_t key_hash);
  void drop_shard(ShardId shard);
  void drop_all();
  // Ends values whose time has come, at most `work_max`.
  void expire(Instant now, size_t work_max);

  size_t size() const { return used_; }
  size_t bytes() const { return bytes_; }
  uint64_t parked() const { return parked_; }  // ever
  const std::array<uint64_t, kStagedEndCount>& ended() const { return ended_; }

 private:
  struct Node {
    StagedValue value;
    Instant parked;
    uint32_t next_of_hash = kNone;
    uint32_t newer = kNone, older = kNone;
  };
  using Waiting = std::tuple<ShardId, Lsn, uint32_t>;  // confirmed values, by end

  static size_t bytes_of(const StagedValue& value) { return sizeof(Node) + value.key.size() + value.value.size(); }
  bool make_place_for(const StagedValue& value);
  StagedValue remove(uint32_t place);

  Options options_;
  std::vector<Node> nodes_;
  uint32_t free_ = kNone, oldest_ = kNone, newest_ = kNone;
  size_t used_ = 0, bytes_ = 0;
  HashIndex index_;
  std::set<Waiting> waiting_;
  uint64_t parked_ = 0;
  std::array<uint64_t, kStagedEndCount> ended_{};
};

}  // namespace tidemark::cacheserver
