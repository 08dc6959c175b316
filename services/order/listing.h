// A page of a customer's orders, newest first: ids first, then the orders through the cache in one batch.
//
//   the first pages   ids from the key orders_of:…, which holds the kNewestOrdersMax newest
//   further ones      ids from the primary
//
// A page token says below which id the next page begins; ids of one customer ascend with time, so orders placed between
// two pages move nothing. Threads: show_page() from any thread, `done` on the store's loop.
#pragma once

#include <memory>
#include <string>

#include "services/catalog/answers.h"
#include "services/order/order_store.h"

namespace tidemark::order {

struct ListPage {
  int64_t customer_id = 0;
  int size = 0;
  int64_t below = 0;  // 0: from the newest
};

Result<ListPage> page_of(const pb::ListOrdersRequest& request);  // kInvalidArgument names the field

// Fills the response; the result is its worst freshness. One order that cannot be had fails the page.
void show_page(std::shared_ptr<OrderStore> store, ListPage page, client::ReadOptions options,
               pb::ListOrdersResponse* response, client::Callback<Result<catalog::WorstFreshness>> done);

}  // namespace tidemark::order
