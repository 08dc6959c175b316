#include "services/catalog/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/unit/services/fake_store.h"

namespace tidemark::catalog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class ListingTest : public testing::Test {
 protected:
  void add(const std::string& sku, const std::string& section) {
    pb::Product product;
    product.set_sku(sku);
    product.set_section(section);
    store_->products[sku] = product;
  }
  pb::ListSectionRequest section(const std::string& name, int page_size = 0, const std::string& token = "") {
    pb::ListSectionRequest request;
    request.set_section(name);
    request.set_page_size(page_size);
    request.set_page_token(token);
    return request;
  }
  pb::SearchProductsRequest search(const std::string& prefix, int page_size = 0, const std::string& token = "") {
    pb::SearchProductsRequest request;
    request.set_prefix(prefix);
    request.set_page_size(page_size);
    request.set_page_token(token);
    return request;
  }
  template <typename Request>
  Result<std::vector<std::string>> show(const Request& request) {
    response_.Clear();
    auto page = page_of(request);
    if (!page) return std::unexpected(page.error());
    std::promise<Result<WorstFreshness>> promise;
    show_page(store_, *page, {}, &response_,
              [&](Result<WorstFreshness> worst) { promise.set_value(std::move(worst)); });
    worst_ = promise.get_future().get();
    if (!worst_) return std::unexpected(worst_.error());
    std::vector<std::string> skus;
    for (const auto& product : response_.products()) skus.push_back(product.sku());
    return skus;
  }

  std::shared_ptr<FakeStore> store_ = std::make_shared<FakeStore>();
  pb::ListProductsResponse response_;
  Result<WorstFreshness> worst_;
};

TEST_F(ListingTest, PagesGiveEveryProductOfTheSectionOnceAndInOrder) {
  for (const char* sku : {"zsh", "bash", "dash", "fish", "mksh"}) add(sku, "shells");
  add("vim", "editors");
  EXPECT_THAT(*show(section("shells", 2)), ElementsAre("bash", "dash"));
  EXPECT_THAT(*show(section("shells", 2, response_.next_page_token())), ElementsAre("fish", "mksh"));
  EXPECT_THAT(*show(section("shells", 2, response_.next_page_token())), ElementsAre("zsh"));
  EXPECT_EQ(response_.next_page_token(), "");
}

TEST_F(ListingTest, AFullLastPageHasNoNextOne) {
  for (const char* sku : {"bash", "dash"}) add(sku, "shells");
  EXPECT_THAT(*show(section("shells", 2)), ElementsAre("bash", "dash"));
  EXPECT_EQ(response_.next_page_token(), "");
}

TEST_F(ListingTest, AProductDeletedMeanwhileIsLeftOutAndThePagesGoOn) {
  for (const char* sku : {"bash", "dash", "fish"}) add(sku, "shells");
  store_->deleted_after_list = {"dash"};
  EXPECT_THAT(*show(section("shells", 2)), ElementsAre("bash"));
  EXPECT_THAT(*show(section("shells", 2, response_.next_page_token())), ElementsAre("fish"));
}

TEST_F(ListingTest, ARowThatCannotBeHadFailsThePageAndIsNamed) {
  for (const char* sku : {"bash", "dash"}) add(sku, "shells");
  store_->read_errors["dash"] = {ErrorCode::kUnavailable, "nobody answers"};
  auto shown = show(section("shells"));
  ASSERT_FALSE(shown);
  EXPECT_EQ(shown.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(shown.error().message, HasSubstr("dash"));
}

TEST_F(ListingTest, AShardThatDoesNotAnswerFailsThePage) {
  store_->list_error = Error{ErrorCode::kUnavailable, "shard 1"};
  EXPECT_EQ(show(section("shells")).error().code, ErrorCode::kUnavailable);
}

TEST_F(ListingTest, TheFreshnessIsThatOfTheStalestPart) {
  for (const char* sku : {"bash", "dash"}) add(sku, "shells");
  store_->freshness["bash"] = {client::Origin::kNode, 90};
  store_->list_staleness_ms = 30;
  ASSERT_TRUE(show(section("shells")));
  EXPECT_EQ(response_.freshness().staleness_ms(), 90);
  EXPECT_EQ(worst_->origin, "node");
  store_->list_staleness_ms = 200;
  ASSERT_TRUE(show(section("shells")));
  EXPECT_EQ(response_.freshness().staleness_ms(), 200);
  EXPECT_EQ(response_.freshness().origin(), "replica");
}

TEST_F(ListingTest, AnEmptyListIsAnAnswerWithItsFreshness) {
  EXPECT_THAT(*show(section("games")), ElementsAre());
  EXPECT_EQ(response_.freshness().staleness_ms(), 5);
}

TEST_F(ListingTest, SearchFindsByPrefix) {
  for (const char* sku : {"libc6", "libc-dev", "libd", "lib"}) add(sku, "libs");
  EXPECT_THAT(*show(search("libc", 1)), ElementsAre("libc-dev"));
  EXPECT_THAT(*show(search("libc", 1, response_.next_page_token())), ElementsAre("libc6"));
  EXPECT_EQ(response_.next_page_token(), "");
}

TEST_F(ListingTest, APageTokenServesOnlyTheListItCameFrom) {
  for (const char* sku : {"bash", "bashdb", "dash"}) add(sku, "ba");
  ASSERT_TRUE(show(section("ba", 1)));
  std::string token = response_.next_page_token();
  for (auto refused : {show(section("bb", 1, token)), show(search("ba", 1, token)), show(section("ba", 1, token + "A")),
                       show(section("ba", 1, "garbage"))}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(refused.error().message, StartsWith("page_token: "));
  }
  EXPECT_TRUE(show(section("ba", 3, token)));  // another page size is no other list
}

TEST_F(ListingTest, NamesTheFieldOfBadInput) {
  EXPECT_THAT(show(section("")).error().message, StartsWith("section: "));
  EXPECT_THAT(show(section(std::string(129, 'x'))).error().message, StartsWith("section: "));
  EXPECT_THAT(show(section("shells", -1)).error().message, StartsWith("page_size: -1"));
  EXPECT_THAT(show(section("shells", 101)).error().message, StartsWith("page_size: 101"));
  for (const char* prefix : {"", "b", "ba%", "b_", "Ba", "%%"}) {
    EXPECT_THAT(show(search(prefix)).error().message, StartsWith("prefix: ")) << prefix;
  }
  ASSERT_TRUE(show(section("shells")));
  EXPECT_EQ(store_->last_range.limit, 21u);  // the default page and one more
}

TEST(SkuQuery, APrefixIsARangeOfBytes) {
  auto query = sku_query({.prefix = "libc+", .after = "libc+x", .limit = 7});
  EXPECT_THAT(query.params, ElementsAre("libc+", "libc,", "libc+x"));
  EXPECT_EQ(query.limit, 7u);
  EXPECT_THAT(sku_query({.prefix = "oz", .limit = 7}).params, ElementsAre("oz", "o{", ""));
  EXPECT_THAT(sku_query({.section = "sh'; --", .after = "a", .limit = 1}).params, ElementsAre("sh'; --", "a"));
}

}  // namespace
}  // namespace tidemark::catalog
