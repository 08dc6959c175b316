#include "client/database.h"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "base/io/system_clock.h"
#include "base/parse.h"
#include "client/row.h"
#include "client/session_token.h"
#include "client/strategy/position_clock.h"
#include "shardrouter/routing/bucket_map.h"
#include "shardrouter/sql/routed_write.h"

namespace tidemark::client {

class CommitTokenMaker {
 public:
  static CommitToken make(const shardrouter::CommitToken& token) {
    return CommitToken(token.shard, token.db_epoch, token.lsn, token.xid);
  }
};

namespace {

namespace asio = boost::asio;
using io::steady_now;
using shardrouter::BucketMap;
using shardrouter::BucketRefusal;
using shardrouter::Pipeline;
using shardrouter::ResultSet;
using shardrouter::ShardPool;
using shardrouter::Statement;

constexpr int kWriteAttemptsMax = 4;  // a refused write, with a healed map or after a hand-over
constexpr Duration kHandOverWait = std::chrono::milliseconds(30);  // a bucket has no owner for about so long in a move
constexpr Duration kPollWhileWanted = std::chrono::seconds(5);     // positions are polled so long after the last use
constexpr Duration kPollTimeout = std::chrono::seconds(1);
constexpr std::string_view kPositionSql =
    "SELECT (SELECT e FROM tidemark.epoch) AS e, "
    "CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() END::text AS inserted";

struct ShardState {
  std::shared_ptr<ShardPool> pool;
  PositionClock positions;
  Instant wanted_until{};
  bool is_polling = false;
  size_t fallbacks = 0;
};

struct Write {
  std::vector<Bucket> buckets;
  std::vector<Statement> statements;
  Instant deadline;
  std::shared_ptr<Session> session;
  int attempts = 0;
  Callback<Result<Written>> done;
};
using WritePtr = std::shared_ptr<Write>;

// The refusal's message says "bucket 17 at epoch 3 is not owned here".
std::optional<Bucket> refused_bucket(const Error& error, const std::vector<Bucket>& buckets) {
  if (buckets.size() == 1) return buckets[0];
  constexpr std::string_view kBefore = "bucket ";
  const size_t at = error.message.find(kBefore);
  if (at == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(error.message).substr(at + kBefore.size());
  auto number = parse_u64(rest.substr(0, rest.find(' ')));
  if (!number || *number >= kBucketCount) return std::nullopt;
  return static_cast<Bucket>(*number);
}

class DatabaseImpl final : public Database {
 public:
  DatabaseImpl(asio::io_context& context, DatabaseOptions options) : context_(context), options_(std::move(options)) {
    if (!options_.make_pool) {
      options_.make_pool = [this](const Shard& shard) { return ShardPool::create(context_, shard, options_.pool); };
    }
  }
  ~DatabaseImpl() override { close(); }

  void apply(std::shared_ptr<const Topology> topology);
  void set_topology(std::shared_ptr<const Topology> topology) override {
    if (topology == nullptr) return;
    asio::dispatch(context_,
                   [self = shared(), topology = std::move(topology)]() mutable { self->apply(std::move(topology)); });
  }
  void on_stale_topology(std::function<void()> callback) override { stale_topology_ = std::move(callback); }
  bool is_context_thread() const override { return context_.get_executor().running_in_this_thread(); }

  std::optional<BucketOwner> owner_of(Bucket bucket) const override { return map_.find(bucket); }
  bool heal(Bucket bucket, BucketOwner asked, const BucketRefusal& refusal) override {
    return heal_map(bucket, asked, refusal) == BucketMap::Heal::kRetry;
  }
  ShardPool* pool(ShardId shard) override {
    auto found = shards_.find(shard);
    return found == shards_.end() ? nullptr : found->second->pool.get();
  }
  std::optional<Lsn> position_at_most(ShardId shard, Duration max_stale) override;
  std::optional<Instant> moment_of(ShardId shard, DbEpoch db_epoch, Lsn replayed) const override {
    auto found = shards_.find(shard);
    return found == shards_.end() ? std::nullopt : found->second->positions.moment_of(db_epoch, replayed);
  }
  bool begin_fallback(ShardId shard) override {
    auto found = shards_.find(shard);
    if (found == shards_.end() || found->second->fallbacks >= options_.fallbacks_per_shard_max) return false;
    ++found->second->fallbacks;
    return true;
  }
  void end_fallback(ShardId shard) override {
    auto found = shards_.find(shard);
    if (found != shards_.end() && found->second->fallbacks > 0) --found->second->fallbacks;
  }
  void close() override {
    is_closed_ = true;
    for (auto& [id, shard] : shards_) shard->pool->close();
  }

 protected:
  void start_write(std::vector<Bucket> buckets, std::vector<Statement> statements, WriteOptions options,
                   Callback<Result<Written>> done) override;

 private:
  std::shared_ptr<DatabaseImpl> shared() { return std::static_pointer_cast<DatabaseImpl>(shared_from_this()); }
  BucketMap::Heal heal_map(Bucket bucket, BucketOwner asked, const BucketRefusal& refusal);
  void attempt(WritePtr write);
  void on_written(const WritePtr& write, ShardId shard, Result<std::vector<ResultSet>> results);
  bool try_again(const WritePtr& write, ShardId shard, const Error& error);
  void poll(ShardId id, std::shared_ptr<ShardState> shard);
  void on_position(ShardId id, std::shared_ptr<ShardState> shard, Instant asked,
                   Result<std::vector<ResultSet>> results);

  asio::io_context& context_;
  DatabaseOptions options_;
  uint64_t topology_version_ = 0;
  BucketMap map_;
  std::map<ShardId, std::shared_ptr<ShardState>> shards_;
  std::function<void()> stale_topology_;
  bool is_closed_ = false;
};

void DatabaseImpl::apply(std::shared_ptr<const Topology> topology) {
  if (topology == nullptr || topology->version <= topology_version_ || is_closed_) return;
  topology_version_ = topology->version;
  map_.merge(*topology);
  for (const Shard& shard : topology->shards) {
    auto& state = shards_[shard.id];
    if (state == nullptr) {
      state = std::make_shared<ShardState>();
      state->pool = options_.make_pool(shard);
    } else {
      state->pool->set_shard(shard);
    }
  }
  std::erase_if(shards_, [&](auto& entry) {
    if (topology->find_shard(entry.first) != nullptr) return false;
    entry.second->pool->close();
    return true;
  });
}

BucketMap::Heal DatabaseImpl::heal_map(Bucket bucket, BucketOwner asked, const BucketRefusal& refusal) {
  auto heal = map_.heal(bucket, asked.shard, asked.epoch, refusal);
  if (heal == BucketMap::Heal::kRefresh && stale_topology_) stale_topology_();
  return heal;
}

void DatabaseImpl::start_write(std::vector<Bucket> buckets, std::vector<Statement> statements, WriteOptions options,
                               Callback<Result<Written>> done) {
  auto write = std::make_shared<Write>();
  write->buckets = std::move(buckets);
  write->statements = std::move(statements);
  write->deadline = steady_now() + options.timeout;
  write->session = std::move(options.session);
  write->done = std::move(done);
  asio::post(context_, [self = shared(), write]() mutable { self->attempt(std::move(write)); });
}

void DatabaseImpl::attempt(WritePtr write) {
  ++write->attempts;
  std::vector<shardrouter::BucketAtEpoch> guards;
  std::optional<ShardId> shard;
  for (Bucket bucket : write->buckets) {
    auto owner = map_.find(bucket);
    if (!owner) {
      return write->done(
          fail(ErrorCode::kFailedPrecondition, fmt::format("bucket {} has no shard in the topology", bucket)));
    }
    if (shard && *shard != owner->shard) {
      return write->done(fail(ErrorCode::kInvalidArgument,
                              fmt::format("one transaction cannot span shards {} and {}", *shard, owner->shard)));
    }
    shard = owner->shard;
    guards.push_back({bucket, owner->epoch});
  }
  auto pipeline = shardrouter::make_routed_write(std::move(guards), write->statements);
  if (!pipeline) return write->done(std::unexpected(pipeline.error()));
  ShardPool* target = pool(*shard);
  if (target == nullptr || is_closed_) {
    return write->done(fail(ErrorCode::kFailedPrecondition, fmt::format("shard {} is not in the topology", *shard)));
  }
  const Duration timeout = write->deadline - steady_now();
  if (timeout <= Duration::zero())
    return write->done(fail(ErrorCode::kDeadlineExceeded, "the write was not sent in time"));
  target->run(ShardPool::Target::kPrimary, {}, std::move(*pipeline), timeout,
              [self = shared(), write, shard = *shard](Result<std::vector<ResultSet>> results) {
                self->on_written(write, shard, std::move(results));
              });
}

void DatabaseImpl::on_written(const WritePtr& write, ShardId shard, Result<std::vector<ResultSet>> results) {
  if (!results) {
    if (!try_again(write, shard, results.error())) write->done(std::unexpected(std::move(results.error())));
    return;
  }
  auto written = shardrouter::read_routed_write(shard, std::move(*results));
  if (!written) return write->done(std::unexpected(std::move(written.error())));
  const CommitToken token = CommitTokenMaker::make(written->token);
  if (write->session) write->session->absorb(token);
  write->done(Written{token, std::move(written->results)});
}

// Only a refusal by the guard: then nothing was done.
bool DatabaseImpl::try_again(const WritePtr& write, ShardId shard, const Error& error) {
  auto refusal = shardrouter::refusal_of(error);
  if (!refusal || write->attempts >= kWriteAttemptsMax) return false;
  auto bucket = refused_bucket(error, write->buckets);
  auto known = bucket ? map_.find(*bucket) : std::nullopt;
  if (!known) return false;
  switch (heal_map(*bucket, {shard, known->epoch}, *refusal)) {
    case BucketMap::Heal::kRetry:
      attempt(write);
      return true;
    case BucketMap::Heal::kRefresh:
      return false;
    case BucketMap::Heal::kWait:
      break;
  }
  if (steady_now() + kHandOverWait >= write->deadline) return false;
  auto timer = std::make_shared<asio::steady_timer>(context_, kHandOverWait);
  timer->async_wait([self = shared(), timer, write](const boost::system::error_code&) { self->attempt(write); });
  return true;
}

std::optional<Lsn> DatabaseImpl::position_at_most(ShardId shard, Duration max_stale) {
  auto found = shards_.find(shard);
  if (found == shards_.end()) return std::nullopt;
  const Instant now = steady_now();
  found->second->wanted_until = now + kPollWhileWanted;
  if (!found->second->is_polling) poll(shard, found->second);
  return found->second->positions.position_at_most(max_stale, now);
}

void DatabaseImpl::poll(ShardId id, std::shared_ptr<ShardState> shard) {
  shard->is_polling = false;
  if (is_closed_ || !shards_.contains(id) || steady_now() >= shard->wanted_until) return;
  shard->is_polling = true;
  Pipeline pipeline;
  pipeline.groups.push_back({Statement{std::string(kPositionSql)}});
  ShardPool& pool = *shard->pool;
  pool.run(ShardPool::Target::kPrimary, {}, std::move(pipeline), kPollTimeout,
           [self = shared(), id, shard = std::move(shard), asked = steady_now()](
               Result<std::vector<ResultSet>> results) { self->on_position(id, shard, asked, std::move(results)); });
}

void DatabaseImpl::on_position(ShardId id, std::shared_ptr<ShardState> shard, Instant asked,
                               Result<std::vector<ResultSet>> results) {
  if (results && results->size() == 1 && (*results)[0].rows.size() == 1) {
    const Row row((*results)[0], 0);
    auto epoch = row.integer("e");
    auto text = row.find("inserted");
    auto inserted = text ? Lsn::parse(*text) : std::nullopt;
    if (epoch && inserted) shard->positions.note(static_cast<DbEpoch>(*epoch), *inserted, asked);
  }
  auto timer = std::make_shared<asio::steady_timer>(context_, options_.position_poll_interval);
  timer->async_wait([self = shared(), timer, id, shard = std::move(shard)](const boost::system::error_code&) mutable {
    self->poll(id, std::move(shard));
  });
}

}  // namespace

std::shared_ptr<Database> Database::create(asio::io_context& context, std::shared_ptr<const Topology> topology,
                                           DatabaseOptions options) {
  auto database = std::make_shared<DatabaseImpl>(context, std::move(options));
  database->apply(std::move(topology));
  return database;
}

}  // namespace tidemark::client
