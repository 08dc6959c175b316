// The repository's machine: operations (callers) wait on flights (one per key), flights ask a node and, if need be,
// loads.
//
//   operation --join--> flight --GETL--> HIT, ABSENT ----------------------------------------> settle
//                          ^               MISS (lease) ------> load -> rows with proof -----> settle, then SETV
//                          +--wait-- BUSY  BYPASS, node away -> load, one of the shard's fallbacks -> settle
//
// settle() answers every operation of the flight. A flight of get_many belongs to a Batch until its GETL is answered;
// when the last one is, those that need the database are loaded with one statement per shard. Threads: the context's
// thread, but for the entry points.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <random>
#include <unordered_map>

#include "client/io/client_metrics.h"
#include "client/repository_core.h"
#include "client/strategy/freshness_replies.h"
#include "client/strategy/key_backoff.h"
#include "client/strategy/proven_load.h"
#include "client/strategy/session_demand.h"
#include "client/strategy/single_flight.h"

namespace tidemark::client {

// One caller's question.
struct Operation {
  KeyItem item;
  ReadOptions options;
  Duration max_stale{};  // kAnyStaleness: no limit
  Instant start{};
  Instant deadline{};
  std::optional<SessionToken> wanted;  // what its session held at the step `asked`; nothing: no session
  uint64_t asked = 0;
  int attempts = 0;
  bool is_answered = false;
  std::unique_ptr<boost::asio::steady_timer> timer;  // followers only: the leader's steps have its deadline
  Callback<Result<RawAnswer>> done;
};
using OperationPtr = std::shared_ptr<Operation>;

// What a flight found.
struct Found {
  std::shared_ptr<const void> object;  // nullptr: absent
  Origin origin = Origin::kPrimary;
  Instant as_of{};            // Instant{}: unknown
  int64_t node_bound_ms = 0;  // as the node gave it; kStalenessUnknown
  AnswerClaims claims{};
};

struct Batch;

// A value with what proves it: what SETV takes.
struct ProvenValue {
  std::string bytes;  // empty: absent
  Proof proof;
  std::optional<Lsn> hi;
};

struct Flight {
  uint64_t id = 0;  // 0: nobody else may join
  OperationPtr leader;
  Bucket bucket = 0;
  Instant busy_until{};           // zero: never was BUSY
  std::optional<GetlMiss> lease;  // what allows and guides a fill
  std::string_view bypass;        // why the database is asked without a lease; empty: it is a miss, or not asked yet
  int heals = 0;
  int hand_over_waits = 0;
  bool is_settled = false;
  bool is_filled = false;              // the lease was used
  std::optional<GetlAfter> after;      // as the node was asked
  std::optional<BucketOwner> owner;    // told to the node, for a session
  bool needs_primary = false;          // for the leader's session
  std::optional<TideOfShard> settled;  // what a node last said of the shard
  std::optional<Xid> next_xid;         // of the primary of `counted_epoch` at the step `counted_at`
  DbEpoch counted_epoch = 0;           // xids of two epochs are never compared
  uint64_t counted_at = 0;
  Instant settle_until{};               // zero: the primary was not asked again yet
  std::optional<ProvenValue> unfilled;  // loaded while the node's answer was late: a lease may still come
  std::shared_ptr<Batch> batch;

  const KeyItem& item() const { return leader->item; }
};
using FlightPtr = std::shared_ptr<Flight>;

// The flights of one get_many that were not answered yet.
struct Batch {
  size_t waiting = 0;  // for their GETL
  std::vector<FlightPtr> to_load;
};

// One statement on one shard for one or more flights.
struct Load {
  ShardId shard = 0;
  std::vector<FlightPtr> flights;
  bool has_fallback_place = false;
  Instant sent{};
  uint64_t sent_at = 0;   // the step
  Instant trial_until{};  // not zero: the replica may not have replayed enough yet, but was nearly there
  Lsn trial_at_least;     // which one may be tried
};
using LoadPtr = std::shared_ptr<Load>;

class RepositoryImpl final : public RepositoryCore, public std::enable_shared_from_this<RepositoryImpl> {
 public:
  RepositoryImpl(std::shared_ptr<CacheClient> cache, std::shared_ptr<Database> database, SourceOperations source,
                 RepositoryOptions options);

  void get(Result<KeyItem> item, ReadOptions options, Callback<Result<RawAnswer>> done) override;
  void get_many(std::vector<Result<KeyItem>> items, ReadOptions options,
                Callback<std::vector<Result<RawAnswer>>> done) override;
  void update(std::vector<Result<KeyItem>> items, std::vector<shardrouter::Statement> statements, WriteOptions options,
              Callback<Result<Written>> done) override;
  void write_through(std::vector<Result<KeyItem>> items, Transaction transaction, WriteOptions options,
                     Callback<Result<RawWrittenThrough>> done) override;
  void invalidate(CommitToken commit, std::vector<Result<KeyItem>> items, Callback<Result<int64_t>> done) override;
  std::optional<Error> blocking_error() const override;

