// Staged write-through: the row as its transaction left it, handed to the key's node after the commit.
#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/io/random_source.h"
#include "base/io/system_clock.h"
#include "client/io/repository_impl.h"
#include "client/strategy/staged_write.h"

namespace tidemark::client {
namespace {

constexpr Duration kStageTimeout = std::chrono::seconds(1);

}  // namespace

struct RepositoryImpl::ThroughWrite {
  std::string key;
  uint64_t stage = 0;
  bool is_delete = false;
  Instant start{};
};

void RepositoryImpl::write_through(Result<KeyItem> item, std::vector<shardrouter::Statement> statements,
                                   WriteOptions options, Callback<Result<RawWrittenThrough>> done) {
  auto refuse = [&](Error error) {
    boost::asio::post(cache_->context(), [error = std::move(error), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(error)));
    });
  };
  if (!item) return refuse(item.error());
  if (statements.empty()) {
    return refuse({ErrorCode::kInvalidArgument, "a write-through of no statement: the last one returns the key's row"});
  }
  ThroughWrite write{.key = std::move(item->key), .stage = io::random_u64(), .start = io::steady_now()};
  auto staged = stage_statement(std::move(statements.back()), write.key, write.stage);
  if (!staged) return refuse(staged.error());
  write.is_delete = staged->is_delete;
  statements.back() = std::move(staged->statement);
  const std::vector<Bucket> buckets{bucket_of_slot(slot_of_key(write.key))};
  database_->async_write(
      buckets, std::move(statements), options,
      [self = shared(), write = std::move(write), done = std::move(done)](Result<Written> written) mutable {
        boost::asio::dispatch(self->cache_->context(), [self, write = std::move(write), done = std::move(done),
                                                        written = std::move(written)]() mutable {
          self->metrics().count("writes", written ? "ok" : tidemark::to_string(written.error().code));
          // Also after a failure: of an unknown outcome nobody may join a load that began before it.
          self->flights_.detach(write.key);
          done(self->on_written_through(write, std::move(written)));
        });
      });
}

// What goes to the node is written to its link before the caller's next read of the key can be.
Result<RawWrittenThrough> RepositoryImpl::on_written_through(const ThroughWrite& write, Result<Written> written) {
  if (!written) return std::unexpected(std::move(written.error()));
  RawWrittenThrough result{written->token, false, nullptr, write.start, std::move(written->results)};
  shardrouter::ResultSet& last = result.results.back();
  drop_staged_column(last);
  auto loaded = object_of_row(write, last);
  if (!loaded || !*loaded) {
    metrics().count("staged", loaded ? "no_row" : "not_row");
    send_invalidations(result.token, {write.key}, [](Result<int64_t>) {});
    if (!loaded) {
      return fail(ErrorCode::kInternal,
                  fmt::format("the write was committed, but the row that it returned is not that of '{}': {}",
                              write.key, loaded.error().to_string()));
    }
    return result;
  }
  result.has_row = true;
  result.object = std::move((*loaded)->object);
  send_stage(write, result.token, std::move((*loaded)->bytes), write.is_delete);
  return result;
}

// Nothing: no row was returned. An empty object: the row returned is deleted.
Result<std::optional<LoadedObject>> RepositoryImpl::object_of_row(const ThroughWrite& write,
                                                                  const shardrouter::ResultSet& set) const {
  if (set.rows.empty()) return std::nullopt;
  if (set.rows.size() > 1)
    return fail(ErrorCode::kInternal, fmt::format("the statement returned {} rows", set.rows.size()));
  const Row row(set, 0);
  auto key = key_of_row(row);
  if (!key) return std::unexpected(std::move(key.error()));
  if (*key != write.key) return fail(ErrorCode::kInternal, fmt::format("the row returned is that of '{}'", *key));
  if (write.is_delete) return LoadedObject{};
  auto loaded = source_.from_rows(std::span(&row, 1));
  if (!loaded) return std::unexpected(loaded.error().with_context("family " + source_.family.name));
  return std::move(*loaded);
}

// A failure is only counted: the invalidator's stream drops the key in any case. A node that refuses the value itself
// (it may be too large for it) still takes INVAL.
void RepositoryImpl::send_stage(const ThroughWrite& write, const CommitToken& commit, std::string bytes,
                                bool is_absent) {
  const Stage stage{.shard = commit.shard(),
                    .db_epoch = commit.db_epoch(),
                    .lsn = commit.lsn(),
                    .xid = commit.xid(),
                    .stage = write.stage,
                    .key = write.key,
                    .value = bytes,
                    .is_absent = is_absent};
  metrics().count("staged", "sent");
  cache_->execute(write.key, make_stage(stage), kStageTimeout, true,
                  [self = shared(), commit, key = write.key](Result<RespValue> reply) mutable {
                    if (!reply) return self->metrics().count("staged", "failed");
                    const StageVerdict verdict = parse_stage(*reply);
                    self->metrics().count("staged", to_string(verdict));
                    if (verdict == StageVerdict::kRefused)
                      self->send_invalidations(commit, {std::move(key)}, [](Result<int64_t>) {});
                  });
}

}  // namespace tidemark::client
