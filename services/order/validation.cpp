#include "services/order/validation.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/id/row_id.h"
#include "services/catalog/validation.h"

namespace tidemark::order {
namespace {

std::unexpected<Error> refuse(const std::string& field, const std::string& why) {
  return fail(ErrorCode::kInvalidArgument, field + ": " + why);
}

Status check_id(int64_t id, const char* field) {
  if (id == 0) return refuse(field, "it is missing");
  return check_row_id(id, field);
}

Status check_key(const std::string& key) {
  if (key.empty()) return refuse("idempotency_key", "it is missing; a request that is repeated needs the same one");
  if (key.size() > kIdempotencyKeyBytesMax) {
    return refuse("idempotency_key",
                  std::to_string(key.size()) + " bytes are more than " + std::to_string(kIdempotencyKeyBytesMax));
  }
  if (!std::ranges::all_of(key, [](char c) { return c >= ' ' && c <= '~'; })) {
    return refuse("idempotency_key", "only printable ASCII characters are allowed");
  }
  return {};
}

}  // namespace

Status check_place(const pb::PlaceOrderRequest& request) {
  if (Status checked = check_id(request.customer_id(), "customer_id"); !checked) return checked;
  if (Status checked = check_key(request.idempotency_key()); !checked) return checked;
  if (request.lines().empty() || request.lines_size() > kLinesMax) {
    return refuse("lines",
                  std::to_string(request.lines_size()) + " lines are not from 1 to " + std::to_string(kLinesMax));
  }
  std::set<std::string> skus;
  for (int i = 0; i < request.lines_size(); ++i) {
    const pb::PlaceOrderRequest::Line& line = request.lines(i);
    const std::string field = "lines[" + std::to_string(i) + "]";
    if (Status checked = catalog::check_sku(line.sku()); !checked) {
      return std::unexpected(checked.error().with_context(field));
    }
    if (line.quantity() < 1 || line.quantity() > kQuantityMax) {
      return refuse(field + ".quantity",
                    std::to_string(line.quantity()) + " is not from 1 to " + std::to_string(kQuantityMax));
    }
    if (!skus.insert(line.sku()).second) {
      return refuse(field + ".sku", "\"" + line.sku() + "\" stands twice; add up its quantities");
    }
  }
  return {};
}

Status check_get(const pb::GetOrderRequest& request) {
  if (Status checked = check_id(request.order_id(), "order_id"); !checked) return checked;
  return request.has_max_stale_ms() ? catalog::check_max_stale(request.max_stale_ms()) : Status{};
}

Status check_list(const pb::ListOrdersRequest& request) {
  if (Status checked = check_id(request.customer_id(), "customer_id"); !checked) return checked;
  if (request.page_size() < 0 || request.page_size() > kPageSizeMax) {
    return refuse("page_size",
                  std::to_string(request.page_size()) + " is not from 0 to " + std::to_string(kPageSizeMax));
  }
  return request.has_max_stale_ms() ? catalog::check_max_stale(request.max_stale_ms()) : Status{};
}

Status check_cancel(const pb::CancelOrderRequest& request) {
  return check_id(request.order_id(), "order_id");
}

}  // namespace tidemark::order
