#include "shardrouter/schema/sql_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/parse.h"

namespace tidemark::shardrouter {
namespace {

bool is_word_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80) != 0;
}
bool is_word_part(char c) {
  return is_word_start(c) || std::isdigit(static_cast<unsigned char>(c)) || c == '$';
}

class Lexer {
 public:
  explicit Lexer(std::string_view sql) : sql_(sql) {}

  Result<std::vector<SqlStatement>> run() {
    while (at_ < sql_.size()) {
      const Status done = step();
      if (!done) return std::unexpected(done.error());
    }
    if (depth_ != 0) return open_at(open_line_, "a parenthesis is");
    finish(at_);
    return std::move(statements_);
  }

 private:
  static std::unexpected<Error> open_at(size_t line, std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("line {}: {} opened and never closed", line, what));
  }
  char peek(size_t ahead = 0) const { return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0'; }
  void advance(size_t count) {
    for (; count > 0 && at_ < sql_.size(); --count)
      if (sql_[at_++] == '\n') ++line_;
  }

  Status step() {
    const char c = peek();
    if (std::isspace(static_cast<unsigned char>(c))) return advance(1), Status{};
    if (c == '-' && peek(1) == '-') return skip_line(), Status{};
    if (c == '/' && peek(1) == '*') return skip_block();
    if (c == '\'') return quoted(0, SqlToken::Kind::kString);
    if ((c == 'e' || c == 'E') && peek(1) == '\'') return quoted(1, SqlToken::Kind::kString);
    if (c == '"') return quoted(0, SqlToken::Kind::kQuotedName);
    if (c == '$' && !is_parameter()) return dollar_quoted();
    if (c == ';' && depth_ == 0) {
      finish(at_);
      advance(1);
      return {};
    }
    if (is_word_start(c)) return word(), Status{};
    if (std::isdigit(static_cast<unsigned char>(c))) return number(), Status{};
    return symbol();
  }

  bool is_parameter() const { return std::isdigit(static_cast<unsigned char>(peek(1))) != 0; }

  void skip_line() {
    while (at_ < sql_.size() && peek() != '\n') advance(1);
  }
  Status skip_block() {
    const size_t line = line_;
    int depth = 0;
    do {
      if (at_ >= sql_.size()) return open_at(line, "a comment is");
      if (peek() == '/' && peek(1) == '*') {
        ++depth;
        advance(2);
      } else if (peek() == '*' && peek(1) == '/') {
        --depth;
        advance(2);
      } else {
        advance(1);
      }
    } while (depth > 0);
    return {};
  }
  // `prefix`: 1 for E'…', in which a backslash takes the next character along.
  Status quoted(size_t prefix, SqlToken::Kind kind) {
    const size_t line = line_;
    begin_token();
    const size_t begin = at_;
    advance(prefix);
    const char quote = peek();
    std::string text;
    advance(1);
    while (true) {
      if (at_ >= sql_.size()) return open_at(line, "a quote is");
      if (prefix == 1 && peek() == '\\') {
        advance(2);
        continue;
      }
      if (peek() == quote) {
        advance(1);
        if (peek() != quote) break;
      }
      text += peek();
      advance(1);
    }
    add(kind, kind == SqlToken::Kind::kString ? "'" : std::move(text), begin);
    return {};
  }
  Status dollar_quoted() {
    const size_t line = line_;
    const size_t tag_end = sql_.find('$', at_ + 1);
    const bool is_tag =
        tag_end != std::string_view::npos &&
        std::all_of(sql_.begin() + static_cast<long>(at_) + 1, sql_.begin() + static_cast<long>(tag_end), is_word_part);
    if (!is_tag) return symbol();
    begin_token();
    const size_t begin = at_;
    const std::string_view tag = sql_.substr(at_, tag_end + 1 - at_);
    const size_t close = sql_.find(tag, tag_end + 1);
    if (close == std::string_view::npos) return open_at(line, fmt::format("the quote {} is", tag));
    advance(close + tag.size() - at_);
    add(SqlToken::Kind::kString, "$", begin);
    return {};
  }
  void word() {
    begin_token();
    const size_t begin = at_;
    while (at_ < sql_.size() && is_word_part(peek())) advance(1);
    add(SqlToken::Kind::kWord, to_lower(sql_.substr(begin, at_ - begin)), begin);
  }
  void number() {
    begin_token();
    const size_t begin = at_;
    while (at_ < sql_.size() && (is_word_part(peek()) || peek() == '.')) advance(1);
    add(SqlToken::Kind::kNumber, std::string(sql_.substr(begin, at_ - begin)), begin);
  }
  Status symbol() {
    begin_token();
    const char c = peek();
    if (c == '(' && depth_ == 0) open_line_ = line_;
    if (c == ')' && --depth_ < 0)
      return fail(ErrorCode::kInvalidArgument, fmt::format("line {}: a parenthesis is closed, none is open", line_));
    const size_t begin = at_;
    advance(1);
    add(SqlToken::Kind::kSymbol, std::string(1, c), begin);
    if (c == '(') ++depth_;
    return {};
  }

  void begin_token() {
    if (!current_.tokens.empty()) return;
    statement_begin_ = at_;
    current_.line = line_;
  }
  void add(SqlToken::Kind kind, std::string text, size_t begin) {
    current_.tokens.push_back({kind, std::move(text), begin - statement_begin_, at_ - statement_begin_, depth_});
  }
  void finish(size_t end) {
    if (!current_.tokens.empty()) {
      // Comments behind the last token are not part of it: a condition may be put in parentheses.
      end = statement_begin_ + current_.tokens.back().end;
      current_.text = std::string(sql_.substr(statement_begin_, end - statement_begin_));
      statements_.push_back(std::move(current_));
    }
    current_ = {};
  }

  std::string_view sql_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t statement_begin_ = 0;
  size_t open_line_ = 1;
  int depth_ = 0;
  SqlStatement current_;
  std::vector<SqlStatement> statements_;
};

}  // namespace

Result<std::vector<SqlStatement>> split_statements(std::string_view sql) {
  if (sql.size() > kSqlTextBytesMax)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} bytes of SQL; at most {} are read", sql.size(), kSqlTextBytesMax));
  return Lexer(sql).run();
}

std::string read_name(const SqlStatement& statement, size_t& at) {
  const auto& tokens = statement.tokens;
  std::string name;
  while (at < tokens.size() && tokens[at].is_name()) {
    name += tokens[at++].text;
    if (at + 1 >= tokens.size() || !tokens[at].is(".") || !tokens[at + 1].is_name()) break;
    name += '.';
    ++at;
  }
  return name;
}

bool has_words(const SqlStatement& statement, size_t at, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (at >= statement.tokens.size() || !statement.tokens[at].is(word)) return false;
    ++at;
  }
  return true;
}

}  // namespace tidemark::shardrouter
