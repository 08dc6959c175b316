// What the order service takes: every refusal names the field first, then what would do.
// Threads: pure functions.
#pragma once

#include "base/result.h"
#include "services/order/proto/order.pb.h"

namespace tidemark::order {

namespace pb = tidemark::order::v1;

inline constexpr size_t kIdempotencyKeyBytesMax = 64;
inline constexpr int kLinesMax = 50;
inline constexpr int64_t kQuantityMax = 1000;
inline constexpr int kPageSizeMax = 100;
inline constexpr int kPageSizeDefault = 20;

Status check_place(const pb::PlaceOrderRequest& request);
Status check_get(const pb::GetOrderRequest& request);
Status check_list(const pb::ListOrdersRequest& request);
Status check_cancel(const pb::CancelOrderRequest& request);

}  // namespace tidemark::order
