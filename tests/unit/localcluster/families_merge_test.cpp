#include "tools/localcluster/families_merge.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/topology/topology_json.h"

namespace tidemark::localcluster {
namespace {

Family family(const std::string& name, const std::string& table) {
  Family family;
  family.name = name;
  family.table = table;
  family.pattern = name + ":{<sku>}";
  family.key_columns = {"sku"};
  return family;
}

std::filesystem::path file_with(const std::string& name, const std::vector<Family>& families) {
  const auto path = std::filesystem::path(::testing::TempDir()) / (std::to_string(::getpid()) + "-" + name);
  EXPECT_TRUE(write_families(families, path));
  return path;
}

TEST(FamiliesMerge, HoldsTheFamiliesOfAllFilesInTheirOrder) {
  const auto merged = merge_families({file_with("merge_a.json", {family("product", "catalog.product")}),
                                      file_with("merge_b.json", {family("session", "session.session")})});
  ASSERT_TRUE(merged) << merged.error().to_string();
  ASSERT_EQ(merged->size(), 2u);
  EXPECT_EQ((*merged)[0].name, "product");
  EXPECT_EQ((*merged)[1].name, "session");
}

TEST(FamiliesMerge, TakesAFamilyThatTwoFilesShareOnce) {
  const auto merged = merge_families({file_with("merge_a.json", {family("product", "catalog.product")}),
                                      file_with("merge_b.json", {family("product", "catalog.product")})});
  ASSERT_TRUE(merged) << merged.error().to_string();
  EXPECT_EQ(merged->size(), 1u);
}

TEST(FamiliesMerge, RefusesTwoFamiliesOfOneNameAndNamesBothFiles) {
  const auto merged = merge_families({file_with("merge_a.json", {family("product", "catalog.product")}),
                                      file_with("merge_b.json", {family("product", "shop.product")})});
  ASSERT_FALSE(merged);
  EXPECT_NE(merged.error().message.find("merge_a.json"), std::string::npos) << merged.error().message;
  EXPECT_NE(merged.error().message.find("merge_b.json"), std::string::npos) << merged.error().message;
}

TEST(FamiliesMerge, NamesAFileThatIsNotThere) {
  const auto merged = merge_families({"/nonexistent/families.json"});
  ASSERT_FALSE(merged);
  EXPECT_NE(merged.error().message.find("/nonexistent/families.json"), std::string::npos) << merged.error().message;
}

}  // namespace
}  // namespace tidemark::localcluster
