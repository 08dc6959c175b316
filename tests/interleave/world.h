// A small world around the real freshness cores: one cache key, a Postgres primary with a standby, invalidators,
// loaders.
//
// The model keeps what makes caches go stale:
//  * on the primary a commit is first a record in the log (it can be decoded from then on), later visible, in any
//  order;
//  * the standby replays in log order: data first, then the replay position moves;
//  * a snapshot is xmin:xmax:xip as Postgres builds it: xmax is one past the latest *finished* id;
//  * an invalidator decodes in log order; a fence's snapshot is taken at one moment and applied at a later one;
//  * messages can be lost with their connection.
// The node is FreshnessState itself with a one-entry keyspace. A value is the set of commits it contains (bit i =
// commit i).
//
// check() is the specification:
//  G1  a valid entry never lacks a commit whose invalidation this node applied;
//  G2  a valid entry contains every commit up to complete_through that touches the key;
//  LO  an entry contains what its claims (lo, xmin) say;
//  B1  a hit contains every commit that is older than its bound, whichever shard it was written to;
//  G3  a valid entry contains no commit that its database lost in a fail-over the node was told of;
//  L1  a fill is accepted only under the key's current lease;
//  M1  a valid entry is never replaced by one with a smaller lo;
//  V1  a fill or a staged value that was accepted is a hit at once (or its reader would load and fill for ever);
//  W1  an installed value is exactly the row as the transaction it was staged for committed it, in this database;
//  W2  it is visible to every snapshot of the primary by then;
//  W3  it never replaces a valid entry that contains more;
//  W4  nothing that was parked before a DEL is installed after it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cacheserver/entry/entry.h"
#include "cacheserver/freshness/freshness_state.h"

namespace tidemark::interleave {

using cacheserver::EntryClaims;
using cacheserver::FreshnessState;
using cacheserver::Ingredients;

inline constexpr Lsn kBase{0x100};  // everything before it is old and settled
inline constexpr uint64_t kKeyHash = 42;
inline constexpr Bucket kBucket = 7;  // the key's

struct Transaction {
  Xid xid = 0;
  Lsn end_lsn;
  ShardId shard = 0;
  DbEpoch db_epoch = 1;
  bool touches_key = true;  // false: of another key
  bool is_recorded = false;
  bool is_visible = false;          // on the primary
  bool is_replayed = false;         // on the standby
  std::optional<uint64_t> stage{};  // what the stream names as the key's last event, see decode_stage()
};

// What a writer sends. The value of T is row(T); kWrongRow is one that no transaction left.
inline constexpr uint32_t kWrongRow = uint32_t{1} << 31;
struct Stage {
  Xid xid = 0;
  DbEpoch db_epoch = 1;
  Lsn bound;  // 0/0: sent before COMMIT
  uint64_t stage = 0;
  uint32_t value = 0;
};

// The events of the key in one transaction, in the order of the log: its row changed, or a stage message.
struct RowChange {};
using KeyEvent = std::variant<RowChange, uint64_t>;
// The stage that the invalidator names for the key: the real CommitAssembler decides.
std::optional<uint64_t> decode_stage(const std::vector<KeyEvent>& events, const Ingredients& ingredients);

struct Loader {
  std::string lease;
  std::optional<uint32_t> value;  // the commits that the data contains
  Proof proof;
};

struct Message {
  bool is_fence = false;
  cacheserver::BatchHead head;
  std::vector<size_t> commits;
  cacheserver::FenceMessage fence;
};

struct Invalidator {
  size_t decoded = 0;  // so many commits of the log
  Lsn position = kBase;
  std::deque<Message> link;
  std::optional<cacheserver::FenceMessage> fence;  // taken, not yet applied
};

// A sample of a shard's log, and what had been committed by then anywhere. Once the node has applied the log up to
// `end`, it may say that its bound reaches back to this moment.
struct Sample {
  Lsn end;
  uint32_t recorded = 0;
};

// The move of the key's bucket from shard 0, which owns it under epoch 1, to shard 1 under epoch 3.
struct HandOver {
  Lsn fence_end;  // in the log of shard 0, which shows epoch 2 from there on; zero: no fence yet
  bool has_flipped = false;
};

class World {
 public:
  World(size_t commits, const Ingredients& ingredients, cacheserver::FreshnessLimits limits = {});

