// Reads of all shards: every part in parallel, then the proof that the parts are the whole, then the merge.
#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include "base/io/system_clock.h"
#include "client/io/database_impl.h"
#include "shardrouter/sql/scatter_read.h"

namespace tidemark::client {

namespace asio = boost::asio;
using io::steady_now;
using shardrouter::ScatterPart;
using shardrouter::Statement;

struct DatabaseImpl::Part {
  ReadPlan plan{};
  ShardId shard = 0;
  QuerySource source;
  ScatterPart answer;
};

struct DatabaseImpl::Scatter {
  Statement statement;  // as every shard runs it
  std::vector<shardrouter::OrderColumn> order_by;
  size_t limit = 0;
  QueryOptions options;
  Instant deadline;
  bool primary_only = false;
  int attempts = 0;
  std::optional<Error> unsettled;  // why the last try was not good enough
  uint64_t round = 0;              // answers of a round that was given up are dropped
  std::vector<Part> parts;
  size_t parts_missing = 0;
  Callback<Result<Scattered>> done;

  void finish(Result<Scattered> result) {
    ++round;
    if (done) std::exchange(done, nullptr)(std::move(result));
  }
};

void DatabaseImpl::start_scatter(ScatterQuery query, QueryOptions options, Callback<Result<Scattered>> done) {
  auto scatter = std::make_shared<Scatter>();
  scatter->done = std::move(done);
  scatter->deadline = steady_now() + options.timeout;
  scatter->options = std::move(options);
  scatter->limit = query.limit;
  auto sql = shardrouter::scatter_sql(query.sql, query.order_by, query.params.size());
  if (sql && (query.limit == 0 || query.limit > shardrouter::kScatterRowsMax))
    sql = fail(ErrorCode::kInvalidArgument,
               fmt::format("a scatter read's limit is 1 to {}, not {}", shardrouter::kScatterRowsMax, query.limit));
  scatter->order_by = std::move(query.order_by);
  if (sql) {
    query.params.emplace_back(std::to_string(query.limit));
    scatter->statement = {std::move(*sql), std::move(query.params)};
  }
  asio::post(context_, [self = shared(), scatter, error = sql ? std::optional<Error>() : sql.error()] {
    if (error) return scatter->finish(std::unexpected(*error));
    self->attempt_scatter(scatter);
  });
}

void DatabaseImpl::attempt_scatter(ScatterPtr scatter) {
  ++scatter->attempts;
  ++scatter->round;
  scatter->parts.clear();
  for (ShardId shard : shards()) scatter->parts.push_back({.shard = shard, .source = {}, .answer = {}});
  scatter->parts_missing = scatter->parts.size();
  if (scatter->parts.empty())
    return scatter->finish(fail(ErrorCode::kFailedPrecondition, "the topology has no shards"));
  for (size_t i = 0; i < scatter->parts.size() && scatter->done; ++i) ask_part(scatter, i, scatter->primary_only);
}

void DatabaseImpl::ask_part(const ScatterPtr& scatter, size_t index, bool primary_only) {
  const ShardId shard = scatter->parts[index].shard;
  auto target = open_pool(shard);
  if (!target) return scatter->finish(std::unexpected(target.error()));
  const ReadPlan plan = plan_read(shard, scatter->options, primary_only);
  const Instant asked = steady_now();
  Duration timeout = scatter->deadline - asked;
  if (timeout <= Duration::zero()) {
    return scatter->finish(std::unexpected(
        scatter->unsettled.value_or(Error{ErrorCode::kDeadlineExceeded, "the scatter read was not answered in time"})));
  }
  if (plan.is_replica()) timeout /= kReplicaShare;
  (*target)->run(plan.target, plan.at_least, shardrouter::make_scatter_read(scatter->statement, plan.freshness),
                 timeout, [self = shared(), scatter, index, plan, asked, round = scatter->round](Results results) {
                   if (round == scatter->round) self->on_part(scatter, index, plan, asked, std::move(results));
                 });
}

void DatabaseImpl::on_part(const ScatterPtr& scatter, size_t index, const ReadPlan& plan, Instant asked,
                           Results results) {
  if (!results) return on_part_failed(scatter, index, plan, std::move(results.error()));
  auto answer = shardrouter::read_scatter_part(std::move(*results), plan.freshness);
  if (!answer) return on_part_failed(scatter, index, plan, std::move(answer.error()));
  Part& part = scatter->parts[index];
  auto source = accept_read(part.shard, plan, scatter->options, answer->read, asked);
  if (!source) return on_part_failed(scatter, index, plan, std::move(source.error()));
  part.plan = plan;
  part.source = *source;
  part.answer = std::move(*answer);
  if (--scatter->parts_missing == 0) finish_scatter(scatter);
}

void DatabaseImpl::on_part_failed(const ScatterPtr& scatter, size_t index, const ReadPlan& plan, Error error) {
  const ShardId shard = scatter->parts[index].shard;
  auto give_up = [&] { scatter->finish(std::unexpected(error.with_context(fmt::format("shard {}", shard)))); };
  if (plan.is_replica()) {
    if (error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kInternal) return give_up();
    return ask_part(scatter, index, /*primary_only=*/true);
  }
  if (plan.freshness != shardrouter::Freshness::kSettled || error.code != ErrorCode::kAborted) return give_up();
  error.code = ErrorCode::kUnavailable;
  if (steady_now() + kSettleWait >= scatter->deadline) return give_up();
  scatter->unsettled = error;
  after(kSettleWait, [self = shared(), scatter, index, round = scatter->round] {
    if (round == scatter->round) self->ask_part(scatter, index, /*primary_only=*/true);
  });
}

void DatabaseImpl::finish_scatter(const ScatterPtr& scatter) {
  std::vector<std::vector<shardrouter::BucketRange>> owned;
  for (const Part& part : scatter->parts) owned.push_back(part.answer.owned);
  if (const auto gap = shardrouter::find_gap(owned)) return scatter_again(scatter, *gap);
  std::vector<shardrouter::ResultSet> sets;
  for (Part& part : scatter->parts) sets.push_back(std::move(part.answer.read.results[0]));
  auto rows = shardrouter::merge_scattered(std::move(sets), scatter->order_by, scatter->limit);
  if (!rows) return scatter->finish(std::unexpected(rows.error()));
  Scattered scattered{.rows = std::move(*rows), .sources = {}};
  for (const Part& part : scatter->parts) {
    absorb_read(part.plan, scatter->options, part.source, part.answer.read);
    scattered.sources.push_back(part.source);
  }
  scatter->finish(std::move(scattered));
}

// A bucket on its way, a replica behind a move, or a shard that our topology does not know yet.
void DatabaseImpl::scatter_again(const ScatterPtr& scatter, const shardrouter::OwnershipGap& gap) {
  if (stale_topology_) stale_topology_();
  scatter->primary_only = true;
  scatter->unsettled =
      Error{ErrorCode::kUnavailable,
            fmt::format("buckets {} to {} are owned by {} shards after {} tries: no answer rather than a wrong one",
                        gap.buckets.begin, gap.buckets.end - 1, gap.owners, scatter->attempts)};
  if (scatter->attempts >= kScatterAttemptsMax || steady_now() + kHandOverWait >= scatter->deadline)
    return scatter->finish(std::unexpected(*scatter->unsettled));
  after(kHandOverWait, [self = shared(), scatter] { self->attempt_scatter(scatter); });
}

}  // namespace tidemark::client
