// One transaction on one shard, as a value: the buckets it touches, its statements, and the cache keys it invalidates.
//
//   Transaction tx({bucket_of_row_id(customer)});
//   tx.run({"INSERT INTO shop.orders …", {…}}).run({"INSERT INTO shop.outbox …", {…}});
//   tx.invalidate<OrdersOfCustomer>(customer);
//   database->async_commit(std::move(tx), {}, [](Result<Written> written) { … written->results[0] … });
//
// invalidate() writes the key into the transaction's own log (pg_logical_emit_message): atomic with the commit, gone
// with a rollback, and it survives the death of this process between the commit and anything that would come after it.
// Rows of a family's own table need none of it, the log names their keys anyway; it is for keys derived from something
// else. A key belongs to its bucket's shard, so invalidate() touches the key's bucket as well.
//
// All buckets must lie on one shard when it is committed; if they do not, that is kInvalidArgument and a saga's work:
// one transaction per shard, with compensation. A bad key is kept as the error that async_commit answers. Threads: a
// value. I/O: none. Limits: shardrouter::kGuardedBucketsMax buckets, kStatementsMax, kKeysMax.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/slot.h"
#include "client/key_family.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::client {

class Transaction {
 public:
  static constexpr size_t kStatementsMax = 1024;
  static constexpr size_t kKeysMax = 1024;

  Transaction() = default;
  explicit Transaction(std::vector<Bucket> buckets) : buckets_(std::move(buckets)) {}

  Transaction& touch(Bucket bucket);
  Transaction& run(shardrouter::Statement statement);
  template <CachedFamily F, typename... Parts>
  Transaction& invalidate(const Parts&... parts) {
    return invalidate_key(F::key(parts...));
  }
  Transaction& invalidate_key(Result<std::string> key);

  const std::vector<Bucket>& buckets() const { return buckets_; }  // in the order of the calls, with repetitions
  const std::vector<shardrouter::Statement>& statements() const { return statements_; }
  // Puts another statement in the place of one; index < statement_count().
  void replace(size_t index, shardrouter::Statement statement) { statements_[index] = std::move(statement); }
  size_t statement_count() const { return statements_.size(); }  // results of the commit: one for each run()

  // run()'s statements, then the one that writes the keys into the log, if there are any; or what was wrong.
  Result<std::vector<shardrouter::Statement>> take_statements() &&;

 private:
  std::vector<Bucket> buckets_;
  std::vector<shardrouter::Statement> statements_;
  std::vector<std::string> keys_;
  std::optional<Error> error_;  // the first
};

}  // namespace tidemark::client
