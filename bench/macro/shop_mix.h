// What the shop's visitors do: a seeded stream of operations over a list of products.
//
// Ranks follow a Zipf law; which product has which rank is a seeded shuffle, so that the popular ones lie in all slots.
// The last `rare_count` products of the list are left out of the law and asked for uniformly with `rare_share`: names
// that may not exist, so that proven absences are exercised too. Nobody sets the stock of products that orders sell.
// Same seed and options: same operations, on every machine. Threads: a plain value. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/macro/goods.h"
#include "bench/macro/random.h"
#include "bench/macro/zipf.h"

namespace tidemark::bench {

enum class ShopOpKind : uint8_t { kGet, kBatchGet, kSetPrice, kSetStock, kListSection, kSearch, kVisit };

struct ShopOp {
  ShopOpKind kind = ShopOpKind::kGet;
  std::vector<uint32_t>
      products;        // indices; one, but for kBatchGet (distinct), kSearch, kListSection and kVisit (none)
  int64_t value = 0;   // the new price in cents, or the new stock
  std::string text{};  // of kSearch: the prefix; of kListSection: set by the shop, which saw sections

  bool operator==(const ShopOp&) const = default;
};

class ShopMix {
 public:
  struct Options {
    uint64_t seed = 1;
    uint32_t product_count = 0;  // of the whole list; must exceed rare_count
    uint32_t rare_count = 0;
    double zipf_s = 1.0;
    double batch_share = 0.05;
    double set_price_share = 0.01;
    double set_stock_share = 0.01;
    double rare_share = 0.01;
    double section_share = 0;
    double search_share = 0;
    double visit_share = 0;  // of a customer: Customers says what it does
    uint32_t batch_size = 20;
  };
  static constexpr size_t kPrefixMin = 3, kPrefixMax = 5;  // characters of a search
  static constexpr int64_t kPriceCentsMax = 100'000;
  static constexpr int64_t kStockMax = 10'000;

  // `names`: of the products, for searches; may be null if there are none. Outlives the mix.
  explicit ShopMix(const Options& options, const std::vector<std::string>* names = nullptr);

  ShopOp next();
  ShopOp get_product();  // what somebody does who finds nothing else to do
  // The product of a popularity rank, 1 = most popular.
  uint32_t product_at(uint64_t rank) const { return product_of_rank_[rank - 1]; }

 private:
  uint32_t pick_product();
  uint32_t pick_existing() { return product_at(zipf_.sample(random_)); }
  std::vector<uint32_t> pick_batch();
  std::string pick_prefix();

  Options options_;
  const std::vector<std::string>* names_;
  Random random_;
  Goods goods_;
  Zipf zipf_;
  std::vector<uint32_t> product_of_rank_;
};

}  // namespace tidemark::bench
