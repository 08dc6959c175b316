// The sharded database as repositories see it: a pool per shard, routed writes, and how far the primary is.
//
//   auto db = Database::create(context, topology, {.pool = {.passfile = …}});
//   db->async_write({bucket}, statements, {}, [](Result<Written> written) { … written->token … });
//
// A write names its buckets: the guard of each runs first in the same round trip. When a shard refuses (SH001) the
// bucket map heals from the refusal and the write is tried again; at last kFailedPrecondition with the forward
// address. async_query and async_scatter read past the cache (client/query.h). A CommitToken can only come from a
// commit, and only a token can invalidate: delete-before-commit does not compile. Threads: async_*, set_topology and
// metrics from any thread; the rest on the context's thread. Limits: the pools' connections and queues;
// DatabaseOptions; kAttemptsMax tries of one operation (client/io/database_impl.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/proof/lsn.h"
#include "base/result.h"
#include "base/topology/topology.h"
#include "client/completion.h"
#include "client/query.h"
#include "client/transaction.h"
#include "shardrouter/io/shard_pool.h"
#include "shardrouter/routing/bucket_refusal.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::io {
struct MetricFamily;
}

namespace tidemark::client {

class [[nodiscard]] CommitToken {
 public:
  ShardId shard() const { return shard_; }
  DbEpoch db_epoch() const { return db_epoch_; }
  Lsn lsn() const { return lsn_; }  // upper bound of the commit record's end
  Xid xid() const { return xid_; }

 private:
  friend class CommitTokenMaker;  // the writer in client/io
  CommitToken(ShardId shard, DbEpoch db_epoch, Lsn lsn, Xid xid)
      : shard_(shard), db_epoch_(db_epoch), lsn_(lsn), xid_(xid) {}
  ShardId shard_;
  DbEpoch db_epoch_;
  Lsn lsn_;
  Xid xid_;
};

struct Written {
  CommitToken token;
  std::vector<shardrouter::ResultSet> results;  // one for each of the caller's statements
};

struct WriteOptions {
  Duration timeout = std::chrono::seconds(2);
  std::shared_ptr<Session> session{};  // absorbs the commit, before the handler runs
};

struct DatabaseOptions {
  shardrouter::ShardPool::Options pool{};
  size_t fallbacks_per_shard_max = 32;  // loads at once because the cache could not answer; more: kResourceExhausted
  Duration position_poll_interval = std::chrono::milliseconds(100);  // of the primary's insert LSN
  // How pools are made; tests give their own.
  std::function<std::shared_ptr<shardrouter::ShardPool>(const Shard&)> make_pool{};
};

class Database : public std::enable_shared_from_this<Database> {
 public:
  static std::shared_ptr<Database> create(boost::asio::io_context& context, std::shared_ptr<const Topology> topology,
                                          DatabaseOptions options);
  virtual ~Database() = default;

  // All buckets must lie on one shard (kInvalidArgument). One transaction: READ COMMITTED, guard first.
  template <typename Token>
  auto async_write(std::vector<Bucket> buckets, std::vector<shardrouter::Statement> statements, WriteOptions options,
                   Token&& token) {
    return initiate<Result<Written>>(
        [self = shared_from_this(), buckets = std::move(buckets), statements = std::move(statements),
         options](auto done) mutable {
          self->start_write(std::move(buckets), std::move(statements), options, std::move(done));
        },
        std::forward<Token>(token));
  }

  // As async_write, of a Transaction; `results` has one for each of its run() calls. Buckets on several shards:
  // kInvalidArgument, nothing is sent.
  template <typename Token>
  auto async_commit(Transaction transaction, WriteOptions options, Token&& token) {
    return initiate<Result<Written>>(
        [self = shared_from_this(), transaction = std::move(transaction), options](auto done) mutable {
          self->start_commit(std::move(transaction), options, std::move(done));
        },
        std::forward<Token>(token));
  }

