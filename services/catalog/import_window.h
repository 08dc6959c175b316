// The rows of an import between the stream and the database: checked, each sku once, cut into writes.
//
// A window is filled from the stream, then written as a whole before the next one begins: so rows of one sku never
// overtake each other, and memory is bounded by kRowsMax products.
//
//   add(bash v1), add(zsh), add(bash v2)     ->  rows bash v2, zsh;  superseded 1
//   take_batches({zsh -> shard 0, bash -> shard 1})  ->  one batch per shard, rows ascending by bucket
//
// Threads: a value. I/O: none.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/proof/lsn.h"
#include "services/catalog/product_sql.h"

namespace tidemark::catalog {

struct ImportBatch {
  ShardId shard = 0;
  bool keep_price_and_stock = false;
  std::vector<ImportRow> rows;  // ascending by bucket and sku: two imports lock rows in one order
};

class ImportWindow {
 public:
  static constexpr size_t kRowsMax = 8192;
  static constexpr size_t kBatchRowsMax = 512;     // of one transaction
  static constexpr size_t kBatchBucketsMax = 256;  // each costs a guard and a lock
  static constexpr int kRejectionsShown = 20;

  // Takes what is valid, counts what is not.
  void add(const pb::ImportProductsRequest& request);
  bool is_full() const { return rows_.size() >= kRowsMax; }
  bool is_empty() const { return rows_.empty(); }

  // Empties the window. A bucket without a shard: kUnavailable, and the window stays as it is.
  Result<std::vector<ImportBatch>> take_batches(const std::function<std::optional<ShardId>(Bucket)>& shard_of);

  // Grows with add() and with what the caller reports.
  void count_written(const ImportBatch& batch, int64_t inserted, int64_t changed);
  const pb::ImportProductsResponse& summary() const { return summary_; }

 private:
  struct Held {
    Bucket bucket = 0;
    bool keep_price_and_stock = false;
    pb::Product product;
  };
  std::map<std::string, Held> rows_;
  pb::ImportProductsResponse summary_;
};

}  // namespace tidemark::catalog
