// Repository<F>: rows of a family through the cache, each answer proven fresh or honestly bounded.
//
//   Repository<ProductBySku> products(cache, database, {
//       .sql = "SELECT bucket, sku, name, price FROM catalog.product WHERE bucket = $1::int AND sku = $2",
//       .batch_sql = "SELECT p.bucket, p.sku, p.name, p.price FROM catalog.product p "
//                    "JOIN unnest($1::int[], $2::text[]) AS k(bucket, sku) USING (bucket, sku)",
//       .from_rows = one_row<pb::Product>(product_of_row)});
//   products.async_get({"bash"}, {.timeout = 40ms}, [](Result<Cached<pb::Product>> answer) { … });
//   auto answer = products.sync().get({"bash"});
//
// Reading (cache-aside): one load per key at a time in this process; the node is asked (GETL with MAXSTALE); on a miss
// the row is loaded with a proof of which commits it contains, the caller is answered at once, and the node is offered
// the value (SETV). A node that cannot answer is never a miss: the row comes from the database, unfilled, counted as
// bypass and bounded per shard (kResourceExhausted beyond). Writing (write-around): one routed transaction, then INVAL
// of the keys by its commit token; the invalidator's stream does the same, so a process that dies in between leaves
// nothing stale. Write-through of one row (async_write_through, families with kOneRowPerKey): the transaction's last
// statement returns the row as it left it, and the node installs that as soon as the stream proves that it is what was
// committed; the next reader has a hit without any load. Statements: $1 is the bucket, $2… are the key's parts (in
// `batch_sql` arrays of the same length). They must return the family's key columns, a batch the column `bucket` too: a
// row whose key columns do not give back the key asked for is refused. They run in READ ONLY transactions and must not
// depend on anything but rows of their bucket. Threads: every member from any thread; handlers run on their executor,
// else on the context's thread. A Repository must outlive nothing: operations keep what they need. Limits:
// RepositoryOptions.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "client/cache_client.h"
#include "client/cached.h"
#include "client/codec.h"
#include "client/completion.h"
#include "client/database.h"
#include "client/key_family.h"
#include "client/repository_core.h"
#include "client/row.h"

namespace tidemark::client {

// How the values of a family are read from the database.
template <CachedFamily F>
struct RowSource {
  std::string sql;
  std::string batch_sql{};                                                   // empty: batches load key by key
  std::function<Result<typename F::Value>(std::span<const Row>)> from_rows;  // never called without a row
};

// What became of a row's write.
template <typename V>
struct WrittenThrough {
  CommitToken token;
  // As the commit left it; is_absent() after a DELETE that found it. Nothing: the last statement returned no row, which
  // says that it changed none, not that there is none.
  std::optional<Cached<V>> value;
  std::vector<shardrouter::ResultSet> results;  // one for each statement; the last with its RETURNING columns
};

template <typename V>
struct WrittenThroughMany {
  CommitToken token;
  std::vector<std::optional<Cached<V>>> values;  // in the order of the keys, each as in WrittenThrough
  std::vector<shardrouter::ResultSet> results;
};

template <CachedFamily F>
  requires Encodable<typename F::Value>
class Repository {
 public:
  using Value = typename F::Value;
  using Key = typename F::Key;
  using Answer = Result<Cached<Value>>;

  Repository(std::shared_ptr<CacheClient> cache, std::shared_ptr<Database> database, RowSource<F> source,
             RepositoryOptions options = {})
      : core_(RepositoryCore::create(std::move(cache), std::move(database), erase(std::move(source)), options)) {}

  template <typename Token>
  auto async_get(Key key, ReadOptions options, Token&& token) {
    return initiate<Answer>(
        [core = core_, key = std::move(key), options](Callback<Answer> done) {
          core->get(item_of(key), options,
                    [done = std::move(done)](Result<RawAnswer> raw) mutable { done(typed(std::move(raw))); });
        },
        std::forward<Token>(token));
  }

  // In the order of the keys; duplicates are allowed; one failed key fails no other. Keys are split by node and their
  // requests pipelined; the misses of one shard are loaded by one statement.
  template <typename Token>
  auto async_get_many(std::vector<Key> keys, ReadOptions options, Token&& token) {
    return initiate<std::vector<Answer>>(
        [core = core_, keys = std::move(keys), options](Callback<std::vector<Answer>> done) {
          core->get_many(items_of(keys), options,
                         [done = std::move(done)](std::vector<Result<RawAnswer>> raws) mutable {
                           std::vector<Answer> answers;
                           answers.reserve(raws.size());
                           for (auto& raw : raws) answers.push_back(typed(std::move(raw)));
                           done(std::move(answers));
                         });
        },
        std::forward<Token>(token));
  }

