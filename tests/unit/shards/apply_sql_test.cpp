// Row changes of the stream as statements.
#include "tools/shards/move/apply_sql.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::shards {
namespace {

using namespace replication;
using Kind = TupleColumn::Kind;
using ::testing::HasSubstr;

MovedTable account() {
  return {"public.account",
          "public",
          "account",
          {{"bucket", "bucket", true, false},
           {"id", "id", true, false},
           {"note", "note", false, false},
           {"serial", "serial", false, true}},
          0};
}
RelationMessage relation(char identity = 'd') {
  return {7,
          "public",
          "account",
          identity,
          {{true, "bucket", 23}, {true, "id", 20}, {identity == 'f', "note", 25}, {identity == 'f', "serial", 20}}};
}
TupleColumn text(std::string_view value) {
  return {Kind::kText, value};
}

class ApplySql : public ::testing::Test {
 protected:
  std::vector<MovedTable> tables_{account()};
  BoundRelation bound_ = *bind_relation(relation(), tables_);
};

TEST_F(ApplySql, AnInsertInsertsIdentityColumnsToo) {
  const auto statement = insert_statement(bound_, {7, {text("3"), text("9"), {Kind::kNull, ""}, text("1")}});
  ASSERT_TRUE(statement);
  EXPECT_EQ(statement->sql,
            "INSERT INTO public.account (bucket, id, note, serial) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4)");
  EXPECT_EQ(statement->params[0], "3");
  EXPECT_EQ(statement->params[2], std::nullopt);
}

TEST_F(ApplySql, AnUpdateLeavesUnchangedToastedColumnsAndIdentityAlwaysAlone) {
  const auto statement =
      update_statement(bound_, {7, false, {}, {text("3"), text("9"), {Kind::kUnchanged, ""}, text("1")}});
  ASSERT_TRUE(statement);
  EXPECT_EQ(statement->sql, "UPDATE public.account SET bucket = $1, id = $2 WHERE bucket = $3 AND id = $4");
}

TEST_F(ApplySql, AnUpdateOfTheKeyFindsTheRowByItsOldKey) {
  const auto statement = update_statement(bound_, {7,
                                                   true,
                                                   {text("3"), text("9"), {Kind::kNull, ""}, {Kind::kNull, ""}},
                                                   {text("3"), text("10"), text("x"), text("1")}});
  ASSERT_TRUE(statement);
  EXPECT_EQ(statement->sql, "UPDATE public.account SET bucket = $1, id = $2, note = $3 WHERE bucket = $4 AND id = $5");
  EXPECT_EQ(statement->params[1], "10");
  EXPECT_EQ(statement->params[4], "9");
}

TEST_F(ApplySql, UpdatesOfDifferentColumnsAreDifferentStatements) {
  const auto all = update_statement(bound_, {7, false, {}, {text("3"), text("9"), text("x"), text("1")}});
  const auto some = update_statement(bound_, {7, false, {}, {text("3"), text("9"), {Kind::kUnchanged, ""}, text("1")}});
  EXPECT_NE(all->name, some->name);
}

TEST_F(ApplySql, ADeleteUnderFullIdentityFindsTheRowByItsPrimaryKey) {
  const auto full = bind_relation(relation('f'), tables_);
  const auto statement = delete_statement(*full, {7, {text("3"), text("9"), {Kind::kNull, ""}, text("1")}});
  ASSERT_TRUE(statement);
  EXPECT_EQ(statement->sql, "DELETE FROM public.account WHERE bucket = $1 AND id = $2");
}

TEST_F(ApplySql, RefusesATableWhoseColumnsChanged) {
  RelationMessage wider = relation();
  wider.columns.push_back({false, "added", 25});
  EXPECT_THAT(bind_relation(wider, tables_).error().message, HasSubstr("not those that were copied"));
  RelationMessage narrower = relation();
  narrower.columns.pop_back();
  EXPECT_FALSE(bind_relation(narrower, tables_));
  RelationMessage other = relation();
  other.name = "stranger";
  EXPECT_THAT(bind_relation(other, tables_).error().message, HasSubstr("public.stranger, which is not moved"));
}

TEST_F(ApplySql, RefusesARowOfAnotherWidth) {
  EXPECT_FALSE(insert_statement(bound_, {7, {text("3")}}));
  EXPECT_FALSE(update_statement(bound_, {7, false, {}, {text("3")}}));
  EXPECT_FALSE(delete_statement(bound_, {7, {text("3")}}));
}

}  // namespace
}  // namespace tidemark::shards
