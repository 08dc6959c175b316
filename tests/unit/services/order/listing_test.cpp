#include "services/order/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/id/row_id.h"
#include "services/order/validation.h"
#include "tests/unit/services/order/fake_order_store.h"

namespace tidemark::order {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const int64_t kCustomer = make_row_id({.time = {kRowIdEpochMs + 1}, .bucket = 7});

class OrderListing : public testing::Test {
 protected:
  void add_orders(int count) {
    for (int i = 0; i < count; ++i) {
      pb::Order order;
      order.set_id(make_row_id({.time = {kRowIdEpochMs + 100 + i}, .bucket = 7}));
      order.set_customer_id(kCustomer);
      store_->orders[{kCustomer, std::to_string(i)}] = order;
      expected_.insert(expected_.begin(), order.id());
    }
  }
  std::vector<int64_t> list(int page_size, int* pages = nullptr) {
    pb::ListOrdersRequest request;
    request.set_customer_id(kCustomer);
    request.set_page_size(page_size);
    std::vector<int64_t> ids;
    for (int page = 1; page < 1000; ++page) {
      pb::ListOrdersResponse response;
      auto parsed = page_of(request);
      EXPECT_TRUE(parsed) << parsed.error().message;
      show_page(store_, *parsed, {}, &response, [&](auto worst) { EXPECT_TRUE(worst); });
      EXPECT_LE(response.orders_size(), page_size);
      for (const auto& order : response.orders()) ids.push_back(order.id());
      EXPECT_EQ(response.freshness().staleness_ms(), 7) << "the list is older than its rows";
      if (pages != nullptr) *pages = page;
      if (response.next_page_token().empty()) break;
      request.set_page_token(response.next_page_token());
    }
    return ids;
  }

  std::shared_ptr<FakeOrderStore> store_ = std::make_shared<FakeOrderStore>();
  std::vector<int64_t> expected_;
};

TEST_F(OrderListing, NoOrdersAreAnEmptyPage) {
  EXPECT_THAT(list(10), IsEmpty());
}

TEST_F(OrderListing, PagesGiveEveryOrderOnceNewestFirst) {
  for (int count : {1, 20, 100, 101, 102, 250}) {
    store_->orders.clear();
    expected_.clear();
    add_orders(count);
    for (int size : {1, 7, 100}) EXPECT_EQ(list(size), expected_) << count << " orders, pages of " << size;
  }
}

TEST_F(OrderListing, FirstPagesComeFromTheKeyAloneAndNoEmptyPageFollowsTheLast) {
  add_orders(101);
  int pages = 0;
  list(50, &pages);
  EXPECT_EQ(pages, 3);
  store_->olders = 0;
  pb::ListOrdersRequest request;
  request.set_customer_id(kCustomer);
  request.set_page_size(100);
  pb::ListOrdersResponse response;
  show_page(store_, *page_of(request), {}, &response, [](auto) {});
  EXPECT_EQ(store_->olders, 0);
  EXPECT_FALSE(response.next_page_token().empty());
}

TEST_F(OrderListing, APageTokenOfAnotherCustomerIsRefused) {
  add_orders(5);
  pb::ListOrdersRequest request;
  request.set_customer_id(kCustomer);
  request.set_page_size(2);
  pb::ListOrdersResponse response;
  show_page(store_, *page_of(request), {}, &response, [](auto) {});
  request.set_customer_id(kCustomer + 1);
  request.set_page_token(response.next_page_token());
  auto page = page_of(request);
  ASSERT_FALSE(page);
  EXPECT_THAT(page.error().message, HasSubstr("page_token"));
}

TEST(OrderValidation, EveryRefusalNamesItsField) {
  auto refusal = [](auto change) {
    pb::PlaceOrderRequest request;
    request.set_customer_id(kCustomer);
    request.set_idempotency_key("k");
    request.add_lines()->set_sku("bash");
    request.mutable_lines(0)->set_quantity(1);
    EXPECT_TRUE(check_place(request));
    change(request);
    Status checked = check_place(request);
    EXPECT_FALSE(checked);
    return checked ? "" : checked.error().message;
  };
  EXPECT_THAT(refusal([](auto& r) { r.set_customer_id(0); }), HasSubstr("customer_id"));
  EXPECT_THAT(refusal([](auto& r) { r.set_customer_id(-5); }), HasSubstr("customer_id"));
  EXPECT_THAT(refusal([](auto& r) { r.set_idempotency_key(""); }), HasSubstr("idempotency_key"));
  EXPECT_THAT(refusal([](auto& r) { r.set_idempotency_key("a\nb"); }), HasSubstr("printable"));
  EXPECT_THAT(refusal([](auto& r) { r.set_idempotency_key(std::string(65, 'x')); }), HasSubstr("64"));
  EXPECT_THAT(refusal([](auto& r) { r.clear_lines(); }), HasSubstr("lines"));
  EXPECT_THAT(refusal([](auto& r) { r.mutable_lines(0)->set_quantity(1001); }), HasSubstr("lines[0].quantity"));
  EXPECT_THAT(refusal([](auto& r) { *r.add_lines() = r.lines(0); }), HasSubstr("lines[1].sku"));
  EXPECT_THAT(refusal([](auto& r) { r.mutable_lines(0)->set_sku("B"); }), HasSubstr("lines[0]"));
  EXPECT_THAT(refusal([](auto& r) {
                for (int i = 0; i < 50; ++i) *r.add_lines() = r.lines(0);
              }),
              HasSubstr("51 lines"));
}

}  // namespace
}  // namespace tidemark::order
