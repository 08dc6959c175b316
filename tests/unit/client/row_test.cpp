#include "client/row.h"

#include <gtest/gtest.h>

namespace tidemark::client {
namespace {

const shardrouter::ResultSet kSet{
    {"id", "name", "price", "live", "gone"}, {{"7", "bash", "1.5", "t", std::nullopt}}, "", 0};

TEST(Row, ReadsColumnsByName) {
  const Row row(kSet, 0);
  EXPECT_EQ(*row.integer("id"), 7);
  EXPECT_EQ(*row.text("name"), "bash");
  EXPECT_EQ(*row.number("price"), 1.5);
  EXPECT_TRUE(*row.boolean("live"));
  EXPECT_FALSE(row.find("gone"));
  EXPECT_TRUE(row.has_column("gone"));
}

TEST(Row, NamesTheColumnThatDoesNotRead) {
  const Row row(kSet, 0);
  EXPECT_EQ(row.integer("name").error().message, "column 'name' is not an integer");
  EXPECT_EQ(row.text("gone").error().message, "column 'gone' is NULL");
  EXPECT_EQ(row.text("other").error().message, "column 'other' is not among the columns of the statement");
  EXPECT_EQ(row.number("name").error().message, "column 'name' is not a number");
  EXPECT_EQ(row.boolean("id").error().message, "column 'id' is not a boolean");
}

TEST(OneRow, RefusesSeveralRowsForOneKey) {
  auto read = one_row<int64_t>([](const Row& row) { return row.integer("id"); });
  const std::vector<Row> one{Row(kSet, 0)};
  const std::vector<Row> two{Row(kSet, 0), Row(kSet, 0)};
  EXPECT_EQ(*read(one), 7);
  EXPECT_EQ(read(two).error().message, "the statement gave 2 rows for one key");
}

}  // namespace
}  // namespace tidemark::client
