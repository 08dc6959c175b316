#include "base/parse.h"

#include <charconv>

namespace tidemark {
namespace {

template <typename T>
std::optional<T> parse_whole(std::string_view text, int radix) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, radix);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Splits "12abc" into 12 and "abc" (lower case).
std::optional<std::pair<uint64_t, std::string>> number_and_unit(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  auto number = parse_whole<uint64_t>(text.substr(0, digits), 10);
  if (!number) return std::nullopt;
  return std::pair{*number, to_lower(text.substr(digits))};
}

}  // namespace

std::optional<int64_t> parse_i64(std::string_view text) {
  std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  if (text == "-0") return std::nullopt;
  return parse_whole<int64_t>(text, 10);
}

std::optional<uint64_t> parse_u64(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return parse_whole<uint64_t>(text, 10);
}

std::optional<uint64_t> parse_hex_u64(std::string_view text) {
  if (text.size() > 16) return std::nullopt;
  return parse_whole<uint64_t>(text, 16);
}

std::optional<uint64_t> parse_memory_size(std::string_view text) {
  auto parts = number_and_unit(text);
  if (!parts) return std::nullopt;
  auto [number, unit] = *parts;
  int shift = 0;
  if (unit.empty() || unit == "b") shift = 0;
  else if (unit == "k" || unit == "kb") shift = 10;
  else if (unit == "m" || unit == "mb") shift = 20;
  else if (unit == "g" || unit == "gb") shift = 30;
  else if (unit == "t" || unit == "tb") shift = 40;
  else return std::nullopt;
  if (shift > 0 && number > (UINT64_MAX >> shift)) return std::nullopt;
  return number << shift;
}

std::optional<Duration> parse_duration(std::string_view text) {
  auto parts = number_and_unit(text);
  if (!parts) return std::nullopt;
  auto [number, unit] = *parts;
  if (number > 1'000'000'000) return std::nullopt;
  auto count = static_cast<int64_t>(number);
  if (unit.empty() || unit == "ms") return std::chrono::milliseconds(count);
  if (unit == "us") return std::chrono::microseconds(count);
  if (unit == "s") return std::chrono::seconds(count);
  if (unit == "m") return std::chrono::minutes(count);
  if (unit == "h") return std::chrono::hours(count);
  return std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  while (true) {
    size_t at = text.find(separator);
    pieces.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + 1);
  }
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

}  // namespace tidemark
