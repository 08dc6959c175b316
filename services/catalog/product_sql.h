// The product's family, its statements, and the way between rows and messages.
// Threads: pure functions.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "client/key_family.h"
#include "client/query.h"
#include "client/row.h"
#include "services/catalog/proto/catalog.pb.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::catalog {

namespace pb = tidemark::catalog::v1;

struct ProductBySku : client::KeyFamily<"product:{<sku>}", pb::Product, std::string> {
  static constexpr std::string_view kName = "product";
  static constexpr std::string_view kTable = "catalog.product";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
  static constexpr bool kOneRowPerKey = true;  // new prices and stocks are written through
};

extern const char* const kSelectProduct;   // $1 bucket, $2 sku
extern const char* const kSelectProducts;  // $1 buckets, $2 skus (arrays)

Result<pb::Product> product_of_row(const client::Row& row);

// The skus of a section or with a prefix, in the order of their bytes, from all shards.
struct SkuRange {
  std::string section{};  // empty: `prefix` chooses
  std::string prefix{};
  std::string after{};  // skus greater than this; empty: from the first
  size_t limit = 0;
};
client::ScatterQuery sku_query(const SkuRange& range);  // column sku

enum class ProductField : uint8_t { kPrice, kStock };
shardrouter::Statement update_field(Bucket bucket, const std::string& sku, ProductField field, int64_t value);

struct ImportRow {
  Bucket bucket = 0;
  pb::Product product;
};
// One INSERT … ON CONFLICT for all rows; their skus must differ. It returns one row per row that was inserted ("t") or
// changed ("f"), none for equal ones.
shardrouter::Statement upsert_products(const std::vector<ImportRow>& rows, bool keep_price_and_stock);

std::string text_array(const std::vector<std::string>& values);  // {"a","b\"c"}: Postgres's array literal

}  // namespace tidemark::catalog
