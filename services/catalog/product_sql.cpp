#include "services/catalog/product_sql.h"

namespace tidemark::catalog {
namespace {

// The WHERE keeps equal rows untouched: no new row version, no WAL, no invalidation. price and stock are compared only
// in the variant that takes them.
constexpr const char* kUpsertAll =
    "INSERT INTO catalog.product AS p (bucket, sku, version, section, description, size_bytes, price_cents, stock) "
    "SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], "
    "$8::bigint[]) "
    "ON CONFLICT (bucket, sku) DO UPDATE SET version = EXCLUDED.version, section = EXCLUDED.section, "
    "description = EXCLUDED.description, size_bytes = EXCLUDED.size_bytes, price_cents = EXCLUDED.price_cents, stock = "
    "EXCLUDED.stock "
    "WHERE (p.version, p.section, p.description, p.size_bytes, p.price_cents, p.stock) IS DISTINCT FROM "
    "(EXCLUDED.version, EXCLUDED.section, EXCLUDED.description, EXCLUDED.size_bytes, EXCLUDED.price_cents, "
    "EXCLUDED.stock) "
    "RETURNING row_version = 1";
constexpr const char* kUpsertKeep =
    "INSERT INTO catalog.product AS p (bucket, sku, version, section, description, size_bytes, price_cents, stock) "
    "SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], "
    "$8::bigint[]) "
    "ON CONFLICT (bucket, sku) DO UPDATE SET version = EXCLUDED.version, section = EXCLUDED.section, "
    "description = EXCLUDED.description, size_bytes = EXCLUDED.size_bytes "
    "WHERE (p.version, p.section, p.description, p.size_bytes) IS DISTINCT FROM "
    "(EXCLUDED.version, EXCLUDED.section, EXCLUDED.description, EXCLUDED.size_bytes) "
    "RETURNING row_version = 1";
constexpr const char* kSetPrice =
    "UPDATE catalog.product SET price_cents = $3::bigint WHERE bucket = $1::int AND sku = $2 "
    "RETURNING sku, version, section, description, size_bytes, price_cents, stock, row_version";
constexpr const char* kSetStock =
    "UPDATE catalog.product SET stock = $3::bigint WHERE bucket = $1::int AND sku = $2 "
    "RETURNING sku, version, section, description, size_bytes, price_cents, stock, row_version";

constexpr const char* kSelectSection = "SELECT bucket, sku FROM catalog.product WHERE section = $1 AND sku > $2";
// A range, not a pattern: the prefix is data, and no character of it means anything else than itself.
constexpr const char* kSelectPrefix =
    "SELECT bucket, sku FROM catalog.product WHERE sku >= $1 AND sku < $2 AND sku > $3";

}  // namespace

const char* const kSelectProduct =
    "SELECT bucket, sku, version, section, description, size_bytes, price_cents, stock, row_version FROM "
    "catalog.product "
    "WHERE bucket = $1::int AND sku = $2";
const char* const kSelectProducts =
    "SELECT p.bucket, p.sku, p.version, p.section, p.description, p.size_bytes, p.price_cents, p.stock, p.row_version "
    "FROM catalog.product p JOIN unnest($1::int[], $2::text[]) AS k(bucket, sku) USING (bucket, sku)";

Result<pb::Product> product_of_row(const client::Row& row) {
  pb::Product product;
  std::optional<Error> error;
  auto text = [&](const char* column) -> std::string {
    auto value = row.text(column);
    if (!value && !error) error = value.error();
    return value ? std::string(*value) : std::string();
  };
  auto number = [&](const char* column) -> int64_t {
    auto value = row.integer(column);
    if (!value && !error) error = value.error();
    return value.value_or(0);
  };
  product.set_sku(text("sku"));
  product.set_version(text("version"));
  product.set_section(text("section"));
  product.set_description(text("description"));
  product.set_size_bytes(number("size_bytes"));
  product.set_price_cents(number("price_cents"));
  product.set_stock(number("stock"));
  product.set_row_version(number("row_version"));
  if (error) return std::unexpected(error->with_context("catalog.product"));
  return product;
}

client::ScatterQuery sku_query(const SkuRange& range) {
  client::ScatterQuery query;
  query.order_by = {{.name = "sku"}};
  query.limit = range.limit;
  if (!range.section.empty()) {
    query.sql = kSelectSection;
    query.params = {range.section, range.after};
    return query;
  }
  // The column compares bytes (COLLATE "C"), so the range ends where the prefix's last byte would be the next one. A
  // sku has no byte above 'z', so there is one.
  std::string end = range.prefix;
  ++end.back();
  query.sql = kSelectPrefix;
  query.params = {range.prefix, std::move(end), range.after};
  return query;
}

shardrouter::Statement update_field(Bucket bucket, const std::string& sku, ProductField field, int64_t value) {
  return {.sql = field == ProductField::kPrice ? kSetPrice : kSetStock,
          .params = {std::to_string(bucket), sku, std::to_string(value)}};
}

std::string text_array(const std::vector<std::string>& values) {
  std::string out = "{";
  for (const std::string& value : values) {
    out += out.size() == 1 ? "\"" : ",\"";
    for (char c : value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

shardrouter::Statement upsert_products(const std::vector<ImportRow>& rows, bool keep_price_and_stock) {
  std::vector<std::vector<std::string>> columns(8);
  for (const ImportRow& row : rows) {
    const pb::Product& product = row.product;
    columns[0].push_back(std::to_string(row.bucket));
    columns[1].push_back(product.sku());
    columns[2].push_back(product.version());
    columns[3].push_back(product.section());
    columns[4].push_back(product.description());
    columns[5].push_back(std::to_string(product.size_bytes()));
    columns[6].push_back(std::to_string(product.price_cents()));
    columns[7].push_back(std::to_string(product.stock()));
  }
  shardrouter::Statement statement{.sql = keep_price_and_stock ? kUpsertKeep : kUpsertAll};
  for (const auto& column : columns) statement.params.emplace_back(text_array(column));
  return statement;
}

}  // namespace tidemark::catalog
