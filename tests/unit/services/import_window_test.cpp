#include "services/catalog/import_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/slot.h"

namespace tidemark::catalog {
namespace {

using testing::HasSubstr;

pb::ImportProductsRequest request(const std::vector<std::string>& skus, bool keep = false) {
  pb::ImportProductsRequest request;
  for (const std::string& sku : skus) request.add_products()->set_sku(sku);
  request.set_keep_price_and_stock(keep);
  return request;
}

std::optional<ShardId> one_shard(Bucket) {
  return ShardId{0};
}

TEST(ImportWindow, KeepsTheLaterOfTwoRowsOfOneSku) {
  ImportWindow window;
  pb::ImportProductsRequest first = request({"bash", "zsh"}), second = request({"bash"});
  second.mutable_products(0)->set_version("2");
  window.add(first);
  window.add(second);
  auto batches = window.take_batches(one_shard);
  ASSERT_EQ(batches->size(), 1u);
  ASSERT_EQ(batches->at(0).rows.size(), 2u);
  for (const ImportRow& row : batches->at(0).rows)
    EXPECT_EQ(row.product.version(), row.product.sku() == "bash" ? "2" : "");
  EXPECT_EQ(window.summary().superseded(), 1);
  EXPECT_TRUE(window.is_empty());
}

TEST(ImportWindow, CountsAndNamesWhatItRejectsAndTakesTheRest) {
  ImportWindow window;
  window.add(request({"good", "BAD"}));
  for (int i = 0; i < ImportWindow::kRejectionsShown; ++i) window.add(request({"BAD"}));
  EXPECT_EQ(window.summary().rejected(), ImportWindow::kRejectionsShown + 1);
  EXPECT_EQ(window.summary().rejections_size(), ImportWindow::kRejectionsShown);
  EXPECT_THAT(window.summary().rejections(0), HasSubstr("sku \"BAD\": sku: "));
  EXPECT_EQ(window.take_batches(one_shard)->at(0).rows.size(), 1u);
}

TEST(ImportWindow, SplitsByShardAndByWhatIsKept) {
  ImportWindow window;
  for (int i = 0; i < 100; ++i) window.add(request({"p" + std::to_string(i)}, i % 2 == 0));
  auto batches = window.take_batches([](Bucket bucket) { return std::optional(static_cast<ShardId>(bucket % 3)); });
  size_t rows = 0;
  for (const ImportBatch& batch : *batches) {
    for (const ImportRow& row : batch.rows) {
      EXPECT_EQ(row.bucket % 3, batch.shard);
      EXPECT_EQ(row.bucket, bucket_of_natural_key(row.product.sku()));
      EXPECT_EQ(std::stoi(row.product.sku().substr(1)) % 2 == 0, batch.keep_price_and_stock);
    }
    rows += batch.rows.size();
  }
  EXPECT_EQ(rows, 100u);
  EXPECT_EQ(batches->size(), 6u);
}

TEST(ImportWindow, CutsTransactionsAtTheirLimitsInOrderOfBuckets) {
  ImportWindow window;
  for (int i = 0; !window.is_full(); ++i) window.add(request({"p" + std::to_string(i)}));
  auto batches = window.take_batches(one_shard);
  size_t rows = 0;
  int last_bucket = -1;
  for (const ImportBatch& batch : *batches) {
    std::set<Bucket> buckets;
    for (const ImportRow& row : batch.rows) {
      EXPECT_GE(row.bucket, last_bucket);
      last_bucket = row.bucket;
      buckets.insert(row.bucket);
    }
    EXPECT_LE(batch.rows.size(), ImportWindow::kBatchRowsMax);
    EXPECT_LE(buckets.size(), ImportWindow::kBatchBucketsMax);
    rows += batch.rows.size();
  }
  EXPECT_EQ(rows, ImportWindow::kRowsMax);
}

TEST(ImportWindow, KeepsItsRowsWhenABucketHasNoShard) {
  ImportWindow window;
  window.add(request({"bash"}));
  auto batches = window.take_batches([](Bucket) { return std::optional<ShardId>(); });
  EXPECT_EQ(batches.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(window.is_empty());
}

TEST(ProductSql, QuotesArraysAsPostgresReadsThem) {
  EXPECT_EQ(text_array({}), "{}");
  EXPECT_EQ(text_array({"a", "", "q\"b\\c", "{,}", "NULL"}), R"({"a","","q\"b\\c","{,}","NULL"})");
}

TEST(ProductSql, GivesOneParameterPerColumnAndTheKeepingVariant) {
  ImportRow row{.bucket = 7, .product = {}};
  row.product.set_sku("bash");
  row.product.set_price_cents(12);
  auto statement = upsert_products({row, row}, false);
  ASSERT_EQ(statement.params.size(), 8u);
  EXPECT_EQ(statement.params[0], R"({"7","7"})");
  EXPECT_EQ(statement.params[6], R"({"12","12"})");
  EXPECT_THAT(statement.sql, HasSubstr("price_cents = EXCLUDED.price_cents"));
  EXPECT_THAT(upsert_products({row}, true).sql, testing::Not(HasSubstr("price_cents = EXCLUDED")));
}

TEST(ProductSql, ReadsARowAndNamesTheColumnThatIsWrong) {
  shardrouter::ResultSet rows;
  rows.columns = {"sku", "version", "section", "description", "size_bytes", "price_cents", "stock", "row_version"};
  rows.rows = {{"bash", "5.2", "shells", "d", "100", "5", "6", "7"},
               {"bash", "5.2", "shells", "d", "100", "x", "6", "7"}};
  auto product = product_of_row(client::Row(rows, 0));
  ASSERT_TRUE(product) << product.error().to_string();
  EXPECT_EQ(product->sku(), "bash");
  EXPECT_EQ(product->row_version(), 7);
  EXPECT_THAT(product_of_row(client::Row(rows, 1)).error().message, HasSubstr("price_cents"));
}

}  // namespace
}  // namespace tidemark::catalog
