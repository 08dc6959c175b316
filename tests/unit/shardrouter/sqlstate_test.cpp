#include "shardrouter/sql/sqlstate.h"

#include <gtest/gtest.h>

#include "shardrouter/sql/schema/shard_schema.h"

namespace tidemark::shardrouter {
namespace {

ErrorCode code_of(std::string_view sqlstate) {
  return error_of_sqlstate(sqlstate, "m", "").code;
}

TEST(Sqlstate, TellsWhatACallerMayDo) {
  EXPECT_EQ(code_of("SH001"), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(code_of("SH002"), ErrorCode::kUnavailable);
  EXPECT_EQ(code_of("SH004"), ErrorCode::kUnavailable);
  EXPECT_EQ(code_of("08006"), ErrorCode::kUnavailable);
  EXPECT_EQ(code_of("57P01"), ErrorCode::kUnavailable);
  EXPECT_EQ(code_of("25006"), ErrorCode::kUnavailable);
  EXPECT_EQ(code_of("40001"), ErrorCode::kAborted);
  EXPECT_EQ(code_of("40P01"), ErrorCode::kAborted);
  EXPECT_EQ(code_of("53300"), ErrorCode::kResourceExhausted);
  EXPECT_EQ(code_of("22P02"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of("23505"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of("57014"), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(code_of("42601"), ErrorCode::kInternal);
}

TEST(Sqlstate, StandsInFrontOfTheMessage) {
  EXPECT_EQ(error_of_sqlstate("42601", "syntax error", "").message, "42601 syntax error");
  EXPECT_EQ(error_of_sqlstate("23505", "duplicate key", "Key (id)=(1)").message, "23505 duplicate key: Key (id)=(1)");
}

TEST(Sqlstate, AnOutdatedPlanIsWorthAnotherTryAndAMissingFeatureIsNot) {
  EXPECT_EQ(error_of_sqlstate("0A000", "cached plan must not change result type", "").code, ErrorCode::kAborted);
  EXPECT_EQ(error_of_sqlstate("0A000", "not supported", "").code, ErrorCode::kInternal);
}

TEST(CommitPoints, AreTheCommitsOfWritingTransactionsAndWritesOutside) {
  Pipeline pipeline;
  pipeline.groups.push_back({{"begin", {}}, {"INSERT INTO t VALUES (1)", {}}, {"SELECT 1", {}}, {"COMMIT", {}}});
  pipeline.groups.push_back({{"SELECT 2", {}}, {"UPDATE t SET a = 1", {}}});
  pipeline.groups.push_back({{"WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x", {}}});
  EXPECT_EQ(commit_points(pipeline), (std::vector<bool>{false, false, false, true, false, true, true}));
}

TEST(CommitPoints, AReadOnlyTransactionHasNone) {
  Pipeline pipeline;
  pipeline.groups.push_back({{"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", {}}, {"SELECT 1", {}}, {"COMMIT", {}}});
  EXPECT_EQ(commit_points(pipeline), (std::vector<bool>{false, false, false}));
}

TEST(CommitPoints, ATransactionMaySpanGroups) {
  Pipeline pipeline;
  pipeline.groups.push_back({{"BEGIN", {}}, {"DELETE FROM t", {}}});
  pipeline.groups.push_back({{"END", {}}});
  EXPECT_EQ(commit_points(pipeline), (std::vector<bool>{false, false, true}));
}

TEST(ShardSchema, IsBuiltIn) {
  EXPECT_NE(shard_schema_sql().find("CREATE OR REPLACE FUNCTION shard.guard"), std::string_view::npos);
  EXPECT_TRUE(shard_schema_sql().ends_with("tidemark_invalidator;\n"));
}

}  // namespace
}  // namespace tidemark::shardrouter
