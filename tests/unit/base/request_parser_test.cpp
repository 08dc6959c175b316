#include "base/wire/request_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace tidemark {
namespace {

using namespace std::string_literals;

using Request = std::vector<std::string>;
using Outcome = RequestParser::Outcome;

// Everything the parser makes of `bytes`, given in two pieces as a connection gives them: the incomplete rest of the
// first read is kept, moved elsewhere, and the second read appended.
struct Parsed {
  std::vector<Request> requests;
  Outcome last = Outcome::kIncomplete;
  std::string error;
  size_t left = 0;
};

Parsed parse_pieces(const std::vector<std::string>& pieces, RequestParser::Limits limits = {}) {
  RequestParser parser(limits);
  Parsed parsed;
  std::string buffer;
  for (const std::string& piece : pieces) {
    std::string moved = buffer + piece;  // another address each time
    std::string_view input = moved;
    RequestBatch batch;
    do {
      parsed.last = parser.next(input, batch);
    } while (parsed.last == Outcome::kRequest);
    for (size_t i = 0; i < batch.size(); ++i) parsed.requests.emplace_back(batch[i].begin(), batch[i].end());
    parsed.error = parser.error();
    if (parsed.last == Outcome::kError) return parsed;
    buffer = std::string(input);
  }
  parsed.left = buffer.size();
  return parsed;
}

Parsed parse(const std::string& bytes, RequestParser::Limits limits = {}) {
  return parse_pieces({bytes}, limits);
}

std::string array_of(size_t count, const std::string& argument) {
  std::string bytes = "*" + std::to_string(count) + "\r\n";
  for (size_t i = 0; i < count; ++i) bytes += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  return bytes;
}

TEST(RequestParser, ReadsAnArrayOfBulkStrings) {
  Parsed parsed = parse("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n\0x\r\n"s);
  ASSERT_EQ(parsed.requests.size(), 1u);
  EXPECT_EQ(parsed.requests[0], (Request{"SET", "a", std::string("\r\n\0x", 4)}));
  EXPECT_EQ(parsed.left, 0u);
}

TEST(RequestParser, ArgumentsAreViewsIntoTheInput) {
  std::string bytes = "*1\r\n$4\r\nPING\r\n";
  std::string_view input = bytes;
  RequestBatch batch;
  ASSERT_EQ(RequestParser().next(input, batch), Outcome::kRequest);
  EXPECT_EQ(batch[0][0].data(), bytes.data() + 8);
  EXPECT_TRUE(input.empty());
}

TEST(RequestParser, GivesTheSameRequestsWhereverTheStreamIsCut) {
  const std::string stream =
      "*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\n\r\nPING\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nset k \"a b\\x41\" "
      "'c\\'d'\r\n" +
      array_of(40, "value") + "ECHO x\n";
  const Parsed whole = parse(stream);
  ASSERT_EQ(whole.requests.size(), 6u);
  EXPECT_EQ(whole.requests[0], (Request{"GET", "0123456789"}));
  EXPECT_EQ(whole.requests[1], (Request{"PING"}));
  EXPECT_EQ(whole.requests[2], (Request{""}));
  EXPECT_EQ(whole.requests[3], (Request{"set", "k", "a bA", "c'd"}));
  EXPECT_EQ(whole.requests[4].size(), 40u);
  EXPECT_EQ(whole.requests[5], (Request{"ECHO", "x"}));
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    Parsed parsed = parse_pieces({stream.substr(0, cut), stream.substr(cut)});
    ASSERT_EQ(parsed.requests, whole.requests) << "cut at " << cut;
    ASSERT_EQ(parsed.left, 0u) << "cut at " << cut;
  }
  std::vector<std::string> bytes;
  for (char c : stream) bytes.emplace_back(1, c);
  EXPECT_EQ(parse_pieces(bytes).requests, whole.requests);
}

