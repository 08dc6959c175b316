// The sessions as their service sees them; the real store stands on Repository<SessionByDigest>, keys are digests.
//
// Threads: every member from any thread; handlers run on the client library's loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cached.h"
#include "client/completion.h"
#include "client/repository.h"
#include "services/session/session_sql.h"

namespace tidemark::session {

using SessionAnswer = Result<client::Cached<pb::Session>>;  // no token in it

class SessionStore {
 public:
  virtual ~SessionStore() = default;

  virtual void get(std::string digest, client::ReadOptions options, client::Callback<SessionAnswer> done) = 0;
  virtual void create(std::string digest, pb::Session session, client::WriteOptions options,
                      client::Callback<Result<pb::Session>> done) = 0;
  // The session after the touch; nothing: there is none, it has ended, or it was touched less than kTouchInterval ago.
  virtual void touch(std::string digest, UnixMillis now, client::WriteOptions options,
                     client::Callback<Result<std::optional<pb::Session>>> done) = 0;
  // False: there was none.
  virtual void revoke(std::string digest, client::WriteOptions options, client::Callback<Result<bool>> done) = 0;

  // The sweep, shard by shard.
  virtual std::vector<ShardId> shards() = 0;
  virtual void find_ended(ShardId shard, UnixMillis now, size_t limit, Duration timeout,
                          client::Callback<Result<std::vector<EndedSession>>> done) = 0;
  // How many were deleted; nothing: another sweeper is at work on that shard. One guarded transaction: rows whose
  // buckets have left the shard fail it (kFailedPrecondition).
  virtual void delete_ended(std::vector<EndedSession> ended, UnixMillis now, Duration timeout,
                            client::Callback<Result<std::optional<int64_t>>> done) = 0;
};

std::shared_ptr<SessionStore> make_session_store(std::shared_ptr<client::CacheClient> cache,
                                                 std::shared_ptr<client::Database> database);

}  // namespace tidemark::session
