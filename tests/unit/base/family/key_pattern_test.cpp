#include "base/family/key_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace tidemark {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

KeyPattern pattern(std::string_view text) {
  Result<KeyPattern> parsed = KeyPattern::parse(text);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  return parsed.value_or(KeyPattern());
}

Result<std::string> render(const KeyPattern& pattern, std::vector<std::string_view> values) {
  return pattern.render(values);
}

TEST(KeyPattern, RendersANaturalTagAsItIs) {
  KeyPattern product = pattern("product:{<sku>}");
  EXPECT_EQ(render(product, {"libc6"}).value(), "product:{libc6}");
  EXPECT_EQ(product.prefix(), "product:{");
  EXPECT_TRUE(product.has_natural_tag());
  EXPECT_THAT(product.parameters(), ElementsAre("sku"));
  EXPECT_EQ(bucket_of_slot(slot_of_key("product:{libc6}")), bucket_of_natural_key("libc6"));
}

TEST(KeyPattern, RendersABucketAsOneOfItsFourTags) {
  KeyPattern orders = pattern("orders:{<bucket>}:<customer_id>");
  EXPECT_FALSE(orders.has_natural_tag());
  std::set<Slot> slots;
  for (int customer = 0; customer < 200; ++customer) {
    std::string key = render(orders, {"1234", std::to_string(customer)}).value();
    ASSERT_EQ(bucket_of_slot(slot_of_key(key)), 1234);
    slots.insert(slot_of_key(key));
    ASSERT_THAT(orders.match(key).value(), ElementsAre("1234", std::to_string(customer)));
  }
  EXPECT_EQ(slots.size(), 4u);
}

TEST(KeyPattern, AnotherTagOfTheSameBucketIsNoKeyOfThePattern) {
  KeyPattern orders = pattern("orders:{<bucket>}:<customer_id>");
  Slot right = slot_of_key(render(orders, {"7", "42"}).value());
  int matches = 0;
  for (Slot slot = 28; slot < 32; ++slot) {
    bool is_match = orders.match("orders:{" + std::string(tag_for_slot(slot)) + "}:42").has_value();
    EXPECT_EQ(is_match, slot == right);
    matches += is_match;
  }
  EXPECT_EQ(matches, 1);
}

TEST(KeyPattern, ReadsBackWhatItRendered) {
  KeyPattern page = pattern("page:<shop>:{<sku>}:v<version>.html");
  std::string key = render(page, {"s1", "a+b", "3"}).value();
  EXPECT_EQ(key, "page:s1:{a+b}:v3.html");
  EXPECT_THAT(page.match(key).value(), ElementsAre("s1", "a+b", "3"));
}

TEST(KeyPattern, MatchesOnlyWholeKeys) {
  KeyPattern product = pattern("product:{<sku>}");
  for (std::string_view key :
       {"product:{}", "product:{a", "product:{a}x", "product:a", "Product:{a}", "", "product:{a{b}"}) {
    EXPECT_FALSE(product.match(key)) << key;
  }
}

TEST(KeyPattern, RefusesValuesThatWouldChangeTheKeysReading) {
  KeyPattern page = pattern("page:<shop>::{<sku>}");
  EXPECT_THAT(render(page, {"a", ""}).error().message, HasSubstr("<sku>: it is empty"));
  EXPECT_THAT(render(page, {"a", "x}y"}).error().message, HasSubstr("braces and control bytes"));
  EXPECT_THAT(render(page, {"a", std::string_view("x\0y", 3)}).error().message, HasSubstr("braces and control bytes"));
  EXPECT_THAT(render(page, {"a::{b", "x"}).error().message, HasSubstr("braces"));
  EXPECT_THAT(render(page, {"a"}).error().message, HasSubstr("takes 2 values, not 1"));
  KeyPattern two = pattern("t:<a>::<b>:{<c>}");
  EXPECT_THAT(render(two, {"x:", "y", "z"}).error().message, HasSubstr("contains \"::\""));
  EXPECT_THAT(render(two, {"x::y", "y", "z"}).error().message, HasSubstr("contains \"::\""));
  EXPECT_THAT(render(pattern("o:{<bucket>}"), {"4096"}).error().message, HasSubstr("0 to 4095"));
}

TEST(KeyPattern, RefusesPatternsThatAreNone) {
  struct Case {
    std::string_view text, why;
  };
  for (const Case& each :
       {Case{"product:<sku>", "needs one {<parameter>}"}, Case{"{<sku>}x{<b>}", "only one pair"},
        Case{"p:{sku}", "exactly one <parameter>"}, Case{"p:{<a>x}", "exactly one <parameter>"},
        Case{"p:{<a>", "exactly one <parameter>"}, Case{"p:<a>}", "must follow"}, Case{"p:{<a>}b}", "must follow"},
        Case{"p:{<a>}:<b>}", "must follow"}, Case{"<a>{<b>}", "start with literal"},
        Case{"p:{<a>}:<b><c>", "between them"}, Case{"p:{<a>}:<a>", "stands twice"},
        Case{"p:{<A>}", "parameter's name"}, Case{"p:{<a>}:<bucket>", "<bucket> may only"},
        Case{"p:{<a", "'<' without '>'"}, Case{"p>", "'>' without '<'"}, Case{"p\n:{<a>}", "control byte"}}) {
    Result<KeyPattern> parsed = KeyPattern::parse(each.text);
    ASSERT_FALSE(parsed) << each.text;
    EXPECT_THAT(parsed.error().message, HasSubstr(each.why)) << each.text;
  }
}

}  // namespace
}  // namespace tidemark
