// What the catalog takes: every refusal names the field first, then what would do.
// Threads: pure functions.
#pragma once

#include <string_view>

#include "base/result.h"
#include "services/catalog/proto/catalog.pb.h"

namespace tidemark::catalog {

namespace pb = tidemark::catalog::v1;

inline constexpr size_t kSkuBytesMax = 128;
inline constexpr size_t kVersionBytesMax = 256;
inline constexpr size_t kSectionBytesMax = 128;
inline constexpr size_t kDescriptionBytesMax = 8192;
inline constexpr int kBatchSkusMax = 500;
inline constexpr size_t kPrefixBytesMin = 2;
inline constexpr int kPageSizeMax = 100;
inline constexpr int kImportMessageProductsMax = 1000;
inline constexpr int64_t kPriceCentsMax = 1'000'000'000'000;
inline constexpr int64_t kStockMax = 1'000'000'000'000;
inline constexpr int64_t kSizeBytesMax = int64_t{1} << 50;
inline constexpr int64_t kMaxStaleMsMax = 24LL * 3600 * 1000;

Status check_sku(std::string_view sku);
Status check_price(int64_t price_cents);
Status check_stock(int64_t stock);
Status check_product(const pb::Product& product);
Status check_max_stale(int64_t max_stale_ms);
Status check_section(std::string_view section);  // of a list; a product may have none
Status check_prefix(std::string_view prefix);    // the beginning of a sku
Status check_page_size(int64_t page_size);
Status check_batch(const pb::BatchGetProductsRequest& request);

}  // namespace tidemark::catalog
