#include "services/session/session_store.h"

#include <algorithm>
#include <utility>

namespace tidemark::session {
namespace {

using client::Callback;
using client::WriteOptions;
using Through = Result<client::WrittenThrough<pb::Session>>;

// Reads what select_ended and delete_ended gave.
Result<std::vector<EndedSession>> ended_of(const shardrouter::ResultSet& set) {
  std::vector<EndedSession> ended;
  for (size_t i = 0; i < set.rows.size(); ++i) {
    const client::Row row(set, i);
    auto bucket = row.integer("bucket");
    auto digest = row.text("token_digest");
    if (!bucket) return std::unexpected(bucket.error());
    if (!digest) return std::unexpected(digest.error());
    ended.push_back({static_cast<Bucket>(*bucket), std::string(*digest)});
  }
  return ended;
}

Result<std::optional<int64_t>> deleted_of(const shardrouter::ResultSet& set) {
  if (set.rows.size() != 1) return fail(ErrorCode::kInternal, "the sweep's statement did not give one row");
  const client::Row row(set, 0);
  auto is_mine = row.boolean("is_mine");
  auto deleted = row.integer("deleted");
  if (!is_mine) return std::unexpected(is_mine.error());
  if (!deleted) return std::unexpected(deleted.error());
  return *is_mine ? std::optional(*deleted) : std::nullopt;
}

class RepositoryStore : public SessionStore {
 public:
  RepositoryStore(std::shared_ptr<client::CacheClient> cache, std::shared_ptr<client::Database> database)
      : cache_(cache),
        database_(database),
        sessions_(std::move(cache), std::move(database),
                  {.sql = kSelectSession,
                   .batch_sql = kSelectSessions,
                   .from_rows = client::one_row<pb::Session>(session_of_row)}) {}

  void get(std::string digest, client::ReadOptions options, Callback<SessionAnswer> done) override {
    sessions_.async_get({std::move(digest)}, options, std::move(done));
  }

  void create(std::string digest, pb::Session session, WriteOptions options,
              Callback<Result<pb::Session>> done) override {
    write_through(digest, insert_session(digest, session), options, [done = std::move(done)](Through written) mutable {
      if (!written) return done(std::unexpected(written.error()));
      if (!written->value) return done(fail(ErrorCode::kInternal, "the INSERT of a session gave no row"));
      done(written->value->value());
    });
  }

  void touch(std::string digest, UnixMillis now, WriteOptions options,
             Callback<Result<std::optional<pb::Session>>> done) override {
    write_through(digest, touch_session(digest, now), options, [done = std::move(done)](Through written) mutable {
      if (!written) return done(std::unexpected(written.error()));
      if (!written->value) return done(std::nullopt);
      done(written->value->value());
    });
  }

  void revoke(std::string digest, WriteOptions options, Callback<Result<bool>> done) override {
    write_through(digest, delete_session(digest), options, [done = std::move(done)](Through written) mutable {
      if (!written) return done(std::unexpected(written.error()));
      done(written->value.has_value());
    });
  }

  std::vector<ShardId> shards() override {
    std::vector<ShardId> ids;
    for (const Shard& shard : cache_->topology()->shards) ids.push_back(shard.id);
    return ids;
  }

  void find_ended(ShardId shard, UnixMillis now, size_t limit, Duration timeout,
                  Callback<Result<std::vector<EndedSession>>> done) override {
    std::vector<shardrouter::Statement> statements{select_ended(now, limit)};
    database_->async_on_shard(shard, std::move(statements), timeout,
                              [done = std::move(done)](Result<std::vector<shardrouter::ResultSet>> results) mutable {
                                if (!results) return done(std::unexpected(results.error()));
                                done(ended_of(results->at(0)));
                              });
  }

  void delete_ended(std::vector<EndedSession> ended, UnixMillis now, Duration timeout,
                    Callback<Result<std::optional<int64_t>>> done) override {
    std::vector<Bucket> buckets;
    for (const EndedSession& session : ended) buckets.push_back(session.bucket);
    std::ranges::sort(buckets);
    buckets.erase(std::ranges::unique(buckets).begin(), buckets.end());
    std::vector<shardrouter::Statement> statements{session::delete_ended(ended, now)};
    // No key is dropped by hand: the entries say themselves that they have ended, and the stream drops them.
    database_->async_write(std::move(buckets), std::move(statements), {.timeout = timeout},
                           [done = std::move(done)](Result<client::Written> written) mutable {
                             if (!written) return done(std::unexpected(written.error()));
                             done(deleted_of(written->results.at(0)));
                           });
  }

 private:
  template <typename Handler>
  void write_through(const std::string& digest, shardrouter::Statement statement, WriteOptions options,
                     Handler on_written) {
    std::vector<shardrouter::Statement> statements{std::move(statement)};
    sessions_.async_write_through({digest}, std::move(statements), options, std::move(on_written));
  }

  std::shared_ptr<client::CacheClient> cache_;
  std::shared_ptr<client::Database> database_;
  client::Repository<SessionByDigest> sessions_;
};

}  // namespace

std::shared_ptr<SessionStore> make_session_store(std::shared_ptr<client::CacheClient> cache,
                                                 std::shared_ptr<client::Database> database) {
  return std::make_shared<RepositoryStore>(std::move(cache), std::move(database));
}

}  // namespace tidemark::session
