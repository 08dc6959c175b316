#include "client/key_family.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/topology/topology_json.h"
#include "client/io/families_file.h"

namespace tidemark::client {
namespace {

struct ProductBySku : KeyFamily<"product:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "product";
  static constexpr std::string_view kTable = "catalog.product";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
};
struct OrdersOfCustomer : KeyFamily<"orders:{<bucket>}:<customer_id>", std::string, Bucket, int64_t> {
  static constexpr std::string_view kName = "orders";
  static constexpr std::string_view kTable = "shop.orders";
  static constexpr std::array<std::string_view, 2> kKeyColumns = {"bucket", "customer_id"};
  static constexpr std::chrono::milliseconds kTtl = std::chrono::minutes(5);
};
struct WithTooFewColumns : KeyFamily<"a:{<b>}:<c>", std::string, std::string, std::string> {
  static constexpr std::string_view kName = "few";
  static constexpr std::string_view kTable = "s.t";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"b"};
};

// What must not compile.
template <typename F, typename... Args>
concept MakesKey = requires(const Args&... args) { F::key(args...); };
static_assert(MakesKey<ProductBySku, std::string>);
static_assert(MakesKey<ProductBySku, const char*>);
static_assert(!MakesKey<ProductBySku, int>);
static_assert(!MakesKey<ProductBySku, std::string, std::string>);
static_assert(!MakesKey<ProductBySku>);
static_assert(MakesKey<OrdersOfCustomer, int, int64_t>);
static_assert(!MakesKey<OrdersOfCustomer, int, std::string>);
static_assert(!MakesKey<OrdersOfCustomer, int, bool>);
static_assert(CachedFamily<ProductBySku>);
static_assert(!CachedFamily<WithTooFewColumns>);
static_assert(!CachedFamily<std::string>);
static_assert(!KeyPart<double>);

// Patterns that the compiler refuses in KeyFamily.
using detail::pattern_parameters;
static_assert(pattern_parameters("product:{<sku>}") == 1);
static_assert(pattern_parameters("orders:{<bucket>}:<id>") == 2);
static_assert(pattern_parameters("product:<sku>") == -1);
static_assert(pattern_parameters("product:{<sku>") == -1);
static_assert(pattern_parameters("product:{sku}") == -1);
static_assert(pattern_parameters("{<a>}:{<b>}") == -1);
static_assert(pattern_parameters("{<a><b>}") == -1);
static_assert(pattern_parameters("{<a>x}") == -1);
static_assert(pattern_parameters("{<>}") == -1);
static_assert(pattern_parameters("{<a>}<b") == -1);

TEST(KeyFamily, RendersItsKeys) {
  EXPECT_EQ(*ProductBySku::key("bash"), "product:{bash}");
  EXPECT_EQ(*ProductBySku::key_of({"vim"}), "product:{vim}");
}

TEST(KeyFamily, ABucketIsRenderedAsATagOfThatBucket) {
  auto key = OrdersOfCustomer::key(17, 42);
  ASSERT_TRUE(key) << key.error().to_string();
  EXPECT_EQ(bucket_of_slot(slot_of_key(*key)), 17);
  EXPECT_TRUE(key->ends_with(":42")) << *key;
}

TEST(KeyFamily, RefusesAValueThatWouldChangeTheSlot) {
  for (const char* bad : {"a{b", "a}b", ""}) {
    auto key = ProductBySku::key(bad);
    ASSERT_FALSE(key) << bad;
    EXPECT_EQ(key.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(KeyFamily, BecomesDataForTheRegistry) {
  const Family family = to_family<OrdersOfCustomer>();
  EXPECT_EQ(family.name, "orders");
  EXPECT_EQ(family.pattern, "orders:{<bucket>}:<customer_id>");
  EXPECT_EQ(family.table, "shop.orders");
  EXPECT_EQ(family.key_columns, (std::vector<std::string>{"bucket", "customer_id"}));
  EXPECT_EQ(family.ttl_ms, 300'000u);
  EXPECT_EQ(family.negative_ttl_ms, 10'000u);
  EXPECT_EQ(family.max_stale_ms, 60'000u);
}

TEST(FamiliesFile, HoldsWhatTheRegistryReads) {
  const auto file = std::filesystem::path(::testing::TempDir()) / "families_file_test.json";
  const auto families = families_of<ProductBySku, OrdersOfCustomer>();
  auto status = write_families_file(file, families);
  ASSERT_TRUE(status) << status.error().to_string();
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  auto read = decode_families(text.str());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, families);
  std::filesystem::remove(file);
}

TEST(FamiliesFile, RefusesTwoFamiliesOfOneName) {
  auto status = write_families_file("/nonexistent/families.json", families_of<ProductBySku, ProductBySku>());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
}

TEST(FamiliesFile, NamesTheFileItCannotWrite) {
  auto status = write_families_file("/nonexistent/families.json", families_of<ProductBySku>());
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("/nonexistent/families.json"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::client
