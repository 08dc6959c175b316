#include "services/catalog/product_store.h"

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace tidemark::catalog {
namespace {

// The next skus of every shard, merged. What a moved bucket left behind on its old shard counts once.
struct Scatter {
  size_t limit = 0;
  size_t shards_left = 0;
  std::vector<std::string> skus;
  client::Callback<Result<SkuPage>> done;

  void on_part(Result<std::vector<shardrouter::ResultSet>> part) {
    if (!done) return;
    if (!part) return std::exchange(done, nullptr)(std::unexpected(part.error().with_context("list of skus")));
    for (const auto& row : part->at(0).rows) skus.push_back(row.at(0).value_or(""));
    if (--shards_left > 0) return;
    std::ranges::sort(skus);
    skus.erase(std::ranges::unique(skus).begin(), skus.end());
    if (skus.size() > limit) skus.resize(limit);
    std::exchange(done, nullptr)(SkuPage{.skus = std::move(skus)});
  }
};

void scatter_skus(const Topology& topology, client::Database& database, SkuRange range, Duration timeout,
                  client::Callback<Result<SkuPage>> done) {
  auto scatter = std::make_shared<Scatter>(
      Scatter{.limit = range.limit, .shards_left = topology.shards.size(), .skus = {}, .done = std::move(done)});
  for (const Shard& shard : topology.shards) {
    shardrouter::ShardPool* pool = database.pool(shard.id);
    if (pool == nullptr) {
      scatter->on_part(fail(ErrorCode::kUnavailable, "shard " + std::to_string(shard.id) + " is not known any more"));
      continue;
    }
    pool->run(shardrouter::ShardPool::Target::kPrimary, Lsn{}, {.groups = {{select_skus(range)}}}, timeout,
              [scatter](Result<std::vector<shardrouter::ResultSet>> part) { scatter->on_part(std::move(part)); });
  }
}

class RepositoryStore : public ProductStore {
 public:
  RepositoryStore(std::shared_ptr<client::CacheClient> cache, std::shared_ptr<client::Database> database)
      : cache_(cache),
        database_(database),
        products_(std::move(cache), std::move(database),
                  {.sql = kSelectProduct,
                   .batch_sql = kSelectProducts,
                   .from_rows = client::one_row<pb::Product>(product_of_row)}) {}

  void get(std::string sku, client::ReadOptions options, client::Callback<ProductAnswer> done) override {
    products_.async_get({std::move(sku)}, options, std::move(done));
  }

  void get_many(std::vector<std::string> skus, client::ReadOptions options,
                client::Callback<std::vector<ProductAnswer>> done) override {
    products_.async_get_many(keys_of(std::move(skus)), options, std::move(done));
  }

  void list_skus(SkuRange range, client::ReadOptions options, client::Callback<Result<SkuPage>> done) override {
    boost::asio::dispatch(
        cache_->context(), [this, range = std::move(range), options, done = std::move(done)]() mutable {
          scatter_skus(*cache_->topology(), *database_, std::move(range), options.timeout, std::move(done));
        });
  }

  void set_field(std::string sku, ProductField field, int64_t value, Duration timeout,
                 client::Callback<Result<pb::Product>> done) override {
    std::vector<shardrouter::Statement> statements{update_field(bucket_of_natural_key(sku), sku, field, value)};
    auto on_written = [sku, done = std::move(done)](Result<client::WrittenThrough<pb::Product>> written) mutable {
      if (!written) return done(std::unexpected(written.error()));
      if (!written->value) return done(fail(ErrorCode::kNotFound, "sku: there is no product \"" + sku + "\""));
      done(written->value->value());
    };
    products_.async_write_through({std::move(sku)}, std::move(statements), {.timeout = timeout}, std::move(on_written));
  }

  void write_batch(const ImportBatch& batch, Duration timeout, client::Callback<Result<Imported>> done) override {
    std::vector<std::string> skus;
    for (const ImportRow& row : batch.rows) skus.push_back(row.product.sku());
    std::vector<shardrouter::Statement> statements{upsert_products(batch.rows, batch.keep_price_and_stock)};
    auto on_written = [done = std::move(done)](Result<client::Written> written) mutable {
      if (!written) return done(std::unexpected(written.error()));
      Imported imported;
      for (const auto& row : written->results.at(0).rows) ++(row.at(0) == "t" ? imported.inserted : imported.changed);
      done(imported);
    };
    products_.async_update_many(keys_of(std::move(skus)), std::move(statements), {.timeout = timeout},
                                std::move(on_written));
  }

  std::optional<ShardId> shard_of(Bucket bucket) override {
    std::optional<BucketOwner> owner = database_->owner_of(bucket);
    return owner ? std::optional(owner->shard) : std::nullopt;
  }

  void post(std::move_only_function<void()> work) override { boost::asio::post(cache_->context(), std::move(work)); }

 private:
  static std::vector<ProductBySku::Key> keys_of(std::vector<std::string> skus) {
    std::vector<ProductBySku::Key> keys;
    keys.reserve(skus.size());
    for (std::string& sku : skus) keys.emplace_back(std::move(sku));
    return keys;
  }

  std::shared_ptr<client::CacheClient> cache_;
  std::shared_ptr<client::Database> database_;
  client::Repository<ProductBySku> products_;
};

}  // namespace

std::shared_ptr<ProductStore> make_product_store(std::shared_ptr<client::CacheClient> cache,
                                                 std::shared_ptr<client::Database> database) {
  return std::make_shared<RepositoryStore>(std::move(cache), std::move(database));
}

}  // namespace tidemark::catalog
