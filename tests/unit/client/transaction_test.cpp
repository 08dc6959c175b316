#include "client/transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::client {
namespace {

struct OrdersOfCustomer : KeyFamily<"orders:{<customer>}", std::string, std::string> {
  static constexpr std::string_view kName = "orders";
  static constexpr std::string_view kTable = "shop.orders";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"customer"};
};

TEST(Transaction, ItsKeysTravelInOneMessageAfterItsStatements) {
  Transaction tx({3});
  tx.run({"UPDATE a"}).run({"UPDATE b"}).invalidate<OrdersOfCustomer>("ada").invalidate<OrdersOfCustomer>("bob");
  tx.invalidate<OrdersOfCustomer>("ada");
  EXPECT_EQ(tx.statement_count(), 2u);
  const auto statements = std::move(tx).take_statements();
  ASSERT_TRUE(statements);
  ASSERT_EQ(statements->size(), 3u);
  EXPECT_EQ((*statements)[1].sql, "UPDATE b");
  EXPECT_THAT((*statements)[2].sql, ::testing::HasSubstr("pg_logical_emit_message(true, 'cache.inval'"));
  EXPECT_THAT((*statements)[2].params, ::testing::ElementsAre("orders:{ada}\norders:{bob}"));
}

TEST(Transaction, InvalidatingAKeyTouchesItsBucket) {
  Transaction tx({3});
  tx.invalidate<OrdersOfCustomer>("ada");
  EXPECT_THAT(tx.buckets(), ::testing::ElementsAre(3, bucket_of_natural_key("ada")));
}

TEST(Transaction, WithoutKeysThereIsNoMessage) {
  Transaction tx({3});
  tx.run({"UPDATE a"});
  EXPECT_EQ(std::move(tx).take_statements()->size(), 1u);
}

TEST(Transaction, TheFirstBadKeyIsWhatItAnswers) {
  Transaction tx({3});
  tx.invalidate<OrdersOfCustomer>("a}b").invalidate_key(fail(ErrorCode::kInternal, "second"));
  const auto statements = std::move(tx).take_statements();
  ASSERT_FALSE(statements);
  EXPECT_EQ(statements.error().code, ErrorCode::kInvalidArgument);
}

TEST(Transaction, RefusesMoreStatementsOrKeysThanItsLimits) {
  Transaction many;
  for (size_t i = 0; i <= Transaction::kStatementsMax; ++i) many.run({"SELECT 1"});
  EXPECT_FALSE(std::move(many).take_statements());
  Transaction keys;
  for (size_t i = 0; i <= Transaction::kKeysMax; ++i) keys.invalidate<OrdersOfCustomer>("c" + std::to_string(i));
  EXPECT_FALSE(std::move(keys).take_statements());
}

}  // namespace
}  // namespace tidemark::client
