// INCR and its kin: numbers kept as decimal text, as in Redis.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/parse.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/command/string_handlers.h"

namespace tidemark::cacheserver {
namespace {

constexpr std::string_view kNotAFloat = "ERR value is not a valid float";
constexpr size_t kFloatTextMax = 5 * 1024;  // longer numbers are refused, as in Redis

void add(CommandContext& context, std::string_view key, int64_t change) {
  const Entry* entry = see_entry(context, key);
  auto old = entry == nullptr ? std::optional<int64_t>(0) : parse_i64(entry->value());
  if (!old) return context.reply.error(kNotAnInteger);
  int64_t sum;
  if (__builtin_add_overflow(*old, change, &sum)) {
    return context.reply.error("ERR increment or decrement would overflow");
  }
  char digits[24];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, sum);
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  if (!was_stored(context, context.keyspace.put(key, text, {.keep_expiry = true}, context.now))) return;
  context.reply.integer(sum);
}

std::optional<long double> parse_float(std::string_view text) {
  char copy[kFloatTextMax];
  if (text.empty() || text.size() >= sizeof copy || std::isspace(static_cast<unsigned char>(text[0])) != 0) {
    return std::nullopt;
  }
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  char* end = nullptr;
  errno = 0;
  const long double value = std::strtold(copy, &end);
  const bool is_out_of_range = errno == ERANGE && (std::isinf(value) || std::fpclassify(value) == FP_ZERO);
  if (end != copy + text.size() || is_out_of_range || std::isnan(value)) return std::nullopt;
  return value;
}

// 17 digits behind the point, then without the zeros at the end: "3.0e3" becomes 3000, 10.5 stays 10.5.
std::string float_text(long double value) {
  char digits[kFloatTextMax];  // the longest long double has 4,933 digits before the point
  int length = std::snprintf(digits, sizeof digits, "%.17Lf", value);
  std::string text(digits, static_cast<size_t>(length));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

}  // namespace

void incr_command(CommandContext& context, Arguments arguments) {
  add(context, arguments[1], 1);
}
void decr_command(CommandContext& context, Arguments arguments) {
  add(context, arguments[1], -1);
}

void incrby_command(CommandContext& context, Arguments arguments) {
  auto change = parse_i64(arguments[2]);
  if (!change) return context.reply.error(kNotAnInteger);
  add(context, arguments[1], *change);
}

void decrby_command(CommandContext& context, Arguments arguments) {
  auto change = parse_i64(arguments[2]);
  if (!change) return context.reply.error(kNotAnInteger);
  if (*change == INT64_MIN) return context.reply.error("ERR decrement would overflow");
  add(context, arguments[1], -*change);
}

void incrbyfloat_command(CommandContext& context, Arguments arguments) {
  const Entry* entry = see_entry(context, arguments[1]);
  auto old = entry == nullptr ? std::optional<long double>(0) : parse_float(entry->value());
  if (!old) return context.reply.error(kNotAFloat);
  auto change = parse_float(arguments[2]);
  if (!change) return context.reply.error(kNotAFloat);
  const long double sum = *old + *change;
  if (std::isnan(sum) || std::isinf(sum)) return context.reply.error("ERR increment would produce NaN or Infinity");
  const std::string text = float_text(sum);
  if (!was_stored(context, context.keyspace.put(arguments[1], text, {.keep_expiry = true}, context.now))) return;
  context.reply.bulk(text);
}

}  // namespace tidemark::cacheserver
