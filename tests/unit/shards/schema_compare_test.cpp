#include "tools/shards/fleet/schema_compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::shards {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const TableShapes kShapes{{"shop.item", "bucket integer not null; primary key (bucket)"}, {"shop.tax", "id integer"}};

TEST(CompareShapes, SaysNothingOfEqualShards) {
  EXPECT_THAT(compare_shapes("shard 0", kShapes, "shard 1", kShapes), IsEmpty());
}

TEST(CompareShapes, NamesTheTableAndBothSidesOfEveryDifference) {
  TableShapes other = kShapes;
  other["shop.item"] = "bucket bigint not null; primary key (bucket)";
  other.erase("shop.tax");
  other["shop.new"] = "id integer";
  EXPECT_THAT(compare_shapes("shard 0", kShapes, "shard 1", other),
              ElementsAre(HasSubstr("shop.item: on shard 0 (bucket integer not null"),
                          HasSubstr("shop.tax: it is on shard 0, but not on shard 1"),
                          HasSubstr("shop.new: it is on shard 1, but not on shard 0")));
}

}  // namespace
}  // namespace tidemark::shards
