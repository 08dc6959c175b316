// Uncached reads of one shard: which server, what of its answer may be believed, and when to ask another.
#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include "base/io/system_clock.h"
#include "client/io/database_impl.h"
#include "client/session_token.h"

namespace tidemark::client {

namespace asio = boost::asio;
using io::steady_now;
using shardrouter::BucketMap;
using shardrouter::RoutedRead;
using shardrouter::ShardPool;
using shardrouter::Statement;

// -------------------------------------------------------------------------------------------- one read, of both kinds
ReadPlan DatabaseImpl::plan_read(ShardId shard, const QueryOptions& options, bool primary_only) {
  ReadPlan plan;
  bool may_use_replica = options.may_use_replica && !primary_only;
  if (options.session) {
    const SessionToken token = options.session->token();
    if (const auto position = token.find(shard)) {
      plan.at_least = position->needed();
      // Also if `own` is greater: a commit below it may hang that the session has read on a standby.
      if (!position->read.is_zero()) {
        plan.freshness = shardrouter::Freshness::kSettled;
        plan.proves = position->read;
      }
    } else if (token.has_forgotten_writes()) {
      may_use_replica = false;
    }
  }
  if (!may_use_replica) return plan;
  // Also for answers of any age: it keeps the positions polled, which say how old they are.
  const auto fresh = position_at_most(shard, options.max_stale);
  if (!fresh && options.max_stale != Duration::max()) return plan;
  if (fresh && options.max_stale != Duration::max()) plan.at_least = std::max(plan.at_least, *fresh);
  const ShardPool* servers = pool(shard);
  if (servers == nullptr || !servers->has_replica(plan.at_least)) return plan;
  plan.target = ShardPool::Target::kReplica;
  plan.freshness = shardrouter::Freshness::kPlain;
  return plan;
}

Result<QuerySource> DatabaseImpl::accept_read(ShardId shard, const ReadPlan& plan, const QueryOptions& options,
                                              const RoutedRead& read, Instant asked) {
  QuerySource source;
  source.shard = shard;
  source.db_epoch = read.db_epoch;
  source.as_of = asked;
  const auto needed = options.session ? options.session->token().find(shard) : std::nullopt;
  if (needed && read.db_epoch < needed->db_epoch)
    return fail(plan.is_replica() ? ErrorCode::kAborted : ErrorCode::kUnavailable,
                fmt::format("shard {}: the server is at db_epoch {}, the session has seen {}", shard, read.db_epoch,
                            needed->db_epoch));
  if (!read.is_replica) {
    source.origin = Origin::kPrimary;
    source.position = read.upper.value_or(Lsn{});
    return source;
  }
  source.origin = Origin::kReplica;
  source.position = read.replayed;
  if (!plan.is_replica())
    return fail(ErrorCode::kUnavailable, fmt::format("shard {}: its primary in the topology is a replica", shard));
  if (needed && read.db_epoch != needed->db_epoch)
    return fail(ErrorCode::kAborted, "a new db_epoch: what survived of the session's the primary decides");
  if (needed && read.replayed < needed->needed())
    return fail(ErrorCode::kAborted, "the replica has not replayed what the session has seen");
  if (options.session && !read.upper) return fail(ErrorCode::kAborted, "the replica cannot say how new its answer is");
  const auto moment = moment_of(shard, read.db_epoch, read.replayed);
  if (options.max_stale != Duration::max() && (!moment || asked - *moment > options.max_stale))
    return fail(ErrorCode::kAborted, "the replica's answer is older than asked for");
  source.as_of = moment.value_or(Instant{});
  return source;
}

void DatabaseImpl::absorb_read(const ReadPlan& plan, const QueryOptions& options, const QuerySource& source,
                               const RoutedRead& read) {
  if (!options.session || !read.upper) return;
  const bool is_primary = source.origin == Origin::kPrimary;
  options.session->absorb_read(source.shard, source.db_epoch, *read.upper, is_primary);
  if (is_primary && plan.freshness == shardrouter::Freshness::kSettled)
    options.session->absorb_proven(source.shard, source.db_epoch, plan.proves);
}

// -------------------------------------------------------------------------------------------------- point and batch
struct DatabaseImpl::Query {
  std::vector<Bucket> buckets;
  std::vector<Statement> statements;
  QueryOptions options;
  Instant deadline;
  bool primary_only = false;
  int attempts = 0;
  int waits = 0;                   // for the end of a hand-over
  std::optional<Error> unsettled;  // why the last try was not good enough
  Callback<Result<Queried>> done;
};

void DatabaseImpl::start_query(std::vector<Bucket> buckets, std::vector<Statement> statements, QueryOptions options,
                               Callback<Result<Queried>> done) {
  auto query = std::make_shared<Query>();
  query->buckets = std::move(buckets);
  query->statements = std::move(statements);
  query->deadline = steady_now() + options.timeout;
  query->options = std::move(options);
  query->done = std::move(done);
  asio::post(context_,
             [self = shared(), query = std::move(query)]() mutable { self->attempt_query(std::move(query)); });
}

void DatabaseImpl::attempt_query(QueryPtr query) {
  ++query->attempts;
  auto route = this->route(query->buckets);
  if (!route) return query->done(std::unexpected(route.error()));
  auto target = open_pool(route->shard);
  if (!target) return query->done(std::unexpected(target.error()));
  const ReadPlan plan = plan_read(route->shard, query->options, query->primary_only);
  auto pipeline = shardrouter::make_routed_read(query->buckets, query->statements, plan.freshness);
  if (!pipeline) return query->done(std::unexpected(pipeline.error()));
  const Instant asked = steady_now();
  Duration timeout = query->deadline - asked;
  if (timeout <= Duration::zero()) {
    return query->done(std::unexpected(
        query->unsettled.value_or(Error{ErrorCode::kDeadlineExceeded, "the read was not answered in time"})));
  }
  if (plan.is_replica()) timeout /= kReplicaShare;
  (*target)->run(plan.target, plan.at_least, std::move(*pipeline), timeout,
                 [self = shared(), query = std::move(query), route = std::move(*route), plan, asked](Results results) {
                   self->on_query(query, route, plan, asked, std::move(results));
                 });
}

void DatabaseImpl::on_query(const QueryPtr& query, const Route& route, const ReadPlan& plan, Instant asked,
                            Results results) {
  if (!results) return query_again(query, route, plan, std::move(results.error()));
  auto read = shardrouter::read_routed_read(route.buckets, std::move(*results), plan.freshness);
  if (!read) return query_again(query, route, plan, std::move(read.error()));
  auto source = accept_read(route.shard, plan, query->options, *read, asked);
  if (!source) return query_again(query, route, plan, std::move(source.error()));
  absorb_read(plan, query->options, *source, *read);
  query->done(Queried{*source, std::move(read->results)});
}

void DatabaseImpl::query_again(const QueryPtr& query, const Route& route, const ReadPlan& plan, Error error) {
  auto give_up = [&] { query->done(std::unexpected(std::move(error))); };
  const auto heal = heal_route(route, error);
  // Whatever a replica cannot do the primary may; only what is wrong with the statements is wrong everywhere.
  if (plan.is_replica()) {
    if (error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kInternal) return give_up();
    query->primary_only = true;
    return attempt_query(query);
  }
  if (heal) {
    if (heal == BucketMap::Heal::kWait) {
      if (++query->waits > kHandOverWaitsMax) return give_up();
      --query->attempts;
    } else {
      if (query->attempts >= kAttemptsMax || heal == BucketMap::Heal::kRefresh) return give_up();
      return attempt_query(query);
    }
  } else if (plan.freshness != shardrouter::Freshness::kSettled || error.code != ErrorCode::kAborted) {
    return give_up();
  }
  const Duration wait = heal ? kHandOverWait : kSettleWait;
  if (!heal) error.code = ErrorCode::kUnavailable;
  if (steady_now() + wait >= query->deadline) return give_up();
  query->unsettled = error;
  after(wait, [self = shared(), query] { self->attempt_query(query); });
}

}  // namespace tidemark::client
