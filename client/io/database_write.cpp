// Routed writes: guard, statements, commit token, in one round trip; again after a refusal.
#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include "base/io/system_clock.h"
#include "client/io/database_impl.h"
#include "client/session_token.h"
#include "shardrouter/sql/routed_write.h"

namespace tidemark::client {

namespace asio = boost::asio;
using io::steady_now;
using shardrouter::BucketMap;
using shardrouter::ShardPool;
using shardrouter::Statement;

class CommitTokenMaker {
 public:
  static CommitToken make(const shardrouter::CommitToken& token) {
    return CommitToken(token.shard, token.db_epoch, token.lsn, token.xid);
  }
};

struct DatabaseImpl::Write {
  std::vector<Bucket> buckets;
  std::vector<Statement> statements;
  size_t result_count = 0;  // of the caller's own statements, which come first
  Instant deadline;
  std::shared_ptr<Session> session;
  int attempts = 0;
  int waits = 0;  // for the end of a hand-over
  Callback<Result<Written>> done;
};

void DatabaseImpl::start_write(std::vector<Bucket> buckets, std::vector<Statement> statements, WriteOptions options,
                               Callback<Result<Written>> done) {
  auto write = std::make_shared<Write>();
  write->buckets = std::move(buckets);
  write->result_count = statements.size();
  write->statements = std::move(statements);
  write->deadline = steady_now() + options.timeout;
  write->session = std::move(options.session);
  write->done = std::move(done);
  asio::post(context_, [self = shared(), write]() mutable { self->attempt(std::move(write)); });
}

void DatabaseImpl::start_commit(Transaction transaction, WriteOptions options, Callback<Result<Written>> done) {
  auto write = std::make_shared<Write>();
  write->buckets = transaction.buckets();
  write->result_count = transaction.statement_count();
  auto statements = std::move(transaction).take_statements();
  write->deadline = steady_now() + options.timeout;
  write->session = std::move(options.session);
  write->done = std::move(done);
  if (statements) write->statements = std::move(*statements);
  asio::post(context_, [self = shared(), write, error = statements ? std::optional<Error>() : statements.error()] {
    if (error) return write->done(std::unexpected(*error));
    self->attempt(write);
  });
}

void DatabaseImpl::attempt(WritePtr write) {
  ++write->attempts;
  auto route = this->route(write->buckets);
  if (!route) return write->done(std::unexpected(route.error()));
  auto target = open_pool(route->shard);
  if (!target) return write->done(std::unexpected(target.error()));
  if (write->session)  // another service may have seen a promotion before us
    if (const auto position = write->session->token().find(route->shard)) (*target)->note_db_epoch(position->db_epoch);
  auto pipeline = shardrouter::make_routed_write(route->buckets, write->statements, (*target)->db_epoch_floor());
  if (!pipeline) return write->done(std::unexpected(pipeline.error()));
  const Duration timeout = write->deadline - steady_now();
  if (timeout <= Duration::zero())
    return write->done(fail(ErrorCode::kDeadlineExceeded, "the write was not sent in time"));
  (*target)->run(ShardPool::Target::kPrimary, {}, std::move(*pipeline), timeout,
                 [self = shared(), write, route = std::move(*route)](Results results) {
                   self->on_written(write, route, std::move(results));
                 });
}

void DatabaseImpl::on_written(const WritePtr& write, const Route& route, Results results) {
  if (!results) {
    if (!try_again(write, route, results.error())) write->done(std::unexpected(std::move(results.error())));
    return;
  }
  auto written = shardrouter::read_routed_write(route.shard, std::move(*results));
  if (!written) return write->done(std::unexpected(std::move(written.error())));
  const CommitToken token = CommitTokenMaker::make(written->token);
  if (ShardPool* pool = this->pool(route.shard)) pool->note_db_epoch(token.db_epoch());
  if (write->session) write->session->absorb(token);
  written->results.resize(std::min(written->results.size(), write->result_count));
  write->done(Written{token, std::move(written->results)});
}

// Only a refusal by the guard: then nothing was done.
bool DatabaseImpl::try_again(const WritePtr& write, const Route& route, const Error& error) {
  const auto heal = heal_route(route, error);
  if (!heal || (heal != BucketMap::Heal::kWait && write->attempts >= kAttemptsMax)) return false;
  switch (*heal) {
    case BucketMap::Heal::kRetry:
      attempt(write);
      return true;
    case BucketMap::Heal::kRefresh:
      return false;
    case BucketMap::Heal::kWait:
      break;
  }
  if (++write->waits > kHandOverWaitsMax || steady_now() + kHandOverWait >= write->deadline) return false;
  --write->attempts;
  after(kHandOverWait, [self = shared(), write] { self->attempt(write); });
  return true;
}

void DatabaseImpl::start_on_shard(ShardId shard, std::vector<Statement> statements, Duration timeout,
                                  Callback<Result<std::vector<shardrouter::ResultSet>>> done) {
  asio::post(context_,
             [self = shared(), shard, statements = std::move(statements), timeout, done = std::move(done)]() mutable {
               if (statements.empty()) return done(fail(ErrorCode::kInvalidArgument, "there is no statement to run"));
               auto target = self->open_pool(shard);
               if (!target) return done(std::unexpected(target.error()));
               shardrouter::Pipeline pipeline;
               pipeline.groups.push_back(std::move(statements));
               (*target)->run(ShardPool::Target::kPrimary, {}, std::move(pipeline), timeout, std::move(done));
             });
}

}  // namespace tidemark::client