  // Runs the statements in one transaction on the shard of the key's bucket and drops the key.
  template <typename Token>
  auto async_update(Key key, std::vector<shardrouter::Statement> statements, WriteOptions options, Token&& token) {
    return async_update_many(std::vector<Key>{std::move(key)}, std::move(statements), options,
                             std::forward<Token>(token));
  }
  // The same for several keys, whose buckets must lie on one shard (shard_of tells).
  template <typename Token>
  auto async_update_many(std::vector<Key> keys, std::vector<shardrouter::Statement> statements, WriteOptions options,
                         Token&& token) {
    return initiate<Result<Written>>(
        [core = core_, keys = std::move(keys), statements = std::move(statements), options](auto done) mutable {
          core->update(items_of(keys), std::move(statements), options, std::move(done));
        },
        std::forward<Token>(token));
  }

  // Changes the row of the key and hands it to the key's node, which installs it without a load once the invalidation
  // stream has brought the commit and the row is visible on the primary.
  //
  //   auto change = "UPDATE catalog.product SET price = $3::bigint WHERE bucket = $1::int AND sku = $2 "
  //                 "RETURNING sku, name, price";
  //   products.async_write_through({"bash"}, {{change, {bucket, "bash", "700"}}}, {}, …);
  //
  // The last statement must begin with INSERT, UPDATE or DELETE, name the family's table, change at most the row of
  // this key and return (RETURNING) what `from_rows` and the key columns need, computed from nothing but that row.
  // After DELETE the key is proven absent. It is wrapped so that a message `cache.stage` enters the log between the
  // row's change and the statement's AFTER triggers: what changes the row later in the transaction (an AFTER or
  // deferred trigger, nothing of yours: it is the last statement) makes the message not the key's last event, and the
  // node drops the value. STAGE is sent after the commit, in the place of INVAL: no lock is held for it, and only
  // values that were committed are sent. Whatever is lost or refused on the way leaves what async_update leaves: a
  // miss.
  //
  // Only for families whose value is made of one row (kOneRowPerKey). A list's rows belong to no single statement: the
  // lock on one row does not keep other transactions from changing, inserting or deleting its neighbours before the
  // commit, so no RETURNING is what the list was at that commit. Lists are invalidated.
  template <typename Token>
    requires RowMappedFamily<F>
  auto async_write_through(Key key, std::vector<shardrouter::Statement> statements, WriteOptions options,
                           Token&& token) {
    return initiate<Result<WrittenThrough<Value>>>(
        [core = core_, key = std::move(key), statements = std::move(statements),
         options](Callback<Result<WrittenThrough<Value>>> done) mutable {
          core->write_through(
              items_of({std::move(key)}), transaction_of(std::move(statements)), options,
              [done = std::move(done)](Result<RawWrittenThrough> raw) mutable {
                if (!raw) return done(std::unexpected(std::move(raw.error())));
                auto many = typed_rows(std::move(*raw));
                done(WrittenThrough<Value>{many.token, std::move(many.values[0]), std::move(many.results)});
              });
        },
        std::forward<Token>(token));
  }
  // The same for several different keys, whose buckets must lie on one shard: the last statements are those of the
  // keys, one each, in their order. A statement that changes the row of an earlier one's key makes that a plain
  // invalidation.
  template <typename Token>
    requires RowMappedFamily<F>
  auto async_write_through_many(std::vector<Key> keys, std::vector<shardrouter::Statement> statements,
                                WriteOptions options, Token&& token) {
    return async_commit_through(std::move(keys), transaction_of(std::move(statements)), options,
                                std::forward<Token>(token));
  }
  // The same of a Transaction, whose last run() calls are the keys' statements: it may touch other buckets of the
  // shard, and invalidate keys of other families (a list that the row stands in) by the same commit.
  template <typename Token>
    requires RowMappedFamily<F>
  auto async_commit_through(std::vector<Key> keys, Transaction transaction, WriteOptions options, Token&& token) {
    return initiate<Result<WrittenThroughMany<Value>>>(
        [core = core_, keys = std::move(keys), transaction = std::move(transaction),
         options](Callback<Result<WrittenThroughMany<Value>>> done) mutable {
          core->write_through(items_of(keys), std::move(transaction), options,
                              [done = std::move(done)](Result<RawWrittenThrough> raw) mutable {
                                if (!raw) return done(std::unexpected(std::move(raw.error())));
                                done(typed_rows(std::move(*raw)));
                              });
        },
        std::forward<Token>(token));
  }

  // Drops further keys that a commit made old. The result: how many had an entry.
  template <typename Token>
  auto async_invalidate(CommitToken commit, std::vector<Key> keys, Token&& token) {
    return initiate<Result<int64_t>>([core = core_, commit, keys = std::move(keys)](
                                         auto done) { core->invalidate(commit, items_of(keys), std::move(done)); },
                                     std::forward<Token>(token));
  }

