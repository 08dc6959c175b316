#include "shardrouter/schema/sql_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace tidemark::shardrouter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> texts(std::string_view sql) {
  std::vector<std::string> all;
  const auto statements = split_statements(sql);
  EXPECT_TRUE(statements) << (statements ? "" : statements.error().message);
  if (!statements) return all;
  for (const SqlStatement& statement : *statements) all.push_back(statement.text);
  return all;
}
std::string error_of(std::string_view sql) {
  const auto statements = split_statements(sql);
  return statements ? "" : statements.error().message;
}

TEST(SqlText, SplitsAtSemicolonsAndLeavesOutEmptyStatements) {
  EXPECT_THAT(texts("SELECT 1; ;\n SELECT 2 ;"), ElementsAre("SELECT 1", "SELECT 2"));
}

TEST(SqlText, ASemicolonInAQuoteEndsNothing) {
  EXPECT_THAT(texts("SELECT ';', E'\\';', \"a;b\", $$;$$, $x$;$$;$x$; SELECT 'it''s;'"),
              ElementsAre("SELECT ';', E'\\';', \"a;b\", $$;$$, $x$;$$;$x$", "SELECT 'it''s;'"));
}

TEST(SqlText, CommentsAreNoPartOfAStatementsEnds) {
  EXPECT_THAT(texts("-- first; \nSELECT 1 -- ;\n; /* a /* nested; */ one; */ SELECT 2 /* ; */"),
              ElementsAre("SELECT 1", "SELECT 2"));
}

TEST(SqlText, SaysOnWhichLineAStatementBegins) {
  const auto statements = split_statements("-- head\n\nSELECT 1;\nSELECT\n2");
  ASSERT_TRUE(statements);
  EXPECT_EQ(statements->at(0).line, 3u);
  EXPECT_EQ(statements->at(1).line, 4u);
}

TEST(SqlText, KnowsTheDepthOfParentheses) {
  const auto statements = split_statements("UPDATE t SET a = (SELECT b WHERE c) WHERE d");
  ASSERT_TRUE(statements);
  std::vector<int> depths;
  for (const SqlToken& token : statements->at(0).tokens)
    if (token.is("where")) depths.push_back(token.depth);
  EXPECT_THAT(depths, ElementsAre(1, 0));
}

TEST(SqlText, ReadsQualifiedAndQuotedNames) {
  const auto statements = split_statements("DROP TABLE Shop.\"Odd;Name\" CASCADE");
  ASSERT_TRUE(statements);
  size_t at = 2;
  EXPECT_EQ(read_name(statements->at(0), at), "shop.Odd;Name");
  EXPECT_TRUE(has_words(statements->at(0), at, {"cascade"}));
}

TEST(SqlText, RefusesWhatIsLeftOpenAndNamesTheLine) {
  EXPECT_THAT(error_of("SELECT 1;\nSELECT 'x"), HasSubstr("line 2: a quote is opened and never closed"));
  EXPECT_THAT(error_of("\n\nSELECT $f$ x"), HasSubstr("line 3: the quote $f$ is opened"));
  EXPECT_THAT(error_of("/* /* */"), HasSubstr("line 1: a comment is opened"));
  EXPECT_THAT(error_of("SELECT (1"), HasSubstr("line 1: a parenthesis is opened"));
  EXPECT_THAT(error_of("SELECT 1)"), HasSubstr("none is open"));
}

TEST(SqlText, ATokenKeepsItsPrefix) {
  const auto statements = split_statements("WHERE E'a\\'b' = x");
  ASSERT_TRUE(statements);
  const SqlToken& token = statements->at(0).tokens.at(1);
  EXPECT_EQ(statements->at(0).text.substr(token.begin, token.end - token.begin), "E'a\\'b'");
}

TEST(SqlText, EveryTextIsSplitOrRefusedAndTokensLieInTheirStatement) {
  constexpr std::string_view kPieces[] = {"'",  "\"", "$", "$$", "$a$", "E'", "\\", "--", "/*",   "*/",
                                          "\n", ";",  "(", ")",  "a",   "1",  ".",  " ",  "\xff", ":"};
  std::mt19937 random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::string sql;
    for (uint32_t i = random() % 14; i > 0; --i) sql += kPieces[random() % std::size(kPieces)];
    const auto statements = split_statements(sql);
    if (!statements) continue;
    for (const SqlStatement& statement : *statements) {
      ASSERT_FALSE(statement.tokens.empty()) << sql;
      size_t end = 0;
      for (const SqlToken& token : statement.tokens) {
        ASSERT_GE(token.begin, end) << sql;
        ASSERT_GT(token.end, token.begin) << sql;
        end = token.end;
      }
      ASSERT_EQ(end, statement.text.size()) << sql;
    }
  }
}

TEST(SqlText, RefusesTextBeyondItsLimit) {
  EXPECT_THAT(error_of(std::string(kSqlTextBytesMax + 1, ' ')), HasSubstr("at most 1048576 are read"));
}

}  // namespace
}  // namespace tidemark::shardrouter
