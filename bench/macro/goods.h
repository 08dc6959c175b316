// Which products of the list are sold by orders, and how many of each there are at first.
//
// Every kStride-th product of the list can be ordered; the first kHotCount of them are the hot ones that many want and
// few get. Nobody but the order service changes their stock, so that in the end
//
//     stock at first  ==  stock left + reserved or sold
//
// must hold for each of them. Threads: a plain value. I/O: none.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bench/macro/random.h"

namespace tidemark::bench {

class Goods {
 public:
  static constexpr uint32_t kStride = 20;
  static constexpr uint32_t kHotCount = 8;
  static constexpr int64_t kHotStock = 40;
  static constexpr int64_t kStockMin = 20, kStockMax = 400;  // of the others

  // `product_count`: of the names that exist for certain (they come first in the list).
  explicit Goods(uint32_t product_count) : count_((product_count + kStride - 1) / kStride) {}

  bool is_for_order(uint32_t product) const { return product % kStride == 0 && product / kStride < count_; }
  uint32_t count() const { return count_; }
  uint32_t hot_count() const { return std::min(count_, kHotCount); }
  // Of a place 0 … count() - 1; the hot ones come first.
  uint32_t product_at(uint32_t place) const { return place * kStride; }

  // Requires is_for_order(product).
  int64_t initial_stock(uint32_t product, int64_t hot_stock, Random& random) const {
    if (product / kStride < hot_count()) return hot_stock;
    return kStockMin + static_cast<int64_t>(random.below(static_cast<uint64_t>(kStockMax - kStockMin)));
  }

 private:
  uint32_t count_;
};

}  // namespace tidemark::bench
