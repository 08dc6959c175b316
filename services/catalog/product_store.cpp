#include "services/catalog/product_store.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/io/system_clock.h"

namespace tidemark::catalog {
namespace {

// How fresh a scatter read is: as its stalest part.
void set_freshness(SkuPage& page, const std::vector<client::QuerySource>& sources, Instant start) {
  for (const client::QuerySource& source : sources) {
    const auto age = std::chrono::ceil<std::chrono::milliseconds>(std::max(Duration::zero(), start - source.as_of));
    if (source.origin == client::Origin::kPrimary && age.count() <= page.staleness_ms) continue;
    page.origin = source.origin;
    page.staleness_ms = std::max<int64_t>(page.staleness_ms, age.count());
  }
}

Result<SkuPage> page_of(Result<client::Scattered> scattered, Instant start) {
  if (!scattered) return std::unexpected(scattered.error().with_context("list of skus"));
  SkuPage page;
  for (size_t i = 0; i < scattered->rows.rows.size(); ++i) {
    auto sku = client::Row(scattered->rows, i).text("sku");
    if (!sku) return std::unexpected(sku.error());
    page.skus.emplace_back(*sku);
  }
  set_freshness(page, scattered->sources, start);
  return page;
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
    client::QueryOptions query_options{
        .timeout = options.timeout, .may_use_replica = options.may_use_replica, .session = options.session};
    if (options.max_stale) query_options.max_stale = std::min(*options.max_stale, query_options.max_stale);
    database_->async_scatter(
        sku_query(range), query_options,
        [start = io::steady_now(), done = std::move(done)](Result<client::Scattered> scattered) mutable {
          done(page_of(std::move(scattered), start));
        });
  }

  void set_field(std::string sku, ProductField field, int64_t value, client::WriteOptions options,
                 client::Callback<Result<pb::Product>> done) override {
    std::vector<shardrouter::Statement> statements{update_field(bucket_of_natural_key(sku), sku, field, value)};
    auto on_written = [sku, done = std::move(done)](Result<client::WrittenThrough<pb::Product>> written) mutable {
      if (!written) return done(std::unexpected(written.error()));
      if (!written->value) return done(fail(ErrorCode::kNotFound, "sku: there is no product \"" + sku + "\""));
      done(written->value->value());
    };
    products_.async_write_through({std::move(sku)}, std::move(statements), std::move(options), std::move(on_written));
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
