#include "client/database.h"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/io/system_clock.h"
#include "base/parse.h"
#include "client/io/database_impl.h"
#include "client/row.h"

namespace tidemark::client {

namespace asio = boost::asio;
using io::steady_now;
using shardrouter::BucketMap;
using shardrouter::BucketRefusal;
using shardrouter::Pipeline;
using shardrouter::ResultSet;
using shardrouter::ShardPool;
using shardrouter::Statement;

namespace {

constexpr Duration kPollWhileWanted = std::chrono::seconds(5);  // positions are polled so long after the last use
constexpr Duration kPollTimeout = std::chrono::seconds(1);
constexpr std::string_view kPositionSql =
    "SELECT (SELECT e FROM tidemark.epoch) AS e, "
    "CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() END::text AS inserted";

// The refusal's message says "bucket 17 at epoch 3 is not owned here".
std::optional<Bucket> refused_bucket(const Error& error, const std::vector<shardrouter::BucketAtEpoch>& buckets) {
  if (buckets.size() == 1) return buckets[0].bucket;
  constexpr std::string_view kBefore = "bucket ";
  const size_t at = error.message.find(kBefore);
  if (at == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(error.message).substr(at + kBefore.size());
  auto number = parse_u64(rest.substr(0, rest.find(' ')));
  if (!number || *number >= kBucketCount) return std::nullopt;
  return static_cast<Bucket>(*number);
}

}  // namespace

DatabaseImpl::DatabaseImpl(asio::io_context& context, DatabaseOptions options)
    : context_(context), options_(std::move(options)) {
  if (!options_.make_pool) {
    options_.make_pool = [this](const Shard& shard) { return ShardPool::create(context_, shard, options_.pool); };
  }
}

// ------------------------------------------------------------------------------------------------------------ topology
void DatabaseImpl::set_topology(std::shared_ptr<const Topology> topology) {
  if (topology == nullptr) return;
  asio::dispatch(context_,
                 [self = shared(), topology = std::move(topology)]() mutable { self->apply(std::move(topology)); });
}

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

void DatabaseImpl::close() {
  is_closed_ = true;
  for (auto& [id, shard] : shards_) shard->pool->close();
}

std::vector<ShardId> DatabaseImpl::shards() const {
  std::vector<ShardId> ids;
  for (const auto& [id, shard] : shards_) ids.push_back(id);
  return ids;
}

ShardPool* DatabaseImpl::pool(ShardId shard) {
  auto found = shards_.find(shard);
  return found == shards_.end() ? nullptr : found->second->pool.get();
}

Result<ShardPool*> DatabaseImpl::open_pool(ShardId shard) {
  ShardPool* found = pool(shard);
  if (is_closed_) return fail(ErrorCode::kUnavailable, "the database is closed");
  if (found == nullptr)
    return fail(ErrorCode::kFailedPrecondition, fmt::format("shard {} is not in the topology", shard));
  return found;
}

// ------------------------------------------------------------------------------------------------------------- routing
Result<DatabaseImpl::Route> DatabaseImpl::route(const std::vector<Bucket>& buckets) const {
  Route route;
  route.buckets.reserve(buckets.size());
  for (Bucket bucket : buckets) {
    auto owner = map_.find(bucket);
    if (!owner)
      return fail(ErrorCode::kFailedPrecondition, fmt::format("bucket {} has no shard in the topology", bucket));
    if (!route.buckets.empty() && route.shard != owner->shard) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("bucket {} lies on shard {}, bucket {} on shard {}: one transaction or read cannot span "
                              "them; use a saga (one transaction per shard, with compensation), or a scatter read",
                              route.buckets[0].bucket, route.shard, bucket, owner->shard));
    }
    route.shard = owner->shard;
    route.buckets.push_back({bucket, owner->epoch});
  }
  return route;
}

BucketMap::Heal DatabaseImpl::heal_map(Bucket bucket, BucketOwner asked, const BucketRefusal& refusal) {
  auto heal = map_.heal(bucket, asked.shard, asked.epoch, refusal);
  if (heal == BucketMap::Heal::kRefresh && stale_topology_) stale_topology_();
  return heal;
}

std::optional<BucketMap::Heal> DatabaseImpl::heal_route(const Route& route, const Error& error) {
  auto refusal = shardrouter::refusal_of(error);
  if (!refusal) return std::nullopt;
  auto bucket = refused_bucket(error, route.buckets);
  if (!bucket) return std::nullopt;
  // With the epoch that was sent: the map may know a newer one by now, from another answer.
  for (const auto& sent : route.buckets)
    if (sent.bucket == *bucket) return heal_map(*bucket, {route.shard, sent.epoch}, *refusal);
  return std::nullopt;
}

void DatabaseImpl::after(Duration delay, std::move_only_function<void()> work) {
  auto timer = std::make_shared<asio::steady_timer>(context_, delay);
  timer->async_wait([timer, work = std::move(work)](const boost::system::error_code&) mutable { work(); });
}

bool DatabaseImpl::begin_fallback(ShardId shard) {
  auto found = shards_.find(shard);
  if (found == shards_.end() || found->second->fallbacks >= options_.fallbacks_per_shard_max) return false;
  ++found->second->fallbacks;
  return true;
}

void DatabaseImpl::end_fallback(ShardId shard) {
  auto found = shards_.find(shard);
  if (found != shards_.end() && found->second->fallbacks > 0) --found->second->fallbacks;
}

// ----------------------------------------------------------------------------------------------------------- positions
std::optional<Instant> DatabaseImpl::moment_of(ShardId shard, DbEpoch db_epoch, Lsn replayed) const {
  auto found = shards_.find(shard);
  return found == shards_.end() ? std::nullopt : found->second->positions.moment_of(db_epoch, replayed);
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
           [self = shared(), id, shard = std::move(shard), asked = steady_now()](Results results) {
             self->on_position(id, shard, asked, std::move(results));
           });
}

void DatabaseImpl::on_position(ShardId id, std::shared_ptr<ShardState> shard, Instant asked, Results results) {
  if (results && results->size() == 1 && (*results)[0].rows.size() == 1) {
    const Row row((*results)[0], 0);
    auto epoch = row.integer("e");
    auto text = row.find("inserted");
    auto inserted = text ? Lsn::parse(*text) : std::nullopt;
    if (epoch && inserted) shard->positions.note(static_cast<DbEpoch>(*epoch), *inserted, asked);
  }
  after(options_.position_poll_interval,
        [self = shared(), id, shard = std::move(shard)]() mutable { self->poll(id, std::move(shard)); });
}

std::shared_ptr<Database> Database::create(asio::io_context& context, std::shared_ptr<const Topology> topology,
                                           DatabaseOptions options) {
  auto database = std::make_shared<DatabaseImpl>(context, std::move(options));
  database->apply(std::move(topology));
  return database;
}

}  // namespace tidemark::client
