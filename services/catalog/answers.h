// From a store's answers to the messages and the freshness of a call. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "services/catalog/product_store.h"

namespace tidemark::catalog {

struct WorstFreshness {
  std::string origin;
  int64_t staleness_ms = 0;  // -1: unknown, which is worse than any number
};

bool is_worse(int64_t staleness_ms, int64_t than_ms);

// max_stale_ms = 0 asks for the primary.
client::ReadOptions read_options(Duration timeout, std::optional<int64_t> max_stale_ms, bool is_cache_bypassed);

void set_freshness(const client::Cached<pb::Product>& answer, pb::Freshness& freshness);

// Fills one Answer per sku; nothing when no answer succeeded.
std::optional<WorstFreshness> fill_batch(const std::vector<std::string>& skus,
                                         const std::vector<ProductAnswer>& answers,
                                         pb::BatchGetProductsResponse& response);

}  // namespace tidemark::catalog
