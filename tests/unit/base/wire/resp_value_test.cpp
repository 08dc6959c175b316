#include "base/wire/resp_value.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tidemark {
namespace {

using Kind = RespValue::Kind;

std::vector<RespValue> read_all(ReplyParser& parser) {
  std::vector<RespValue> values;
  while (true) {
    auto value = parser.next();
    EXPECT_TRUE(value.has_value()) << value.error().to_string();
    if (!value || !*value) return values;
    values.push_back(std::move(**value));
  }
}

std::string read_one(std::string_view bytes) {
  ReplyParser parser;
  parser.feed(bytes);
  auto value = parser.next();
  if (!value) return value.error().to_string();
  return *value ? (*value)->to_string() : "more";
}

constexpr std::string_view kEverything =
    "+OK\r\n-ERR no\r\n:-12\r\n$5\r\nhe\r\no\r\n$-1\r\n*-1\r\n_\r\n#t\r\n,2.5\r\n,inf\r\n(12345678901234567890\r\n"
    "=7\r\ntxt:abc\r\n!5\r\nERR x\r\n*0\r\n%1\r\n+a\r\n*2\r\n:1\r\n~1\r\n$0\r\n\r\n>2\r\n+invalidate\r\n_\r\n"
    "|1\r\n+ttl\r\n:3\r\n*3\r\n$3\r\nHIT\r\n$1\r\nv\r\n:7\r\n";

TEST(ReplyParser, ReadsEveryKindOfValue) {
  ReplyParser parser;
  parser.feed(kEverything);
  std::vector<std::string> texts;
  for (const RespValue& value : read_all(parser)) texts.push_back(value.to_string());
  EXPECT_EQ(texts, (std::vector<std::string>{"+OK", "-ERR no", "-12", "\"he\\x0d\\x0ao\"", "null", "null", "null",
                                             "true", "2.5", "inf", "(12345678901234567890", "=\"abc\"", "-ERR x", "[]",
                                             "{+a: [1, ~[\"\"]]}", ">[+invalidate, null]", "[\"HIT\", \"v\", 7]"}));
  EXPECT_EQ(parser.buffered_bytes(), 0u);
}

TEST(ReplyParser, ReadsTheSameValuesHoweverTheStreamIsCut) {
  ReplyParser whole;
  whole.feed(kEverything);
  const auto expected = read_all(whole);
  for (size_t cut = 0; cut <= kEverything.size(); ++cut) {
    ReplyParser parser;
    parser.feed(kEverything.substr(0, cut));
    auto values = read_all(parser);
    parser.feed(kEverything.substr(cut));
    for (auto& value : read_all(parser)) values.push_back(std::move(value));
    ASSERT_EQ(values, expected) << "cut at " << cut;
  }
  ReplyParser bytewise;
  std::vector<RespValue> values;
  for (char c : kEverything) {
    bytewise.feed({&c, 1});
    for (auto& value : read_all(bytewise)) values.push_back(std::move(value));
  }
  EXPECT_EQ(values, expected);
}

TEST(ReplyParser, DropsAnAttributeInsideAnArray) {
  EXPECT_EQ(read_one("*2\r\n|1\r\n+k\r\n+v\r\n:1\r\n|0\r\n:2\r\n"), "[1, 2]");
}

TEST(ReplyParser, NamesWhatBrokeTheStream) {
  EXPECT_EQ(read_one("?what\r\n"), "CORRUPT: unknown reply type '?'");
  EXPECT_EQ(read_one("\r\n"), "CORRUPT: empty reply line");
  EXPECT_EQ(read_one(":1x\r\n"), "CORRUPT: integer reply '1x' is not a number");
  EXPECT_EQ(read_one("$-2\r\n"), "CORRUPT: bulk length '-2' is not a number");
  EXPECT_EQ(read_one("$1\r\nabc"), "CORRUPT: bulk does not end with CRLF");
  EXPECT_EQ(read_one("*x\r\n"), "CORRUPT: element count 'x' is not a number");
  EXPECT_EQ(read_one("#y\r\n"), "CORRUPT: boolean reply 'y' is neither t nor f");
  EXPECT_EQ(read_one("=3\r\nabc\r\n"), "CORRUPT: verbatim reply without its format");
}

TEST(ReplyParser, RefusesBeyondItsLimits) {
  auto error_of = [](ReplyParser::Limits limits, std::string_view bytes) {
    ReplyParser parser(limits);
    parser.feed(bytes);
    auto value = parser.next();
    return value ? std::string("none") : value.error().message;
  };
  EXPECT_EQ(error_of({.bulk_bytes_max = 4}, "$5\r\n"), "bulk of 5 bytes is above the limit of 4");
  EXPECT_EQ(error_of({.bulk_bytes_max = 4}, "$4\r\n"), "none");
  EXPECT_EQ(error_of({.elements_max = 3}, "*4\r\n"), "reply of more than 3 elements");
  EXPECT_EQ(error_of({.elements_max = 3}, "*2\r\n*2\r\n"), "reply of more than 3 elements");
  EXPECT_EQ(error_of({.elements_max = 3}, "%2\r\n"), "reply of more than 3 elements");
  EXPECT_EQ(error_of({.elements_max = 3}, "*18446744073709551615\r\n"), "reply of more than 3 elements");
  EXPECT_EQ(error_of({.depth_max = 2}, "*1\r\n*1\r\n*1\r\n*1\r\n"), "reply nested deeper than 2");
  EXPECT_EQ(error_of({.line_bytes_max = 4}, "+12345"), "reply line longer than 4 bytes");
}

TEST(ReplyParser, KeepsItsBufferSmallWhileReadingALongStream) {
  ReplyParser parser;
  size_t values = 0;
  for (int i = 0; i < 100000; ++i) {
    parser.feed("$10\r\n0123456789\r\n$10\r\n012345");
    values += read_all(parser).size();
    parser.feed("6789\r\n");
    values += read_all(parser).size();
  }
  EXPECT_EQ(values, 200000u);
  EXPECT_EQ(parser.buffered_bytes(), 0u);
}

TEST(MakeRequest, IsAnArrayOfBulkStrings) {
  EXPECT_EQ(make_request({"SET", "k", ""}), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
}

TEST(ParseDouble, ReadsNaN) {
  ReplyParser parser;
  parser.feed(",nan\r\n");
  auto value = parser.next();
  ASSERT_TRUE(value && *value);
  EXPECT_EQ((*value)->kind, Kind::kDouble);
  EXPECT_TRUE(std::isnan((*value)->number));
}

}  // namespace
}  // namespace tidemark
