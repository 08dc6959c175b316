// Write-around: one routed transaction, then the keys are dropped by its commit token.
#include <fmt/format.h>

#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "client/cluster/key_scatter.h"
#include "client/io/repository_impl.h"

namespace tidemark::client {
namespace {

constexpr Duration kInvalidateTimeout = std::chrono::seconds(1);

Result<std::vector<std::string>> keys_of(std::vector<Result<KeyItem>>& items) {
  std::vector<std::string> keys;
  for (auto& item : items) {
    if (!item) return std::unexpected(item.error());
    keys.push_back(item->key);
  }
  return keys;
}

}  // namespace

void RepositoryImpl::update(std::vector<Result<KeyItem>> items, std::vector<shardrouter::Statement> statements,
                            WriteOptions options, Callback<Result<Written>> done) {
  auto keys = keys_of(items);
  if (!keys) {
    boost::asio::post(cache_->context(),
                      [error = keys.error(), done = std::move(done)]() mutable { done(std::unexpected(error)); });
    return;
  }
  std::vector<Bucket> buckets;
  for (const std::string& key : *keys) buckets.push_back(bucket_of_slot(slot_of_key(key)));
  std::sort(buckets.begin(), buckets.end());
  buckets.erase(std::unique(buckets.begin(), buckets.end()), buckets.end());
  database_->async_write(
      std::move(buckets), std::move(statements), options,
      [self = shared(), keys = std::move(*keys), done = std::move(done)](Result<Written> written) mutable {
        boost::asio::dispatch(self->cache_->context(), [self, keys = std::move(keys), done = std::move(done),
                                                        written = std::move(written)]() mutable {
          self->metrics().count("writes", written ? "ok" : tidemark::to_string(written.error().code));
          // Also after a failure: of an unknown outcome nobody may join a load that began before it.
          for (const std::string& key : keys) self->flights_.detach(key);
          // Written to the link before the caller's next read of the same key can be.
          if (written) self->send_invalidations(written->token, std::move(keys), [](Result<int64_t>) {});
          done(std::move(written));
        });
      });
}

void RepositoryImpl::invalidate(CommitToken commit, std::vector<Result<KeyItem>> items,
                                Callback<Result<int64_t>> done) {
  boost::asio::post(cache_->context(),
                    [self = shared(), commit, items = std::move(items), done = std::move(done)]() mutable {
                      auto keys = keys_of(items);
                      if (!keys) return done(std::unexpected(keys.error()));
                      for (const std::string& key : *keys) self->flights_.detach(key);
                      self->send_invalidations(commit, std::move(*keys), std::move(done));
                    });
}

// One INVAL per slot. A failure is only counted (and told to whoever asked): the invalidator's stream brings the same.
void RepositoryImpl::send_invalidations(const CommitToken& commit, std::vector<std::string> keys,
                                        Callback<Result<int64_t>> done) {
  struct Gather {
    Callback<Result<int64_t>> done;
    Result<int64_t> sum = 0;
    size_t missing = 0;
  };
  if (keys.empty()) return done(0);
  const auto parts = scatter_by_slot(keys, kInvalKeysMax);
  auto gather = std::make_shared<Gather>();
  gather->done = std::move(done);
  gather->missing = parts.size();
  for (const SlotPart& part : parts) {
    std::vector<std::string_view> names;
    for (size_t index : part.indexes) names.push_back(keys[index]);
    cache_->execute(names[0], make_inval(commit.shard(), commit.db_epoch(), commit.lsn(), commit.xid(), names),
                    kInvalidateTimeout, true, [self = shared(), gather](Result<RespValue> reply) {
                      if (reply && reply->is_error()) reply = fail(ErrorCode::kAborted, reply->text);
                      self->metrics().count("invalidations", reply ? "ok" : tidemark::to_string(reply.error().code));
                      if (!reply && gather->sum) gather->sum = std::unexpected(reply.error());
                      if (reply && gather->sum) *gather->sum += reply->integer;
                      if (--gather->missing == 0) gather->done(std::move(gather->sum));
                    });
  }
}

}  // namespace tidemark::client
