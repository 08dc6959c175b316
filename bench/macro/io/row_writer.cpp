#include "bench/macro/io/row_writer.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/io/system_clock.h"
#include "base/parse.h"
#include "base/slot.h"
#include "bench/macro/goods.h"
#include "bench/macro/io/child_process.h"
#include "bench/macro/open_loop.h"
#include "bench/macro/random.h"
#include "bench/macro/shop_mix.h"
#include "bench/macro/zipf.h"

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;

// Printed by psql after each statement, so that one without a row (UPDATE of a missing one, an error) ends too.
constexpr std::string_view kEndMark = "--end--";

std::string sql_text(std::string_view text) {
  std::string sql = "'";
  for (const char c : text) sql.append(c == '\'' ? 2 : 1, c);
  return sql + "'";
}

class Writer final : public RowWriter {
 public:
  explicit Writer(Options options)
      : options_(std::move(options)),
        random_(options_.seed),
        zipf_(options_.names->size() - options_.seasonal_count, 1.0),
        ranking_({.seed = options_.shop_seed,
                  .product_count = static_cast<uint32_t>(options_.names->size()),
                  .rare_count = options_.seasonal_count}),
        goods_(static_cast<uint32_t>(options_.names->size()) - options_.seasonal_count),
        is_in_season_(options_.seasonal_count, false),
        psqls_(options_.conninfos.size()),
        thread_([this] { run(); }) {}
  ~Writer() override { stop(); }

  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopped_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  const std::vector<AcknowledgedWrite>& acknowledged() const override { return acknowledged_; }
  uint64_t failed() const override { return failed_; }

 private:
  struct Change {
    std::string sql;
    size_t shard = 0;
    uint32_t product = 0;
    bool is_deletion = false;
    std::optional<uint32_t> seasonal;  // flips when it was acknowledged
  };

  void run() {
    const OpenLoop loop(io::steady_now(), options_.rate);
    for (uint64_t i = 0; sleep_until(loop.due_at(i)); ++i) {
      const Change change = next_change();
      if (!psqls_[change.shard] && !start_psql(change.shard)) {
        ++failed_;
        if (!sleep_until(io::steady_now() + kRestartInterval)) return;
        continue;
      }
      execute(*psqls_[change.shard], change);
    }
  }

  // False: to be stopped.
  bool sleep_until(Instant instant) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_until(lock, std::chrono::steady_clock::time_point(instant.time_since_epoch()),
                             [this] { return is_stopped_; });
  }

  bool start_psql(size_t shard) {
    auto child =
        ChildProcess::start({.arguments = {"psql", "-X", "-q", "-A", "-t", "-F", "|", "-d", options_.conninfos[shard]},
                             .environment = {"PGOPTIONS=-c statement_timeout=2000", "PGCONNECT_TIMEOUT=2"},
                             .error_log = options_.log,
                             .with_input = true});
    if (!child) return false;
    psqls_[shard].emplace(std::move(*child));
    return true;
  }

  Change next_change() {
    const auto first_seasonal = static_cast<uint32_t>(options_.names->size()) - options_.seasonal_count;
    if (options_.seasonal_count > 0 && random_.uniform() < options_.seasonal_share) {
      const auto which = static_cast<uint32_t>(random_.below(options_.seasonal_count));
      return seasonal_change(first_seasonal + which, which);
    }
    // Any row, but every second time one of those that lie in the cache for certain.
    const uint64_t place = random_.uniform() < 0.5 ? random_.below(first_seasonal) : zipf_.sample(random_) - 1;
    const uint32_t product = ranking_.product_at(place + 1);
    const std::string& sku = (*options_.names)[product];
    const char* column = goods_.is_for_order(product) ? "price_cents" : "stock";
    return change(sku, product,
                  fmt::format("UPDATE catalog.product SET {} = {} WHERE bucket = {} AND sku = {} RETURNING row_version",
                              column, random_.below(10'000), bucket_of_natural_key(sku), sql_text(sku)));
  }

  Change change(const std::string& sku, uint32_t product, std::string sql) const {
    const size_t shard = options_.shard_of ? options_.shard_of(bucket_of_natural_key(sku)) : 0;
    return {.sql = std::move(sql), .shard = shard, .product = product, .is_deletion = false, .seasonal = std::nullopt};
  }

  Change seasonal_change(uint32_t product, uint32_t which) {
    const std::string& sku = (*options_.names)[product];
    Change next;
    if (is_in_season_[which]) {
      next = change(sku, product,
                    fmt::format("DELETE FROM catalog.product WHERE bucket = {} AND sku = {} RETURNING 0",
                                bucket_of_natural_key(sku), sql_text(sku)));
      next.is_deletion = true;
    } else {
      next = change(sku, product,
                    fmt::format("INSERT INTO catalog.product (bucket, sku, version, section, description, size_bytes, "
                                "price_cents, stock) VALUES ({}, {}, '1.0', 'seasonal', 'comes and goes', 1, 100, {}) "
                                "RETURNING row_version",
                                bucket_of_natural_key(sku), sql_text(sku), random_.below(10'000)));
    }
    next.seasonal = which;
    return next;
  }

  void execute(ChildProcess& psql, const Change& change) {
    if (!psql.write(fmt::format("{};\n\\echo {}\n", change.sql, kEndMark))) return give_up(change.shard);
    std::optional<int64_t> version;
    const Instant deadline = io::steady_now() + kStatementTimeout + milliseconds(500);
    while (true) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - io::steady_now());
      const auto line = psql.read_line(std::max(left, milliseconds(0)));
      if (!line) return give_up(change.shard);
      if (*line == kEndMark) break;
      if (const auto number = parse_i64(*line)) version = *number;
    }
    const int64_t now_us = io::unix_now_us();
    if (!version) {
      ++failed_;
      return;
    }
    if (change.seasonal) is_in_season_[*change.seasonal] = !is_in_season_[*change.seasonal];
    if (!change.is_deletion) acknowledged_.push_back({change.product, *version, now_us});
  }

  void give_up(size_t shard) {
    ++failed_;
    psqls_[shard].reset();
  }

  Options options_;
  Random random_;
  Zipf zipf_;
  ShopMix ranking_;  // only for which product has which rank
  Goods goods_;
  std::vector<bool> is_in_season_;
  std::vector<std::optional<ChildProcess>> psqls_;  // by shard; none: it ended
  std::vector<AcknowledgedWrite> acknowledged_;
  uint64_t failed_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_stopped_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<RowWriter> RowWriter::start(Options options) {
  return std::make_unique<Writer>(std::move(options));
}

}  // namespace tidemark::bench
