#include "client/strategy/staged_write.h"

#include <gtest/gtest.h>

#include "base/wire/resp_value.h"

namespace tidemark::client {
namespace {

RespValue reply(RespValue::Kind kind, std::string text) {
  RespValue value;
  value.kind = kind;
  value.text = std::move(text);
  return value;
}

TEST(StagedWrite, TheMessageIsMadeByTheStatementItselfAndOnlyForARow) {
  auto staged = stage_statement({"UPDATE t SET v = $2 WHERE k = $1 RETURNING k, v", {"a", "7"}}, "t:{a}", 99);
  ASSERT_TRUE(staged);
  EXPECT_EQ(staged->statement.sql,
            "WITH tm_row AS (\nUPDATE t SET v = $2 WHERE k = $1 RETURNING k, v\n) SELECT tm_row.*, "
            "pg_logical_emit_message(true, 'cache.stage', $3::text || E'\\n' || $4::text) AS tm_staged FROM tm_row");
  EXPECT_EQ(staged->statement.params, (std::vector<std::optional<std::string>>{"a", "7", "t:{a}", "99"}));
  EXPECT_FALSE(staged->is_delete);
}

TEST(StagedWrite, TheTextIsTheSameForEveryKeySoThatServersPrepareItOnce) {
  auto one = stage_statement({"DELETE FROM t WHERE k = $1 RETURNING k", {"a"}}, "t:{a}", 1);
  auto two = stage_statement({"DELETE FROM t WHERE k = $1 RETURNING k", {"b"}}, "t:{b}", 2);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->statement.sql, two->statement.sql);
}

TEST(StagedWrite, WhatTheStatementDoesIsReadBehindCommentsAndInAnyCase) {
  auto staged =
      stage_statement({" -- UPDATE\n/* INSERT */ delete from t where k = $1 returning k ; \n", {"a"}}, "k", 1);
  ASSERT_TRUE(staged) << staged.error().to_string();
  EXPECT_TRUE(staged->is_delete);
  EXPECT_NE(staged->statement.sql.find("returning k\n)"), std::string::npos);
  EXPECT_TRUE(stage_statement({"INSERT INTO t VALUES (1) RETURNING *"}, "k", 1));
}

TEST(StagedWrite, AStatementThatDoesNotLockItsRowIsRefused) {
  for (const char* sql : {"SELECT k, v FROM t", "WITH x AS (SELECT 1) UPDATE t SET v = 1 RETURNING k", "", "-- UPDATE",
                          "/* never ends", "UPDATES t"}) {
    auto staged = stage_statement({sql}, "k", 1);
    ASSERT_FALSE(staged) << sql;
    EXPECT_EQ(staged.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(StagedWrite, TheCallerSeesOnlyItsOwnColumns) {
  shardrouter::ResultSet set{{"k", "v", "tm_staged"}, {{"a", "7", "0/10"}}, "SELECT 1", 0};
  drop_staged_column(set);
  EXPECT_EQ(set.columns, (std::vector<std::string>{"k", "v"}));
  EXPECT_EQ(set.rows[0].size(), 2u);
  drop_staged_column(set);
  EXPECT_EQ(set.columns.size(), 2u);
}

TEST(StagedWrite, TheRequestCarriesTheCommitItsStageAndTheValue) {
  Stage stage{3, 7, *Lsn::parse("1/A0"), 5'000'000'000, UINT64_MAX, "t:{a}", std::string_view("v\0w", 3), false};
  EXPECT_EQ(make_stage(stage), make_request({"STAGE", "3", "7", "1/A0", "5000000000", "18446744073709551615", "t:{a}",
                                             std::string_view("v\0w", 3)}));
  stage.is_absent = true;
  EXPECT_EQ(make_stage(stage),
            make_request({"STAGE", "3", "7", "1/A0", "5000000000", "18446744073709551615", "t:{a}", "", "NEG"}));
}

TEST(StagedWrite, EveryAnswerHasItsVerdict) {
  using Kind = RespValue::Kind;
  EXPECT_EQ(parse_stage(reply(Kind::kSimple, "STAGED")), StageVerdict::kAccepted);
  EXPECT_EQ(parse_stage(reply(Kind::kSimple, "DROPPED SUPERSEDED")), StageVerdict::kSuperseded);
  EXPECT_EQ(parse_stage(reply(Kind::kSimple, "DROPPED NOSTAGE")), StageVerdict::kNoStage);
  EXPECT_EQ(parse_stage(reply(Kind::kSimple, "DROPPED FULL")), StageVerdict::kFull);
  EXPECT_EQ(parse_stage(reply(Kind::kSimple, "DROPPED a later reason")), StageVerdict::kDropped);
  EXPECT_EQ(parse_stage(reply(Kind::kError, "EPOCH 8")), StageVerdict::kEpoch);
  EXPECT_EQ(parse_stage(reply(Kind::kError, "ERR unknown command")), StageVerdict::kRefused);
  EXPECT_EQ(parse_stage(reply(Kind::kSimple, "OK")), StageVerdict::kRefused);
  EXPECT_EQ(parse_stage(reply(Kind::kBulk, "")), StageVerdict::kRefused);
}

}  // namespace
}  // namespace tidemark::client
