#include "services/order/order_sql.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "services/catalog/product_sql.h"

namespace tidemark::order {
namespace {

using shardrouter::Statement;

#define TIDEMARK_SELECT_ORDER                                                                                  \
  "SELECT o.bucket, o.id, o.customer_id, o.state, o.failure, o.total_cents, o.row_version, "                   \
  "(extract(epoch FROM o.created_at) * 1000)::bigint AS created_ms, l.line, l.sku, l.quantity, l.price_cents " \
  "FROM shop.orders o JOIN shop.order_line l ON l.bucket = o.bucket AND l.order_id = o.id "

constexpr const char* kReserve =
    "SELECT outcome, price FROM catalog.reserve($1::int, $2, $3::bigint, $4::bigint, $5::bigint)";
constexpr const char* kConfirm = "SELECT outcome FROM catalog.confirm($1::int, $2, $3::bigint, $4::bigint, $5::bigint)";
constexpr const char* kRelease = "SELECT outcome FROM catalog.release($1::int, $2, $3::bigint, $4::bigint)";
constexpr const char* kPlace =
    "SELECT shop.place_order($1::int, $2::bigint, $3::bigint, $4, $5::bigint, $6::text[], $7::bigint[], $8::bigint[]) "
    "AS is_new";
constexpr const char* kCancel = "SELECT shop.cancel_order($1::int, $2::bigint) AS state_before";

// Columns of a row; the first one that cannot be read is remembered.
class Reader {
 public:
  explicit Reader(const client::Row& row) : row_(row) {}
  std::string text(const char* column) {
    auto value = row_.text(column);
    if (!value && !error_) error_ = value.error();
    return value ? std::string(*value) : std::string();
  }
  int64_t number(const char* column) {
    auto value = row_.integer(column);
    if (!value && !error_) error_ = value.error();
    return value.value_or(0);
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const client::Row& row_;
  std::optional<Error> error_;
};

std::vector<std::optional<std::string>> key_params(const ReservationKey& key) {
  return {std::to_string(key.bucket), key.sku, std::to_string(key.order_id), std::to_string(key.quantity)};
}

}  // namespace

const char* const kSelectOrder = TIDEMARK_SELECT_ORDER "WHERE o.bucket = $2::int AND o.id = $3::bigint";
const char* const kSelectOrders = TIDEMARK_SELECT_ORDER
    "JOIN unnest($2::int[], $3::bigint[]) AS k(bucket, id) ON k.bucket = o.bucket AND k.id = o.id";
const char* const kSelectOrderById = TIDEMARK_SELECT_ORDER "WHERE o.bucket = $1::int AND o.id = $2::bigint";
const char* const kSelectOrderByKey =
    TIDEMARK_SELECT_ORDER "WHERE o.bucket = $1::int AND o.customer_id = $2::bigint AND o.idempotency_key = $3";
const char* const kSelectNewestIds =
    "SELECT bucket, customer_id, id FROM shop.orders WHERE bucket = $2::int AND customer_id = $3::bigint "
    "ORDER BY id DESC LIMIT 101";
const char* const kSelectOlderIds =
    "SELECT bucket, customer_id, id FROM shop.orders WHERE bucket = $1::int AND customer_id = $2::bigint "
    "AND id < $3::bigint ORDER BY id DESC LIMIT $4::int";
static_assert(kNewestOrdersMax == 101, "stands in kSelectNewestIds too");

Result<pb::OrderState> parse_state(std::string_view text) {
  if (text == "pending") return pb::PENDING;
  if (text == "confirmed") return pb::CONFIRMED;
  if (text == "cancelling") return pb::CANCELLING;
  if (text == "cancelled") return pb::CANCELLED;
  if (text == "failed") return pb::FAILED;
  return fail(ErrorCode::kInternal, "shop.orders: unknown state \"" + std::string(text) + "\"");
}

Result<pb::Order> order_of_rows(std::span<const client::Row> rows) {
  if (rows.empty()) return fail(ErrorCode::kInternal, "shop.orders: an order without rows");
  Reader first(rows[0]);
  pb::Order order;
  order.set_id(first.number("id"));
  order.set_customer_id(first.number("customer_id"));
  order.set_failure(first.text("failure"));
  order.set_total_cents(first.number("total_cents"));
  order.set_created_ms(first.number("created_ms"));
  order.set_row_version(first.number("row_version"));
  const std::string state = first.text("state");
  if (first.error()) return std::unexpected(first.error()->with_context("shop.orders"));
  auto parsed = parse_state(state);
  if (!parsed) return std::unexpected(parsed.error());
  order.set_state(*parsed);
  std::map<int64_t, pb::OrderLine> lines;
  for (const client::Row& row : rows) {
    Reader reader(row);
    pb::OrderLine& line = lines[reader.number("line")];
    line.set_sku(reader.text("sku"));
    line.set_quantity(reader.number("quantity"));
    line.set_price_cents(reader.number("price_cents"));
    if (reader.error()) return std::unexpected(reader.error()->with_context("shop.order_line"));
  }
  for (auto& [number, line] : lines) *order.add_lines() = std::move(line);
  return order;
}

Result<pb::NewestOrders> newest_of_rows(std::span<const client::Row> rows) {
  std::vector<int64_t> ids;
  for (const client::Row& row : rows) {
    auto id = row.integer("id");
    if (!id) return std::unexpected(id.error().with_context("shop.orders"));
    ids.push_back(*id);
  }
  std::ranges::sort(ids, std::greater());
  pb::NewestOrders newest;
  newest.mutable_ids()->Assign(ids.begin(), ids.end());
  return newest;
}

Statement reserve_statement(const ReservationKey& key, Duration ttl) {
  Statement statement{.sql = kReserve, .params = key_params(key)};
  statement.params.emplace_back(std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(ttl).count()));
  return statement;
}

Statement confirm_statement(const ReservationKey& key, int64_t price_cents) {
  Statement statement{.sql = kConfirm, .params = key_params(key)};
  statement.params.emplace_back(std::to_string(price_cents));
  return statement;
}

Statement release_statement(const ReservationKey& key) {
  return {.sql = kRelease, .params = key_params(key)};
}

Statement place_statement(Bucket bucket, const pb::Order& order, const std::string& idempotency_key) {
  std::vector<std::string> skus, quantities, prices;
  for (const pb::OrderLine& line : order.lines()) {
    skus.push_back(line.sku());
    quantities.push_back(std::to_string(line.quantity()));
    prices.push_back(std::to_string(line.price_cents()));
  }
  return {.sql = kPlace,
          .params = {std::to_string(bucket), std::to_string(order.id()), std::to_string(order.customer_id()),
                     idempotency_key, std::to_string(order.total_cents()), catalog::text_array(skus),
                     catalog::text_array(quantities), catalog::text_array(prices)}};
}

Statement cancel_statement(Bucket bucket, int64_t order_id) {
  return {.sql = kCancel, .params = {std::to_string(bucket), std::to_string(order_id)}};
}

}  // namespace tidemark::order