 private:
  // repository_core.cpp: operations and the node
  OperationPtr make_operation(KeyItem item, const ReadOptions& options, Instant start,
                              Callback<Result<RawAnswer>> done);
  void begin(OperationPtr operation, const std::shared_ptr<Batch>& batch);
  FlightPtr make_flight(const OperationPtr& leader, uint64_t id);
  void arm_deadline(const OperationPtr& operation);
  void ask_node(const FlightPtr& flight);
  void on_node_answer(const FlightPtr& flight, Instant sent, Result<RespValue> reply);
  void on_late_answer(const FlightPtr& flight, Result<RespValue> reply);
  void on_busy(const FlightPtr& flight, const GetlBusy& busy);
  void on_hit(const FlightPtr& flight, Instant sent, std::optional<std::string> value, int64_t bound_ms,
              const GetlClaims& claims);
  void leave_batch(const FlightPtr& flight);
  void give_back_lease(const FlightPtr& flight);
  void settle(const FlightPtr& flight, Result<Found> found);
  void deliver(const OperationPtr& operation, const Result<Found>& found);
  void answer(const OperationPtr& operation, Result<RawAnswer> raw);
  bool should_ask_again(const Operation& operation, const Result<Found>& found, Instant now) const;

  // repository_load.cpp: the database
  void load_without_lease(const FlightPtr& flight, std::string_view reason);
  void load_flight(const FlightPtr& flight);
  void load_batch(std::vector<FlightPtr> flights);
  void run_load(LoadPtr load);
  void run_on_primary(const LoadPtr& load);
  void send_load(const LoadPtr& load, shardrouter::ShardPool::Target target, Lsn at_least);
  void on_loaded(const LoadPtr& load, shardrouter::ShardPool::Target target,
                 Result<std::vector<shardrouter::ResultSet>> results);
  void end_load(const LoadPtr& load);
  void fail_load(const LoadPtr& load, const Error& error);
  struct LoadedRows {
    std::unordered_map<std::string, std::vector<Row>> by_key;  // an entry for every key that was asked for
    std::optional<Error> error{};
  };
  LoadedRows sort_rows(const ProvenRows& rows, const Load& load) const;
  bool settle_from_rows(const FlightPtr& flight, const Load& load, const ProvenRows& rows, const LoadedRows& sorted,
                        bool may_ask_primary);
  bool reload_refused(const FlightPtr& flight, ShardId shard, const ProvenBucket& bucket);
  bool reload_after_hand_over(const FlightPtr& flight);
  void fill(const FlightPtr& flight, const ProvenValue& value);
  Result<std::string> key_of_row(const Row& row) const;

  // repository_session.cpp: what the sessions of operations demand
  static void absorb(const Operation& operation, const AnswerClaims& claims);
  SessionVerdict judge(const Operation& operation, const AnswerClaims& claims) const;
  bool prepare_for_session(const FlightPtr& flight);
  AnswerClaims claims_of_hit(const Flight& flight, const GetlClaims& claims) const;
  AnswerClaims claims_of_rows(const FlightPtr& flight, const Load& load, const ProvenRows& rows) const;
  void go_on_alone(const FlightPtr& flight, const Found& found);
  bool may_try_replica(const Load& load, Lsn young_enough, Lsn at_least);
  void try_replica_again(const LoadPtr& load);
  void ask_again(const FlightPtr& flight, ShardId shard, SessionVerdict verdict);
  Error unproven(const Flight& flight, ShardId shard, SessionVerdict verdict) const;

  // repository_stage.cpp
  struct StagedRow {
    std::string key;
    uint64_t stage = 0;
    bool is_delete = false;
  };
  Result<RawWrittenThrough> on_written_through(const std::vector<StagedRow>& rows, Instant start,
                                               Result<Written> written);
  Result<std::optional<LoadedObject>> object_of_row(const StagedRow& row, const shardrouter::ResultSet& set) const;
  void send_stage(const StagedRow& row, const CommitToken& commit, const std::string& bytes);

  // repository_write.cpp
  void send_invalidations(const CommitToken& commit, std::vector<std::string> keys, Callback<Result<int64_t>> done);

  std::shared_ptr<RepositoryImpl> shared() { return shared_from_this(); }
  ClientMetrics& metrics() { return cache_->metrics(); }

  std::shared_ptr<CacheClient> cache_;
  std::shared_ptr<Database> database_;
  const SourceOperations source_;
  const RepositoryOptions options_;
  SingleFlight<OperationPtr> flights_;
  KeyBackoff backoff_;
  size_t fills_in_flight_ = 0;
  uint64_t steps_ = 0;  // counts what sessions and loads do, so that "sent after it was asked for" is exact
  std::map<ShardId, Instant> trials_after_;  // when a replica that was too late may be tried again
  std::minstd_rand random_;
};

}  // namespace tidemark::client
