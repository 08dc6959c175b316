#include "bench/macro/shop_mix.h"

#include <algorithm>
#include <numeric>

#include "base/invariant.h"

namespace tidemark::bench {

ShopMix::ShopMix(const Options& options, const std::vector<std::string>* names)
    : options_(options),
      names_(names),
      random_(options.seed),
      goods_(options.product_count - options.rare_count),
      zipf_(std::max(options.product_count, options.rare_count + 1) - options.rare_count, options.zipf_s) {
  INVARIANT(options.product_count > options.rare_count, options.product_count, options.rare_count);
  INVARIANT(options.search_share == 0 || names != nullptr, options.search_share);
  product_of_rank_.resize(options.product_count - options.rare_count);
  std::iota(product_of_rank_.begin(), product_of_rank_.end(), 0u);
  for (size_t i = product_of_rank_.size(); i > 1; --i) {  // Fisher-Yates
    std::swap(product_of_rank_[i - 1], product_of_rank_[random_.below(i)]);
  }
}

ShopOp ShopMix::next() {
  ShopOp op;
  double dice = random_.uniform();
  if ((dice -= options_.set_price_share) < 0) {
    op = {ShopOpKind::kSetPrice, {pick_existing()}, 1 + static_cast<int64_t>(random_.below(kPriceCentsMax))};
  } else if ((dice -= options_.set_stock_share) < 0) {
    op = {ShopOpKind::kSetStock, {pick_existing()}, static_cast<int64_t>(random_.below(kStockMax))};
    if (goods_.is_for_order(op.products.front())) op.kind = ShopOpKind::kSetPrice;  // its stock is the orders' affair
  } else if ((dice -= options_.batch_share) < 0) {
    op = {ShopOpKind::kBatchGet, pick_batch(), 0};
  } else if ((dice -= options_.section_share) < 0) {
    op.kind = ShopOpKind::kListSection;
  } else if ((dice -= options_.search_share) < 0) {
    op.kind = ShopOpKind::kSearch;
    op.text = pick_prefix();
  } else if ((dice -= options_.visit_share) < 0) {
    op.kind = ShopOpKind::kVisit;
  } else {
    op = get_product();
  }
  return op;
}

ShopOp ShopMix::get_product() {
  return {ShopOpKind::kGet, {pick_product()}, 0};
}

std::string ShopMix::pick_prefix() {
  const std::string& name = names_->at(pick_existing());
  return name.substr(0, kPrefixMin + random_.below(kPrefixMax - kPrefixMin + 1));
}

uint32_t ShopMix::pick_product() {
  if (options_.rare_count > 0 && random_.uniform() < options_.rare_share) {
    return options_.product_count - 1 - static_cast<uint32_t>(random_.below(options_.rare_count));
  }
  return pick_existing();
}

std::vector<uint32_t> ShopMix::pick_batch() {
  // Distinct products; a small catalogue may have fewer than a batch asks for, and popular ones repeat: so tries are
  // bounded.
  std::vector<uint32_t> batch;
  for (uint32_t tries = 0; batch.size() < options_.batch_size && tries < options_.batch_size * 8; ++tries) {
    const uint32_t product = pick_product();
    if (std::ranges::find(batch, product) == batch.end()) batch.push_back(product);
  }
  return batch;
}

}  // namespace tidemark::bench
