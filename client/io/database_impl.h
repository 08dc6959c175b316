// The inside of Database: state and the operations on it, over several files of this folder.
//
//   database.cpp           topology, pools, positions      database_write.cpp    writes and transactions
//   database_query.cpp     reads of one shard              database_scatter.cpp  reads of all shards
//   database_metrics.cpp   what pools say about themselves
//
// Threads: the context's, but for start_* and metrics().
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/io/metrics.h"
#include "client/database.h"
#include "client/io/hand_over.h"
#include "client/strategy/position_clock.h"
#include "shardrouter/routing/bucket_map.h"
#include "shardrouter/sql/routed_read.h"
#include "shardrouter/sql/scatter_read.h"

namespace tidemark::client {

inline constexpr int kAttemptsMax = 4;  // of one write or read: with a healed map, after a hand-over, on another server
inline constexpr int kScatterAttemptsMax = 40;  // until every bucket has one owner, kHandOverWait apart
inline constexpr Duration kSettleWait = std::chrono::milliseconds(10);  // for what replicas show before the primary
inline constexpr int kReplicaShare = 2;  // a replica gets 1/2 of the time that is left, so that the primary has some

// Whom to ask for a read, and for what.
struct ReadPlan {
  shardrouter::ShardPool::Target target = shardrouter::ShardPool::Target::kPrimary;
  Lsn at_least;
  shardrouter::Freshness freshness = shardrouter::Freshness::kPlain;
  Lsn proves{};  // kSettled: what the session has read elsewhere

  bool is_replica() const { return target == shardrouter::ShardPool::Target::kReplica; }
};

class DatabaseImpl final : public Database {
 public:
  DatabaseImpl(boost::asio::io_context& context, DatabaseOptions options);
  ~DatabaseImpl() override { close(); }

  void apply(std::shared_ptr<const Topology> topology);
  void set_topology(std::shared_ptr<const Topology> topology) override;
  void on_stale_topology(std::function<void()> callback) override { stale_topology_ = std::move(callback); }
  bool is_context_thread() const override { return context_.get_executor().running_in_this_thread(); }

  std::vector<ShardId> shards() const override;
  std::optional<BucketOwner> owner_of(Bucket bucket) const override { return map_.find(bucket); }
  bool heal(Bucket bucket, BucketOwner asked, const shardrouter::BucketRefusal& refusal) override {
    return heal_map(bucket, asked, refusal) == shardrouter::BucketMap::Heal::kRetry;
  }
  shardrouter::ShardPool* pool(ShardId shard) override;
  std::optional<Lsn> position_at_most(ShardId shard, Duration max_stale) override;
  std::optional<Instant> moment_of(ShardId shard, DbEpoch db_epoch, Lsn replayed) const override;
  bool begin_fallback(ShardId shard) override;
  void end_fallback(ShardId shard) override;
  void close() override;
  std::vector<io::MetricFamily> metrics() override;

 protected:
  void start_write(std::vector<Bucket> buckets, std::vector<shardrouter::Statement> statements, WriteOptions options,
                   Callback<Result<Written>> done) override;
  void start_commit(Transaction transaction, WriteOptions options, Callback<Result<Written>> done) override;
  void start_query(std::vector<Bucket> buckets, std::vector<shardrouter::Statement> statements, QueryOptions options,
                   Callback<Result<Queried>> done) override;
  void start_scatter(ScatterQuery query, QueryOptions options, Callback<Result<Scattered>> done) override;
  void start_on_shard(ShardId shard, std::vector<shardrouter::Statement> statements, Duration timeout,
                      Callback<Result<std::vector<shardrouter::ResultSet>>> done) override;

 private:
  using Results = Result<std::vector<shardrouter::ResultSet>>;
  struct ShardState {
    std::shared_ptr<shardrouter::ShardPool> pool;
    PositionClock positions;
    Instant wanted_until{};
    bool is_polling = false;
    size_t fallbacks = 0;
  };
  struct Write;    // database_write.cpp
  struct Query;    // database_query.cpp
  struct Scatter;  // database_scatter.cpp
  struct Part;
  using WritePtr = std::shared_ptr<Write>;
  using QueryPtr = std::shared_ptr<Query>;
  using ScatterPtr = std::shared_ptr<Scatter>;
  // Where buckets lie; all of them on one shard.
  struct Route {
    ShardId shard = 0;
    std::vector<shardrouter::BucketAtEpoch> buckets;
  };

  std::shared_ptr<DatabaseImpl> shared() { return std::static_pointer_cast<DatabaseImpl>(shared_from_this()); }
  Result<Route> route(const std::vector<Bucket>& buckets) const;
  Result<shardrouter::ShardPool*> open_pool(ShardId shard);
  shardrouter::BucketMap::Heal heal_map(Bucket bucket, BucketOwner asked, const shardrouter::BucketRefusal& refusal);
  // What a refusal of one of the route's buckets means for the operation; nothing: the error is another one.
  std::optional<shardrouter::BucketMap::Heal> heal_route(const Route& route, const Error& error);
  void after(Duration delay, std::move_only_function<void()> work);

  void poll(ShardId id, std::shared_ptr<ShardState> shard);
  void on_position(ShardId id, std::shared_ptr<ShardState> shard, Instant asked, Results results);

  void attempt(WritePtr write);
  void on_written(const WritePtr& write, const Route& route, Results results);
  bool try_again(const WritePtr& write, const Route& route, const Error& error);

  // Reads of one shard and parts of a scatter read.
  ReadPlan plan_read(ShardId shard, const QueryOptions& options, bool primary_only);
  // kAborted: another server, or the same one later, may do better.
  Result<QuerySource> accept_read(ShardId shard, const ReadPlan& plan, const QueryOptions& options,
                                  const shardrouter::RoutedRead& read, Instant asked);
  void absorb_read(const ReadPlan& plan, const QueryOptions& options, const QuerySource& source,
                   const shardrouter::RoutedRead& read);

  void attempt_query(QueryPtr query);
  void on_query(const QueryPtr& query, const Route& route, const ReadPlan& plan, Instant asked, Results results);
  void query_again(const QueryPtr& query, const Route& route, const ReadPlan& plan, Error error);

  void attempt_scatter(ScatterPtr scatter);
  void ask_part(const ScatterPtr& scatter, size_t index, bool primary_only);
  void on_part(const ScatterPtr& scatter, size_t index, const ReadPlan& plan, Instant asked, Results results);
  void on_part_failed(const ScatterPtr& scatter, size_t index, const ReadPlan& plan, Error error);
  void finish_scatter(const ScatterPtr& scatter);
  void scatter_again(const ScatterPtr& scatter, const shardrouter::OwnershipGap& gap);

  std::vector<io::MetricFamily> collect_metrics() const;

  boost::asio::io_context& context_;
  DatabaseOptions options_;
  uint64_t topology_version_ = 0;
  shardrouter::BucketMap map_;
  std::map<ShardId, std::shared_ptr<ShardState>> shards_;
  std::function<void()> stale_topology_;
  bool is_closed_ = false;

  std::mutex metrics_mutex_;
  std::vector<io::MetricFamily> last_metrics_;  // when the context's thread does not answer in time
};

}  // namespace tidemark::client
