// A page of a list of products: its skus from all shards in order, its rows through the cache in one batch.
//
//   ListSection("shells", size 2)   skus bash dash fish (one more than asked: there is a next page)
//                                   rows bash dash     next_page_token -> after dash
//
// A product deleted between the two is left out, so a page may be shorter than asked and still have a next one; no
// product that stays is ever missed or shown twice, for the next page begins after a sku, not after a count. Threads:
// show_page() from any thread, `done` on the store's loop.
#pragma once

#include <memory>
#include <string>

#include "services/catalog/answers.h"
#include "services/catalog/product_store.h"

namespace tidemark::catalog {

struct Page {
  SkuRange range;     // limit: the page's size
  std::string scope;  // what the page token is bound to
};

// kInvalidArgument names the field.
Result<Page> page_of(const pb::ListSectionRequest& request);
Result<Page> page_of(const pb::SearchProductsRequest& request);

// Fills the response; the result is its worst freshness. One row that cannot be had fails the page: a list with a hole
// would look like a list.
void show_page(std::shared_ptr<ProductStore> store, Page page, client::ReadOptions options,
               pb::ListProductsResponse* response, client::Callback<Result<WorstFreshness>> done);

}  // namespace tidemark::catalog