  // The bucket of a key: $1 of the statements, and what routes it.
  static Result<Bucket> bucket_of(const Key& key) {
    auto text = F::key_of(key);
    if (!text) return std::unexpected(text.error());
    return bucket_of_slot(slot_of_key(*text));
  }

  // Blocking twins; not on the context's own thread (kFailedPrecondition).
  class Sync {
   public:
    explicit Sync(Repository& repository) : repository_(&repository) {}
    Answer get(Key key, ReadOptions options = {}) {
      if (auto error = repository_->core_->blocking_error()) return std::unexpected(*error);
      return wait_for_result<Answer>(
          [&](Callback<Answer> done) { repository_->async_get(std::move(key), options, std::move(done)); });
    }
    std::vector<Answer> get_many(std::vector<Key> keys, ReadOptions options = {}) {
      if (auto error = repository_->core_->blocking_error())
        return std::vector<Answer>(keys.size(), std::unexpected(*error));
      return wait_for_result<std::vector<Answer>>([&](Callback<std::vector<Answer>> done) {
        repository_->async_get_many(std::move(keys), options, std::move(done));
      });
    }
    Result<Written> update(Key key, std::vector<shardrouter::Statement> statements, WriteOptions options = {}) {
      if (auto error = repository_->core_->blocking_error()) return std::unexpected(*error);
      return wait_for_result<Result<Written>>([&](Callback<Result<Written>> done) {
        repository_->async_update(std::move(key), std::move(statements), options, std::move(done));
      });
    }
    Result<WrittenThrough<Value>> write_through(Key key, std::vector<shardrouter::Statement> statements,
                                                WriteOptions options = {})
      requires RowMappedFamily<F>
    {
      if (auto error = repository_->core_->blocking_error()) return std::unexpected(*error);
      return wait_for_result<Result<WrittenThrough<Value>>>([&](Callback<Result<WrittenThrough<Value>>> done) {
        repository_->async_write_through(std::move(key), std::move(statements), options, std::move(done));
      });
    }

   private:
    Repository* repository_;
  };
  Sync sync() { return Sync(*this); }

 private:
  // A key that cannot be rendered stays in its place and fails there.
  static Result<KeyItem> item_of(const Key& key) {
    auto text = F::key_of(key);
    if (!text) return std::unexpected(text.error());
    return KeyItem{std::move(*text), F::texts_of(key)};
  }
  static std::vector<Result<KeyItem>> items_of(const std::vector<Key>& keys) {
    std::vector<Result<KeyItem>> items;
    items.reserve(keys.size());
    for (const Key& key : keys) items.push_back(item_of(key));
    return items;
  }
  static Answer typed(Result<RawAnswer> raw) {
    if (!raw) return std::unexpected(std::move(raw.error()));
    return Cached<Value>(std::static_pointer_cast<const Value>(std::move(raw->object)), raw->origin, raw->staleness_ms,
                         raw->as_of);
  }
  static Transaction transaction_of(std::vector<shardrouter::Statement> statements) {
    Transaction transaction;
    for (auto& statement : statements) transaction.run(std::move(statement));
    return transaction;
  }
  static WrittenThroughMany<Value> typed_rows(RawWrittenThrough raw) {
    WrittenThroughMany<Value> written{raw.token, {}, std::move(raw.results)};
    for (auto& row : raw.rows) {
      auto& value = written.values.emplace_back();
      if (!row.is_returned) continue;
      value.emplace(std::static_pointer_cast<const Value>(std::move(row.object)), Origin::kPrimary, 0, raw.as_of);
    }
    return written;
  }
  static SourceOperations erase(RowSource<F> source) {
    SourceOperations operations;
    operations.family = to_family<F>();
    operations.pattern = F::pattern();
    operations.sql = std::move(source.sql);
    operations.batch_sql = std::move(source.batch_sql);
    operations.from_rows = [read = std::move(source.from_rows)](std::span<const Row> rows) -> Result<LoadedObject> {
      auto value = read(rows);
      if (!value) return std::unexpected(std::move(value.error()));
      LoadedObject loaded;
      loaded.bytes = encode_value<Value>(*value);
      loaded.object = std::make_shared<const Value>(std::move(*value));
      return loaded;
    };
    operations.decode = [](std::string_view bytes) -> Result<std::shared_ptr<const void>> {
      auto value = decode_value<Value>(bytes);
      if (!value) return std::unexpected(std::move(value.error()));
      return std::make_shared<const Value>(std::move(*value));
    };
    return operations;
  }

  std::shared_ptr<RepositoryCore> core_;
};

}  // namespace tidemark::client