  // Reads rows of these buckets, which must lie on one shard.
  template <typename Token>
  auto async_query(std::vector<Bucket> buckets, std::vector<shardrouter::Statement> statements, QueryOptions options,
                   Token&& token) {
    return initiate<Result<Queried>>(
        [self = shared_from_this(), buckets = std::move(buckets), statements = std::move(statements),
         options](auto done) mutable {
          self->start_query(std::move(buckets), std::move(statements), options, std::move(done));
        },
        std::forward<Token>(token));
  }

  // Reads rows of all shards. kUnavailable: for the whole timeout some bucket had no owner or two, or a shard did not
  // answer; there is no partial answer.
  template <typename Token>
  auto async_scatter(ScatterQuery query, QueryOptions options, Token&& token) {
    return initiate<Result<Scattered>>(
        [self = shared_from_this(), query = std::move(query), options](auto done) mutable {
          self->start_scatter(std::move(query), options, std::move(done));
        },
        std::forward<Token>(token));
  }

  // The statements as one implicit transaction on the shard's primary, for sweeps and relays. No bucket is guarded and
  // none is checked: a moved bucket's old rows may still lie there, so join shard.bucket (state = 'owned'), and write
  // through async_commit. (The fence of protected tables refuses writes to rows of buckets that the shard does not
  // own.)
  template <typename Token>
  auto async_on_shard(ShardId shard, std::vector<shardrouter::Statement> statements, Duration timeout, Token&& token) {
    return initiate<Result<std::vector<shardrouter::ResultSet>>>(
        [self = shared_from_this(), shard, statements = std::move(statements), timeout](auto done) mutable {
          self->start_on_shard(shard, std::move(statements), timeout, std::move(done));
        },
        std::forward<Token>(token));
  }

  // A source for io::AdminHttp: tidemark_client_shard_* of every server of every shard
  // (client/io/database_metrics.cpp). Asks the context's thread; if that does not answer within 200 ms, what it said
  // last.
  virtual std::vector<io::MetricFamily> metrics() = 0;

  virtual void set_topology(std::shared_ptr<const Topology> topology) = 0;
  // Called (on the context's thread) when a shard's refusal did not say who owns a bucket.
  virtual void on_stale_topology(std::function<void()> callback) = 0;
  virtual bool is_context_thread() const = 0;

  // On the context's thread:
  virtual std::vector<ShardId> shards() const = 0;  // ascending
  virtual std::optional<BucketOwner> owner_of(Bucket bucket) const = 0;
  // A shard answered that it does not own the bucket; true: the map knows better now, look up again.
  virtual bool heal(Bucket bucket, BucketOwner asked, const shardrouter::BucketRefusal& refusal) = 0;
  virtual shardrouter::ShardPool* pool(ShardId shard) = 0;  // nullptr: the topology knows no such shard
  // The position that a replica must have replayed for its answers to be at most `max_stale` old; nullopt if unknown
  // (nothing was polled yet): go to the primary. Asking keeps the polling awake.
  virtual std::optional<Lsn> position_at_most(ShardId shard, Duration max_stale) = 0;
  // The newest moment at which the primary's commits all lay at or below `replayed`; nullopt if unknown.
  virtual std::optional<Instant> moment_of(ShardId shard, DbEpoch db_epoch, Lsn replayed) const = 0;
  // False: the shard has its full number of fallback loads. Each true is given back by end_fallback.
  virtual bool begin_fallback(ShardId shard) = 0;
  virtual void end_fallback(ShardId shard) = 0;
  virtual void close() = 0;

 protected:
  virtual void start_write(std::vector<Bucket> buckets, std::vector<shardrouter::Statement> statements,
                           WriteOptions options, Callback<Result<Written>> done) = 0;
  virtual void start_commit(Transaction transaction, WriteOptions options, Callback<Result<Written>> done) = 0;
  virtual void start_query(std::vector<Bucket> buckets, std::vector<shardrouter::Statement> statements,
                           QueryOptions options, Callback<Result<Queried>> done) = 0;
  virtual void start_scatter(ScatterQuery query, QueryOptions options, Callback<Result<Scattered>> done) = 0;
  virtual void start_on_shard(ShardId shard, std::vector<shardrouter::Statement> statements, Duration timeout,
                              Callback<Result<std::vector<shardrouter::ResultSet>>> done) = 0;
};

}  // namespace tidemark::client