TEST(RequestParser, ReadsTenThousandArguments) {
  Parsed parsed = parse(array_of(10'000, "x"));
  ASSERT_EQ(parsed.requests.size(), 1u);
  EXPECT_EQ(parsed.requests[0].size(), 10'000u);
}

TEST(RequestParser, ConsumesEmptyRequestsSilently) {
  Parsed parsed = parse("\r\n\n*0\r\n*-1\r\n   \r\n");
  EXPECT_TRUE(parsed.requests.empty());
  EXPECT_EQ(parsed.last, Outcome::kIncomplete);
  EXPECT_EQ(parsed.left, 0u);
}

TEST(RequestParser, KeepsTheIncompleteRequestInTheInput) {
  std::string bytes = "PING\r\n*2\r\n$3\r\nGE";
  std::string_view input = bytes;
  RequestParser parser;
  RequestBatch batch;
  ASSERT_EQ(parser.next(input, batch), Outcome::kRequest);
  ASSERT_EQ(parser.next(input, batch), Outcome::kIncomplete);
  EXPECT_EQ(input, "*2\r\n$3\r\nGE");
  EXPECT_TRUE(parser.is_inside_request());
  EXPECT_EQ(batch.size(), 1u);
}

TEST(RequestParser, ReadsAnIncompleteRequestAgainAfterForget) {
  std::string bytes = "*2\r\n$3\r\nGET\r\n$1\r\nk";
  std::string_view input = bytes;
  RequestParser parser;
  RequestBatch batch;
  ASSERT_EQ(parser.next(input, batch), Outcome::kIncomplete);
  parser.forget();
  batch.clear();
  bytes += "\r\n";
  input = bytes;
  ASSERT_EQ(parser.next(input, batch), Outcome::kRequest);
  EXPECT_EQ(batch[0][1], "k");
}

struct BrokenCase {
  const char* bytes;
  const char* error;
};

TEST(RequestParser, NamesWhatIsBrokenAsRedisDoes) {
  const BrokenCase cases[] = {
      {"*x\r\n", "Protocol error: invalid multibulk length"},
      {"*\r\n", "Protocol error: invalid multibulk length"},
      {"*1048577\r\n", "Protocol error: invalid multibulk length"},
      {"*99999999999999999999\r\n", "Protocol error: invalid multibulk length"},
      {"*1\r\nPING\r\n", "Protocol error: expected '$', got 'P'"},
      {"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$4x\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length"},
      {"set k \"abc\r\n", "Protocol error: unbalanced quotes in request"},
      {"set k 'abc'd\r\n", "Protocol error: unbalanced quotes in request"},
  };
  for (const BrokenCase& broken : cases) {
    Parsed parsed = parse(broken.bytes);
    EXPECT_EQ(parsed.last, Outcome::kError) << broken.bytes;
    EXPECT_EQ(parsed.error, broken.error) << broken.bytes;
  }
}

TEST(RequestParser, GivesTheRequestsBeforeABrokenOne) {
  Parsed parsed = parse("PING\r\n*1\r\n!\r\n");
  EXPECT_EQ(parsed.last, Outcome::kError);
  ASSERT_EQ(parsed.requests.size(), 1u);
}

TEST(RequestParser, RefusesEndlessLines) {
  EXPECT_EQ(parse(std::string(64 * 1024 + 1, 'a')).error, "Protocol error: too big inline request");
  EXPECT_EQ(parse("*" + std::string(64 * 1024, '1')).error, "Protocol error: too big mbulk count string");
  EXPECT_EQ(parse("*1\r\n$" + std::string(64 * 1024, '1')).error, "Protocol error: too big bulk count string");
  EXPECT_EQ(parse(std::string(64 * 1024, 'a')).last, Outcome::kIncomplete);
}

TEST(RequestParser, AllowsLittleBeforeAuthentication) {
  RequestParser::Limits limits{.is_authenticated = false};
  EXPECT_EQ(parse(array_of(10, "x"), limits).requests.size(), 1u);
  EXPECT_EQ(parse("*11\r\n", limits).error, "Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(parse("*1\r\n$16385\r\n", limits).error, "Protocol error: unauthenticated bulk length");
}

TEST(RequestParser, HonoursASmallerBulkLimit) {
  EXPECT_EQ(parse("*1\r\n$5\r\nabcde\r\n", {.bulk_bytes_max = 4}).error, "Protocol error: invalid bulk length");
}

TEST(RequestBatch, IsReusableAfterClear) {
  RequestParser parser;
  RequestBatch batch;
  std::string bytes = "PING\r\n";
  for (int round = 0; round < 3; ++round) {
    std::string_view input = bytes;
    ASSERT_EQ(parser.next(input, batch), Outcome::kRequest);
    ASSERT_EQ(batch.size(), 1u);
    EXPECT_EQ(batch[0][0], "PING");
    batch.clear();
    EXPECT_TRUE(batch.empty());
  }
}

// All requests of an input, or how it ends: fed `step` bytes at a time.
std::string parse_all(std::string_view input, size_t step) {
  RequestParser parser(RequestParser::Limits{.bulk_bytes_max = 200'000});
  RequestBatch batch;
  std::string out, buffer;
  for (size_t at = 0; at < input.size();) {
    const size_t bytes = std::min(step, input.size() - at);
    buffer.append(input.substr(at, bytes));
    at += bytes;
    std::string_view rest = buffer;
    auto outcome = RequestParser::Outcome::kRequest;
    while (outcome == RequestParser::Outcome::kRequest) {
      batch.clear();
      outcome = parser.next(rest, batch);
      if (outcome == RequestParser::Outcome::kError) return out + std::string(parser.error());
      if (outcome != RequestParser::Outcome::kRequest) continue;
      for (std::string_view argument : batch[0]) out.append("[").append(argument).append("]");
      out += '\n';
    }
    buffer = std::string(rest);
  }
  return out + "(" + std::to_string(buffer.size()) + " left)";
}

TEST(RequestParser, AnInputMeansTheSameWholeAndInPieces) {
  std::string large = "*2\r\n$4\r\nECHO\r\n$123456\r\n" + std::string(123456, 'x') + "\r\n";
  std::string edge = "*2\r\n$4\r\nECHO\r\n$99999\r\n" + std::string(99999, 'x') + "\r\n";
  std::string many = "*12\r\n";
  for (int i = 0; i < 12; ++i) many += "$1\r\n" + std::string(1, static_cast<char>('a' + i)) + "\r\n";
  const std::string good = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n";
  for (const std::string& input :
       {good + good, good + "*2\r\n$3\r\nGET\r\n$0\r\n\r\n" + good, good + "*0\r\n*-1\r\n\r\nPING x\r\n" + good,
        many + good, std::string("*1\r\n$04\r\nPING\r\n"), std::string("*01\r\n$4\r\nPING\r\n"),
        std::string("*2\r\n$-1\r\n"), good + "*1\r\n$4x\r\nPING\r\n", good + "*1\r\n4\r\n", good + "*1\r\n$4\r\nPI",
        good + "*1\r\n$200001\r\n", std::string("*1\r\n$12345678\r\n"), std::string("*9x\r\n"), std::string("*1"),
        std::string("*1\r\n$"), std::string("*1\r\n$1\r"), large + good, edge + good}) {
    const size_t step = input.size() > 1000 ? 997 : 1;
    EXPECT_EQ(parse_all(input, input.size()), parse_all(input, step)) << input.substr(0, 100);
  }
}

// --- a large argument received elsewhere ---

// Reads `bytes` in the pieces, and takes the first argument of `large` bytes and more out of the input on its way.
Parsed parse_supplying(const std::vector<std::string>& pieces, size_t large) {
  RequestParser parser;
  Parsed parsed;
  std::string buffer, value;
  size_t missing = 0;
  for (std::string_view piece : pieces) {
    const std::string_view of_value = piece.substr(0, missing);
    value += of_value;
    missing -= of_value.size();
    if (missing == 0 && !of_value.empty()) parser.supply(value);
    std::string moved = buffer + std::string(piece.substr(of_value.size()));
    std::string_view input = moved;
    RequestBatch batch;
    while (missing == 0 && (parsed.last = parser.next(input, batch)) == Outcome::kRequest) {
    }
    for (size_t i = 0; i < batch.size(); ++i) parsed.requests.emplace_back(batch[i].begin(), batch[i].end());
    buffer = std::string(input);
    if (missing > 0 || parser.has_supplied() || parser.argument_bytes() < large) continue;
    value = buffer.substr(parser.bytes_read(), parser.argument_bytes());
    missing = parser.argument_bytes() - value.size();
    buffer.erase(parser.bytes_read(), value.size());
    if (missing == 0) parser.supply(value);
  }
  parsed.left = buffer.size();
  return parsed;
}

TEST(RequestParser, AnArgumentReceivedElsewhereStandsInItsPlaceWhereverTheInputIsCut) {
  const std::string bytes = array_of(2, "ab") + "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\n123\r\n6789\r\n$2\r\nNX\r\n" +
                            "*3\r\n$3\r\nSET\r\n$1\r\nj\r\n$9\r\nabcdefghi\r\n" + "PING\r\n";
  const std::vector<Request> expected = {
      {"ab", "ab"}, {"SET", "k", "123\r\n6789", "NX"}, {"SET", "j", "abcdefghi"}, {"PING"}};
  for (size_t first = 1; first < bytes.size(); ++first) {
    for (size_t second = first; second <= bytes.size(); ++second) {
      const Parsed parsed =
          parse_supplying({bytes.substr(0, first), bytes.substr(first, second - first), bytes.substr(second)}, 9);
      ASSERT_EQ(parsed.requests, expected) << first << " " << second;
      ASSERT_EQ(parsed.left, 0u);
    }
  }
}

TEST(RequestParser, SaysWhatALargeArgumentBelongsToAndWhereItBegins) {
  RequestParser parser;
  RequestBatch batch;
  const std::string bytes = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nxyz";
  std::string_view input = bytes;
  ASSERT_EQ(parser.next(input, batch), Outcome::kIncomplete);
  EXPECT_EQ(parser.argument_bytes(), 100'000u);
  EXPECT_EQ(input.substr(parser.bytes_read()), "xyz");
  ASSERT_EQ(parser.partial().size(), 2u);
  EXPECT_EQ(parser.partial()[0], "SET");
  parser.forget();
  EXPECT_EQ(parser.argument_bytes(), 0u);
  EXPECT_TRUE(parser.partial().empty());
}

}  // namespace
}  // namespace tidemark
