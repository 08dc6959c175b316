// The untyped part of Repository<F>: keys as text, values as shared objects and bytes. Services use repository.h.
//
// Threads: every member from any thread; it goes over to the context's thread first.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/family/family.h"
#include "base/family/key_pattern.h"
#include "base/result.h"
#include "client/cache_client.h"
#include "client/cached.h"
#include "client/completion.h"
#include "client/database.h"
#include "client/row.h"

namespace tidemark::client {

inline constexpr Duration kAnyStaleness = Duration::max();

struct ReadOptions {
  Duration timeout = std::chrono::seconds(1);  // of the whole operation, from the call
  std::optional<Duration> max_stale{};         // the family's kMaxStale; kAnyStaleness: also answers of unknown age
  bool is_cache_bypassed = false;              // straight from the database, nothing is filled
  bool may_use_replica = true;
  // Read your writes, and never backwards (client/session_token.h): the answer contains what the session has written
  // and read so far, and is absorbed. kUnavailable: nobody could prove it in time.
  std::shared_ptr<Session> session{};
};

struct RepositoryOptions {
  // A replica is only loaded from when it is at most this far behind (and within max_stale): loads stay near to now.
  Duration replica_stale_max = std::chrono::seconds(1);
  Duration node_timeout = std::chrono::milliseconds(50);    // of one GETL; then the database answers
  Duration busy_wait_max = std::chrono::milliseconds(100);  // in all, for another client's load of the same key
  Duration fill_timeout = std::chrono::seconds(1);
  // A session waits so long for a replica that is nearly there, then the primary is asked; zero: at once.
  Duration session_replica_wait_max = std::chrono::milliseconds(10);
  // So long the primary is asked again for what the session has read elsewhere and the primary still hides (a commit
  // that waits for a synchronous standby); then kUnavailable.
  Duration session_settle_wait_max = std::chrono::milliseconds(500);
  size_t flights_max = 16384;  // keys being read at once; more: kResourceExhausted
  size_t waiters_per_flight_max = 4096;
  size_t fills_in_flight_max = 4096;  // more are dropped and counted: the caller has its answer
  Duration reject_backoff =
      std::chrono::milliseconds(20);  // of a key whose fills the node refuses, doubled up to the next
  Duration reject_backoff_max = std::chrono::seconds(1);
};

struct KeyItem {
  std::string key;                 // "product:{bash}"
  std::vector<std::string> parts;  // in the order of the pattern's parameters
};

struct LoadedObject {
  std::shared_ptr<const void> object;
  std::string bytes;  // with codec header
};

struct SourceOperations {
  Family family;
  KeyPattern pattern;
  std::string sql;
  std::string batch_sql;
  std::function<Result<LoadedObject>(std::span<const Row>)> from_rows;
  std::function<Result<std::shared_ptr<const void>>(std::string_view)> decode;
};

struct RawAnswer {
  std::shared_ptr<const void> object;  // nullptr: proven absent
  Origin origin = Origin::kPrimary;
  int64_t staleness_ms = kStalenessUnknown;
  Instant as_of{};
};

struct RawWrittenThrough {
  struct Row {
    bool is_returned = false;            // by the key's statement
    std::shared_ptr<const void> object;  // nullptr though returned: deleted
  };
  CommitToken token;
  std::vector<Row> rows;  // in the order of the keys
  Instant as_of{};
  std::vector<shardrouter::ResultSet> results;
};

class RepositoryCore {
 public:
  static constexpr size_t kKeysPerCallMax = 4096;

  static std::shared_ptr<RepositoryCore> create(std::shared_ptr<CacheClient> cache, std::shared_ptr<Database> database,
                                                SourceOperations source, RepositoryOptions options);
  virtual ~RepositoryCore() = default;

  virtual void get(Result<KeyItem> item, ReadOptions options, Callback<Result<RawAnswer>> done) = 0;
  virtual void get_many(std::vector<Result<KeyItem>> items, ReadOptions options,
                        Callback<std::vector<Result<RawAnswer>>> done) = 0;
  virtual void update(std::vector<Result<KeyItem>> items, std::vector<shardrouter::Statement> statements,
                      WriteOptions options, Callback<Result<Written>> done) = 0;
  // The last statements of the transaction are those of the items, in their order.
  virtual void write_through(std::vector<Result<KeyItem>> items, Transaction transaction, WriteOptions options,
                             Callback<Result<RawWrittenThrough>> done) = 0;
  virtual void invalidate(CommitToken commit, std::vector<Result<KeyItem>> items, Callback<Result<int64_t>> done) = 0;
  // Why a blocking call is refused here: this is the context's own thread.
  virtual std::optional<Error> blocking_error() const = 0;
};

}  // namespace tidemark::client