  std::string check() const;

  // ---- the database
  void record(size_t commit) { transactions[commit].is_recorded = true; }
  void make_visible(size_t commit) { transactions[commit].is_visible = true; }
  void replay_data(size_t commit) { transactions[commit].is_replayed = true; }
  void replay_position(size_t commit) { standby_position = transactions[commit].end_lsn; }
  PgSnapshot snapshot() const;
  uint32_t visible_commits() const;
  uint32_t replayed_commits() const;

  // ---- the node
  void restart_node();
  void join(DbEpoch db_epoch, Lsn lsn);
  void succeed(DbEpoch db_epoch, Lsn switch_lsn);  // EPOCH: a standby that had everything up to there was promoted
  void pass(Duration time) { now += time; }
  bool apply(const cacheserver::BatchHead& head, const std::vector<size_t>& commits);  // true if it was applied
  void inval(size_t commit);                 // the writer's fast path: an upper bound of the end
  void invalidate_other_keys(size_t count);  // later commits on other keys: they crowd the tombstones

  // ---- a writer of staged rows
  uint32_t row(size_t commit) const;  // the commits on the key up to this one: its row's lock orders them
  void stage(const Stage& stage);
  void del();

  // ---- an invalidator
  void send_next_commit(size_t invalidator);  // INVALB, applied at once
  void take_fence(size_t invalidator);
  void apply_fence(size_t invalidator);
  void post_next_commit(size_t invalidator);  // INVALB into the link
  void post_fence(size_t invalidator);
  void deliver(size_t invalidator);
  void lose(size_t invalidator);  // the connection resets

  // ---- the hand-over of the bucket
  bool has_moved() const { return node.has_moved(kBucket, owner); }
  void fence_bucket(Lsn end) { hand_over.fence_end = end; }
  void flip_bucket() { hand_over.has_flipped = true; }
  void adopt_topology();  // the node's: shard 1 is the owner
  void take_sample(ShardId shard);
  void apply_up_to_sample(ShardId shard);
  bool may_echo(ShardId shard) const;
  void apply_echo(ShardId shard) { promised[shard] |= samples[shard]->recorded; }

  // ---- a loader
  void getl(size_t loader);
  void read_primary(size_t loader);  // data and snapshot in one statement
  void read_standby_position(size_t loader);
  void read_standby_data(size_t loader);
  void setv(size_t loader);
  void install_old_entry();  // an entry filled long ago: contains nothing since kBase

  std::vector<Transaction> transactions;
  Lsn standby_position = kBase;
  Ingredients ingredients;
  cacheserver::FreshnessLimits limits;
  uint64_t incarnation = 1;
  FreshnessState node;
  BucketOwner owner{0, 1};
  Instant now{std::chrono::seconds(1000)};
  struct Stored {
    EntryClaims claims;
    uint32_t value = 0;
  };
  std::optional<Stored> entry;
  uint32_t applied = 0;       // commits whose invalidation a node applied
  bool leases_matter = true;  // false: L1 is not checked
  std::string current_lease;  // by the model's own book-keeping
  Instant leased_at;
  std::vector<Invalidator> invalidators{2};
  std::vector<Loader> loaders{2};
  uint64_t fills_accepted = 0;
  uint64_t installed = 0;
  HandOver hand_over;
  std::optional<Sample> samples[2];   // of each shard
  uint32_t promised[2] = {0, 0};      // commits older than the bound, by the shard whose tide mark it is
  std::optional<Lsn> switch_lsn;      // from database 1 to 2, once there was one
  std::set<uint64_t> deleted_stages;  // parked before a DEL
  std::string broken;                 // set by a step that broke L1, M1 or V1

 private:
  void drop_lease() { current_lease.clear(); }
  uint32_t commits_on_key() const;
  bool is_of(const Transaction& t, DbEpoch db_epoch) const;  // written in that database, or inherited by it
  size_t committed(Xid xid, DbEpoch db_epoch) const;
  void install_settled();
  void install(const cacheserver::StagedValue& staged);
  void invalidate(size_t commit, Lsn end_lsn, bool is_hint);
  cacheserver::FenceMessage make_fence(size_t invalidator) const;
};

}  // namespace tidemark::interleave
