#include "services/catalog/validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::catalog {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

pb::Product product() {
  pb::Product product;
  product.set_sku("libstdc++6");
  product.set_version("12.2.0-14");
  product.set_price_cents(1999);
  return product;
}

TEST(Validation, TakesDebianPackageNames) {
  for (std::string_view sku : {"bash", "0ad", "libstdc++6", "python3.11", "g++-12", "a"})
    EXPECT_TRUE(check_sku(sku)) << sku;
  EXPECT_TRUE(check_sku(std::string(kSkuBytesMax, 'a')));
}

TEST(Validation, RefusesOtherSkusNamingTheField) {
  for (std::string_view sku : {"", "Bash", "-x", ".x", "+x", "a b", "a{b", "a}b", "a_b", "ä"}) {
    Status status = check_sku(sku);
    ASSERT_FALSE(status) << sku;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(status.error().message, StartsWith("sku: "));
  }
  EXPECT_THAT(check_sku(std::string(kSkuBytesMax + 1, 'a')).error().message, HasSubstr("129 bytes are more than 128"));
}

TEST(Validation, RefusesEachFieldOutOfItsRange) {
  ASSERT_TRUE(check_product(product()));
  auto refusal = [](auto change) {
    pb::Product changed = product();
    change(changed);
    Status status = check_product(changed);
    return status ? std::string() : status.error().message;
  };
  EXPECT_THAT(refusal([](auto& p) { p.set_price_cents(-1); }), StartsWith("price_cents: -1 is not from 0"));
  EXPECT_THAT(refusal([](auto& p) { p.set_price_cents(kPriceCentsMax + 1); }), StartsWith("price_cents: "));
  EXPECT_THAT(refusal([](auto& p) { p.set_stock(-5); }), StartsWith("stock: "));
  EXPECT_THAT(refusal([](auto& p) { p.set_size_bytes(-5); }), StartsWith("size_bytes: "));
  EXPECT_THAT(refusal([](auto& p) { p.set_version(std::string(kVersionBytesMax + 1, 'x')); }), StartsWith("version: "));
  EXPECT_THAT(refusal([](auto& p) { p.set_section(std::string(kSectionBytesMax + 1, 'x')); }), StartsWith("section: "));
  EXPECT_THAT(refusal([](auto& p) { p.set_description(std::string("a\0b", 3)); }),
              StartsWith("description: a zero byte"));
}

TEST(Validation, RefusesBatchesThatAreEmptyTooLongOrHoldABadSku) {
  pb::BatchGetProductsRequest request;
  EXPECT_THAT(check_batch(request).error().message, StartsWith("skus: it is empty"));
  for (int i = 0; i < kBatchSkusMax; ++i) request.add_skus("a");
  EXPECT_TRUE(check_batch(request));
  request.add_skus("a");
  EXPECT_THAT(check_batch(request).error().message, HasSubstr("501 are more than 500"));
  request.clear_skus();
  request.add_skus("a");
  request.add_skus("B");
  EXPECT_THAT(check_batch(request).error().message, StartsWith("skus[1]: sku: "));
  request.set_skus(1, "b");
  request.set_max_stale_ms(-1);
  EXPECT_THAT(check_batch(request).error().message, StartsWith("max_stale_ms: "));
}

}  // namespace
}  // namespace tidemark::catalog
