// Just enough of SQL's lexical form to tell where a statement ends and what kind of statement it is.
//
//   "UPDATE t SET a = ';' WHERE b; -- end"   ->   one statement: update t set a = ' where b   (tokens)
//
// Knows comments (nested ones too), '…', E'…', "…", $tag$…$tag$, parentheses. It does not parse: what a statement does
// is judged by its words (ddl_rules.h), and what the words do not show is refused by the shard itself.
// Threads: pure functions. I/O: none. Limits: kSqlTextBytesMax.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tidemark::shardrouter {

inline constexpr size_t kSqlTextBytesMax = 1 << 20;

struct SqlToken {
  enum class Kind : uint8_t { kWord, kQuotedName, kString, kNumber, kSymbol };
  Kind kind = Kind::kSymbol;
  std::string text;  // a word in lower case, a quoted name without its quotes, a string's opening quote, one symbol
  size_t begin = 0;  // in SqlStatement::text
  size_t end = 0;
  int depth = 0;  // of parentheses around it; a parenthesis itself has the depth outside

  bool is(std::string_view word) const { return (kind == Kind::kWord || kind == Kind::kSymbol) && text == word; }
  bool is_name() const { return kind == Kind::kWord || kind == Kind::kQuotedName; }
};

struct SqlStatement {
  std::string text;  // without the semicolon
  std::vector<SqlToken> tokens;
  size_t line = 1;  // of its first token, in the file
};

// Empty statements are left out. kInvalidArgument: something is left open, with the line where it began.
Result<std::vector<SqlStatement>> split_statements(std::string_view sql);

// The possibly qualified name that starts at token `at` ("shop.item", "item"), lower-cased unless quoted; `at` is moved
// behind it. Empty: no name there.
std::string read_name(const SqlStatement& statement, size_t& at);

// True if the tokens from `at` on begin with these words.
bool has_words(const SqlStatement& statement, size_t at, std::initializer_list<std::string_view> words);

}  // namespace tidemark::shardrouter
