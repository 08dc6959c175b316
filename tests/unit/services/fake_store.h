// A product store in memory that answers on its own loop, and fails as told.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <map>
#include <thread>

#include "services/catalog/product_store.h"

namespace tidemark::catalog {

class FakeStore : public ProductStore {
 public:
  ~FakeStore() override {
    work_.reset();
    // The last reference may be dropped by a handler, on the loop's own thread.
    if (std::this_thread::get_id() == thread_.get_id()) {
      thread_.detach();
    } else {
      thread_.join();
    }
  }

  void get(std::string sku, client::ReadOptions options, client::Callback<ProductAnswer> done) override {
    post([this, sku = std::move(sku), options, done = std::move(done)]() mutable { done(answer(sku, options)); });
  }
  void get_many(std::vector<std::string> skus, client::ReadOptions options,
                client::Callback<std::vector<ProductAnswer>> done) override {
    post([this, skus = std::move(skus), options, done = std::move(done)]() mutable {
      std::vector<ProductAnswer> answers;
      for (const std::string& sku : skus) answers.push_back(answer(sku, options));
      done(std::move(answers));
    });
  }
  void list_skus(SkuRange range, client::ReadOptions, client::Callback<Result<SkuPage>> done) override {
    post([this, range = std::move(range), done = std::move(done)]() mutable {
      last_range = range;
      if (list_error) return done(std::unexpected(*list_error));
      SkuPage page{.skus = {}, .origin = client::Origin::kReplica, .staleness_ms = list_staleness_ms};
      for (const auto& [sku, product] : products) {
        if (page.skus.size() == range.limit) break;
        if (sku <= range.after) continue;
        if (range.section.empty() ? sku.starts_with(range.prefix) : product.section() == range.section) {
          page.skus.push_back(sku);
        }
      }
      for (const std::string& sku : deleted_after_list) products.erase(sku);
      done(std::move(page));
    });
  }
  void set_field(std::string sku, ProductField field, int64_t value, client::WriteOptions options,
                 client::Callback<Result<pb::Product>> done) override {
    post([this, sku = std::move(sku), field, value, options, done = std::move(done)]() mutable {
      last_timeout = options.timeout;
      auto found = products.find(sku);
      if (found == products.end()) return done(fail(ErrorCode::kNotFound, "sku: there is no product"));
      field == ProductField::kPrice ? found->second.set_price_cents(value) : found->second.set_stock(value);
      found->second.set_row_version(found->second.row_version() + 1);
      done(found->second);
    });
  }
  void write_batch(const ImportBatch& batch, Duration, client::Callback<Result<Imported>> done) override {
    post([this, rows = batch.rows, done = std::move(done)]() mutable {
      ++batches_tried;
      batches_at_once_max = std::max(batches_at_once_max, ++batches_at_once);
      // Answers on the next turn, so that several batches can be on their way.
      post([this, rows = std::move(rows), done = std::move(done)]() mutable {
        --batches_at_once;
        if (!write_errors.empty()) {
          Error error = write_errors.front();
          write_errors.pop_front();
          return done(std::unexpected(error));
        }
        Imported imported;
        for (const ImportRow& row : rows) {
          auto [place, is_new] = products.try_emplace(row.product.sku(), row.product);
          imported.inserted += is_new;
          imported.changed += !is_new && place->second.version() != row.product.version();
          place->second = row.product;
        }
        done(imported);
      });
    });
  }
  std::optional<ShardId> shard_of(Bucket) override { return ShardId{0}; }
  void post(std::move_only_function<void()> work) override { boost::asio::post(*context_, std::move(work)); }

  // Set before calls, read after them.
  std::map<std::string, pb::Product> products;
  std::map<std::string, Error> read_errors;
  std::map<std::string, std::pair<client::Origin, int64_t>> freshness;
  std::deque<Error> write_errors;
  SkuRange last_range;
  std::optional<Error> list_error;
  int64_t list_staleness_ms = 5;
  std::vector<std::string> deleted_after_list;
  client::ReadOptions last_options;
  Duration last_timeout{};
  int batches_tried = 0, batches_at_once = 0, batches_at_once_max = 0;

 private:
  ProductAnswer answer(const std::string& sku, const client::ReadOptions& options) {
    last_options = options;
    if (auto error = read_errors.find(sku); error != read_errors.end()) return std::unexpected(error->second);
    auto [origin, staleness] =
        freshness.contains(sku) ? freshness.at(sku) : std::pair{client::Origin::kNode, int64_t{12}};
    auto found = products.find(sku);
    auto value = found == products.end() ? nullptr : std::make_shared<const pb::Product>(found->second);
    return client::Cached<pb::Product>(value, origin, staleness, Instant{});
  }

  std::shared_ptr<boost::asio::io_context> context_ = std::make_shared<boost::asio::io_context>();
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_->get_executor()};
  std::thread thread_{[context = context_] { context->run(); }};
};

}  // namespace tidemark::catalog
