// The catalog's data as its service sees it; the real one stands on Repository<ProductBySku>.
//
// Threads: every member from any thread; handlers run on the client library's loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/cached.h"
#include "client/completion.h"
#include "client/repository.h"
#include "services/catalog/import_window.h"
#include "services/catalog/product_sql.h"

namespace tidemark::catalog {

using ProductAnswer = Result<client::Cached<pb::Product>>;

struct SkuPage {
  std::vector<std::string> skus;  // ascending by their bytes, each once
  client::Origin origin = client::Origin::kPrimary;
  int64_t staleness_ms = 0;
};

class ProductStore {
 public:
  virtual ~ProductStore() = default;

  virtual void get(std::string sku, client::ReadOptions options, client::Callback<ProductAnswer> done) = 0;
  virtual void get_many(std::vector<std::string> skus, client::ReadOptions options,
                        client::Callback<std::vector<ProductAnswer>> done) = 0;
  // A scatter read of all shards: one that does not answer fails it.
  virtual void list_skus(SkuRange range, client::ReadOptions options, client::Callback<Result<SkuPage>> done) = 0;
  // The product after the commit; kNotFound: there is none (nothing was written).
  virtual void set_field(std::string sku, ProductField field, int64_t value, client::WriteOptions options,
                         client::Callback<Result<pb::Product>> done) = 0;

  struct Imported {
    int64_t inserted = 0, changed = 0;
  };
  // One transaction on the batch's shard. kFailedPrecondition: a bucket is not there any more; ask for shards again.
  virtual void write_batch(const ImportBatch& batch, Duration timeout, client::Callback<Result<Imported>> done) = 0;
  // Who owns a bucket, by the map as the shards have healed it. On the loop's thread.
  virtual std::optional<ShardId> shard_of(Bucket bucket) = 0;
  // Runs `work` on the loop's thread.
  virtual void post(std::move_only_function<void()> work) = 0;
};

std::shared_ptr<ProductStore> make_product_store(std::shared_ptr<client::CacheClient> cache,
                                                 std::shared_ptr<client::Database> database);

}  // namespace tidemark::catalog
