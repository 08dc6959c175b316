// Staged write-through: the row as its transaction left it, handed to the key's node after the commit.
#include <fmt/format.h>

#include <set>

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

Status check_keys(const std::vector<Result<KeyItem>>& items, size_t statements) {
  for (const auto& item : items) {
    if (!item) return std::unexpected(item.error());
  }
  if (items.empty() || items.size() > kInvalKeysMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a write-through of {} keys: 1 to {}", items.size(), kInvalKeysMax));
  }
  if (statements < items.size()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a write-through of {} keys with {} statements: the last ones each return a key's row",
                            items.size(), statements));
  }
  std::set<std::string_view> keys;
  for (const auto& item : items) {
    if (!keys.insert(item->key).second)
      return fail(ErrorCode::kInvalidArgument, fmt::format("key '{}' stands twice in one write-through", item->key));
  }
  return {};
}

}  // namespace

void RepositoryImpl::write_through(std::vector<Result<KeyItem>> items, Transaction transaction, WriteOptions options,
                                   Callback<Result<RawWrittenThrough>> done) {
  auto refuse = [&](Error error) {
    boost::asio::post(cache_->context(), [error = std::move(error), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(error)));
    });
  };
  if (Status checked = check_keys(items, transaction.statement_count()); !checked) return refuse(checked.error());
  std::vector<StagedRow> rows;
  const size_t first = transaction.statement_count() - items.size();
  for (size_t i = 0; i < items.size(); ++i) {
    StagedRow row{std::move(items[i]->key), io::random_u64()};
    auto staged = stage_statement(transaction.statements()[first + i], row.key, row.stage);
    if (!staged) return refuse(staged.error());
    transaction.replace(first + i, std::move(staged->statement));
    transaction.touch(bucket_of_slot(slot_of_key(row.key)));
    row.is_delete = staged->is_delete;
    rows.push_back(std::move(row));
  }
  auto on_written = [self = shared(), rows = std::move(rows), start = io::steady_now(),
                     done = std::move(done)](Result<Written> written) mutable {
    boost::asio::dispatch(self->cache_->context(), [self, rows = std::move(rows), start, done = std::move(done),
                                                    written = std::move(written)]() mutable {
      self->metrics().count("writes", written ? "ok" : tidemark::to_string(written.error().code));
      // Also after a failure: of an unknown outcome nobody may join a load that began before it.
      for (const StagedRow& row : rows) self->flights_.detach(row.key);
      done(self->on_written_through(rows, start, std::move(written)));
    });
  };
  database_->async_commit(std::move(transaction), options, std::move(on_written));
}

// What goes to the nodes is written to their links before the caller's next read of the keys can be.
Result<RawWrittenThrough> RepositoryImpl::on_written_through(const std::vector<StagedRow>& rows, Instant start,
                                                             Result<Written> written) {
  if (!written) return std::unexpected(std::move(written.error()));
  RawWrittenThrough result{written->token, {}, start, std::move(written->results)};
  std::vector<std::string> unstaged;
  std::optional<Error> error;
  for (size_t i = 0; i < rows.size(); ++i) {
    shardrouter::ResultSet& set = result.results[result.results.size() - rows.size() + i];
    drop_staged_column(set);
    auto loaded = object_of_row(rows[i], set);
    if (loaded && *loaded) {
      send_stage(rows[i], result.token, (*loaded)->bytes);
      result.rows.push_back({true, std::move((*loaded)->object)});
      continue;
    }
    metrics().count("staged", loaded ? "no_row" : "not_row");
    unstaged.push_back(rows[i].key);
    result.rows.emplace_back();
    if (!loaded && !error) {
      error = Error{ErrorCode::kInternal,
                    fmt::format("the write was committed, but the row that it returned is not that of '{}': {}",
                                rows[i].key, loaded.error().to_string())};
    }
  }
  send_invalidations(result.token, std::move(unstaged), [](Result<int64_t>) {});
  if (error) return std::unexpected(std::move(*error));
  return result;
}

// Nothing: no row was returned. An empty object: the row returned is deleted.
Result<std::optional<LoadedObject>> RepositoryImpl::object_of_row(const StagedRow& expected,
                                                                  const shardrouter::ResultSet& set) const {
  if (set.rows.empty()) return std::nullopt;
  if (set.rows.size() > 1)
    return fail(ErrorCode::kInternal, fmt::format("the statement returned {} rows", set.rows.size()));
  const Row row(set, 0);
  auto key = key_of_row(row);
  if (!key) return std::unexpected(std::move(key.error()));
  if (*key != expected.key) return fail(ErrorCode::kInternal, fmt::format("the row returned is that of '{}'", *key));
  if (expected.is_delete) return LoadedObject{};
  auto loaded = source_.from_rows(std::span(&row, 1));
  if (!loaded) return std::unexpected(loaded.error().with_context("family " + source_.family.name));
  return std::move(*loaded);
}

// A failure is only counted: the invalidator's stream drops the key in any case. A node that refuses the value itself
// (it may be too large for it) still takes INVAL.
void RepositoryImpl::send_stage(const StagedRow& row, const CommitToken& commit, const std::string& bytes) {
  const Stage stage{.shard = commit.shard(),
                    .db_epoch = commit.db_epoch(),
                    .lsn = commit.lsn(),
                    .xid = commit.xid(),
                    .stage = row.stage,
                    .key = row.key,
                    .value = bytes,
                    .is_absent = row.is_delete};
  metrics().count("staged", "sent");
  cache_->execute(row.key, make_stage(stage), kStageTimeout, true,
                  [self = shared(), commit, key = row.key](Result<RespValue> reply) mutable {
                    if (!reply) return self->metrics().count("staged", "failed");
                    const StageVerdict verdict = parse_stage(*reply);
                    self->metrics().count("staged", to_string(verdict));
                    if (verdict == StageVerdict::kRefused)
                      self->send_invalidations(commit, {std::move(key)}, [](Result<int64_t>) {});
                  });
}

}  // namespace tidemark::client
