#include "base/wire/request_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/invariant.h"

namespace tidemark {
namespace {

constexpr size_t npos = std::string_view::npos;

// The position of '\r' with a byte behind it; npos if it is not there yet. Count lines are short: try that first.
size_t find_line_end(std::string_view input, size_t from) {
  size_t near_end = std::min(input.size(), from + 12);
  for (size_t i = from; i < near_end; ++i) {
    if (input[i] == '\r') return i + 1 < input.size() ? i : npos;
  }
  if (near_end == input.size()) return npos;
  size_t at = input.find('\r', near_end);
  return at != npos && at + 1 < input.size() ? at : npos;
}

std::optional<int64_t> parse_count(std::string_view text) {
  // The usual case: one or two digits.
  if (text.size() == 1 && text[0] >= '0' && text[0] <= '9') return text[0] - '0';
  if (text.size() > 1 && (text[0] == '0' || text.starts_with("-0"))) return std::nullopt;
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The second to fifth digit of a length; `at` then stands at the '\r' behind them. False: they are not all there, or
// there are more.
bool read_more_digits(const char*& at, const char* end, size_t& bytes) {
  constexpr int kDigitsMax = 5;
  for (int digits = 1; at != end && *at >= '0' && *at <= '9'; ++at) {
    if (digits++ == kDigitsMax) return false;
    bytes = bytes * 10 + static_cast<size_t>(*at - '0');
  }
  return at != end && *at == '\r';
}

char unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Reads one quoted part beginning after the opening quote; returns the position after the closing one, npos if there is
// none or something follows it directly.
size_t read_quoted(std::string_view line, size_t at, char quote, std::string& storage) {
  while (at < line.size()) {
    char c = line[at];
    if (c == quote) return at + 1 == line.size() || is_blank(line[at + 1]) ? at + 1 : npos;
    bool has_next = at + 1 < line.size();
    if (quote == '"' && c == '\\' && at + 3 < line.size() && line[at + 1] == 'x' && hex_digit(line[at + 2]) >= 0 &&
        hex_digit(line[at + 3]) >= 0) {
      storage.push_back(static_cast<char>(hex_digit(line[at + 2]) * 16 + hex_digit(line[at + 3])));
      at += 4;
    } else if (quote == '"' && c == '\\' && has_next) {
      storage.push_back(unescape(line[at + 1]));
      at += 2;
    } else if (quote == '\'' && c == '\\' && has_next && line[at + 1] == '\'') {
      storage.push_back('\'');
      at += 2;
    } else {
      storage.push_back(c);
      ++at;
    }
  }
  return npos;
}

}  // namespace

bool split_inline(std::string_view line, std::string& storage, std::vector<std::string_view>& arguments) {
  const size_t limit = storage.size() + line.size();
  INVARIANT(storage.capacity() >= limit, storage.capacity(), limit);
  size_t at = 0;
  while (true) {
    while (at < line.size() && is_blank(line[at])) ++at;
    if (at == line.size()) return true;
    size_t begin = storage.size();
    while (at < line.size() && !is_blank(line[at])) {
      if (line[at] == '"' || line[at] == '\'') {
        at = read_quoted(line, at + 1, line[at], storage);
        if (at == npos) return false;
      } else {
        storage.push_back(line[at++]);
      }
    }
    arguments.push_back(std::string_view(storage).substr(begin));
  }
}

void RequestBatch::clear() {
  if (arguments_.capacity() > kArgumentsKept) {
    arguments_ = {};
  } else {
    arguments_.clear();
  }
  ends_.clear();
  decoded_.clear();
}

void RequestParser::forget() {
  error_.clear();
  partial_ = {};
  offset_ = 0;
  arguments_left_ = 0;
  bulk_bytes_ = -1;
  is_supplied_ = false;
}

void RequestParser::supply(std::string_view argument) {
  INVARIANT(!is_supplied_ && bulk_bytes_ >= 0 && argument.size() == argument_bytes(), argument.size(), bulk_bytes_);
  is_supplied_ = true;
  supplied_at_ = partial_.size();
  partial_.push_back(argument);
  offset_ += 2;  // the line end, which the input may not have yet
  bulk_bytes_ = -1;
  --arguments_left_;
}

RequestParser::Step RequestParser::broken(std::string_view text) {
  error_ = "Protocol error: ";
  error_ += text;
  return Step::kBroken;
}

// The usual request: whole, up to nine arguments, none of them large. Whatever else it is, read_array has the word.
bool RequestParser::read_short(std::string_view& input, RequestBatch& batch) {
  constexpr size_t kCountMax = 9;
  constexpr std::ptrdiff_t kHeadBytes = 4;      // "*3\r\n"
  constexpr std::ptrdiff_t kArgumentBytes = 7;  // at least: "$1\r\nx\r\n"
  const char* at = input.data();
  const char* const end = at + input.size();
  if (end - at < kHeadBytes + kArgumentBytes || at[0] != '*' || at[1] < '1' || at[1] > '9' || at[2] != '\r')
    return false;
  const auto count = static_cast<size_t>(at[1] - '0');
  at += kHeadBytes;
  const size_t bytes_max = limits_.bulk_bytes_max;
  struct Argument {
    const char* begin;
    size_t size;
  };
  std::array<Argument, kCountMax> arguments;
  for (size_t i = 0; i < count; ++i) {
    if (end - at < kArgumentBytes || at[0] != '$' || at[1] < '1' || at[1] > '9') return false;
    auto bytes = static_cast<size_t>(at[1] - '0');
    at += 2;
    if (*at != '\r' && !read_more_digits(at, end, bytes)) return false;
    if (static_cast<size_t>(end - at) < bytes + 4 || bytes > bytes_max) return false;
    arguments[i] = {at + 2, bytes};
    at += bytes + 4;
  }
  std::vector<std::string_view>& all = batch.arguments_;
  if (all.capacity() - all.size() < count) all.reserve(std::max(all.capacity() * 2, all.size() + kCountMax));
  for (size_t i = 0; i < count; ++i) all.push_back({arguments[i].begin, arguments[i].size});
  batch.ends_.push_back(all.size());
  input.remove_prefix(static_cast<size_t>(at - input.data()));
  return true;
}

RequestParser::Outcome RequestParser::next(std::string_view& input, RequestBatch& batch) {
  if (!is_inside_request() && limits_.is_authenticated && read_short(input, batch)) return Outcome::kRequest;
  while (!input.empty()) {
    bool is_array = is_inside_request() || input.front() == '*';
    Step step = is_array ? read_array(input, batch) : read_inline(input, batch);
    switch (step) {
      case Step::kDone:
        return Outcome::kRequest;
      case Step::kNothing:
        continue;
      case Step::kMore:
        return Outcome::kIncomplete;
      case Step::kBroken:
        return Outcome::kError;
    }
  }
  return Outcome::kIncomplete;
}

RequestParser::Step RequestParser::read_array(std::string_view& input, RequestBatch& batch) {
  if (!is_inside_request()) {
    Step step = read_argument_count(input);
    if (step == Step::kNothing) {
      input.remove_prefix(offset_);
      offset_ = 0;
    }
    if (step != Step::kDone) return step;
  } else if (input.size() < offset_) {
    return Step::kMore;  // of the line end behind what was supplied
  } else {
    resume(input, batch);
  }
  Step step = read_arguments(input, batch.arguments_);
  if (step == Step::kMore) suspend(input, batch);
  if (step != Step::kDone) return step;
  batch.ends_.push_back(batch.arguments_.size());
  input.remove_prefix(offset_);
  offset_ = 0;
  is_supplied_ = false;
  return Step::kDone;
}

RequestParser::Step RequestParser::read_argument_count(std::string_view input) {
  size_t end = find_line_end(input, 1);
  if (end == npos) return input.size() > limits_.line_bytes_max ? broken("too big mbulk count string") : Step::kMore;
  auto count = parse_count(input.substr(1, end - 1));
  if (!count || *count > static_cast<int64_t>(limits_.arguments_max)) return broken("invalid multibulk length");
  if (!limits_.is_authenticated && *count > static_cast<int64_t>(kUnauthenticatedArgumentsMax)) {
    return broken("unauthenticated multibulk length");
  }
  offset_ = end + 2;
  if (*count <= 0) return Step::kNothing;
  arguments_left_ = static_cast<size_t>(*count);
  return Step::kDone;
}

RequestParser::Step RequestParser::read_arguments(std::string_view input, std::vector<std::string_view>& arguments) {
  while (arguments_left_ > 0) {
    if (bulk_bytes_ < 0) {
      Step step = read_bulk_length(input);
      if (step != Step::kDone) return step;
    }
    auto bytes = static_cast<size_t>(bulk_bytes_);
    if (input.size() < offset_ + bytes + 2) return Step::kMore;
    arguments.push_back(input.substr(offset_, bytes));
    offset_ += bytes + 2;
    bulk_bytes_ = -1;
    --arguments_left_;
  }
  return Step::kDone;
}

RequestParser::Step RequestParser::read_bulk_length(std::string_view input) {
  if (offset_ == input.size()) return Step::kMore;
  if (input[offset_] != '$') return broken(std::string("expected '$', got '") + input[offset_] + "'");
  size_t end = find_line_end(input, offset_ + 1);
  if (end == npos) {
    return input.size() - offset_ > limits_.line_bytes_max ? broken("too big bulk count string") : Step::kMore;
  }
  auto bytes = parse_count(input.substr(offset_ + 1, end - offset_ - 1));
  if (!bytes || *bytes < 0 || *bytes > static_cast<int64_t>(limits_.bulk_bytes_max)) {
    return broken("invalid bulk length");
  }
  if (!limits_.is_authenticated && *bytes > static_cast<int64_t>(kUnauthenticatedBulkBytesMax)) {
    return broken("unauthenticated bulk length");
  }
  bulk_bytes_ = *bytes;
  offset_ = end + 2;
  return Step::kDone;
}

// Takes the arguments of the incomplete request out of the batch. One that was resumed stood alone in the batch, so its
// vector is swapped back whole: a request that arrives byte by byte costs nothing per argument it already has.
void RequestParser::suspend(std::string_view input, RequestBatch& batch) {
  base_ = input.data();
  size_t begin = batch.ends_.empty() ? 0 : batch.ends_.back();
  if (begin == 0) {
    std::swap(partial_, batch.arguments_);
    batch.arguments_.clear();
    return;
  }
  partial_.assign(batch.arguments_.begin() + static_cast<std::ptrdiff_t>(begin), batch.arguments_.end());
  batch.arguments_.resize(begin);
}

void RequestParser::resume(std::string_view input, RequestBatch& batch) {
  INVARIANT(batch.arguments_.empty(), batch.arguments_.size());  // an incomplete request is always first in the input
  INVARIANT(input.size() >= offset_, input.size(), offset_);
  if (base_ != input.data()) {
    for (size_t i = 0; i < partial_.size(); ++i) {
      std::string_view& argument = partial_[i];
      if (is_supplied_ && i == supplied_at_) continue;
      argument = {input.data() + (argument.data() - base_), argument.size()};
    }
  }
  std::swap(partial_, batch.arguments_);
  partial_ = {};
}

RequestParser::Step RequestParser::read_inline(std::string_view& input, RequestBatch& batch) {
  size_t end = input.find('\n');
  if (end == npos) return input.size() > limits_.line_bytes_max ? broken("too big inline request") : Step::kMore;
  std::string_view line = input.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  size_t begin = batch.arguments_.size();
  std::string& storage = batch.decoded_.emplace_front();
  storage.reserve(line.size());
  if (!split_inline(line, storage, batch.arguments_)) return broken("unbalanced quotes in request");
  input.remove_prefix(end + 1);
  if (batch.arguments_.size() == begin) {
    batch.decoded_.pop_front();
    return Step::kNothing;
  }
  batch.ends_.push_back(batch.arguments_.size());
  return Step::kDone;
}

}  // namespace tidemark
