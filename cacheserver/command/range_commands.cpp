// Commands on a part of a value: APPEND, STRLEN, GETRANGE, SETRANGE.
#include <algorithm>
#include <cstring>

#include "base/parse.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/command/string_handlers.h"

namespace tidemark::cacheserver {
namespace {

constexpr std::string_view kTooLong = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

// Writes `text` at `offset`; the value grows as needed.
Entry* overwrite(CommandContext& context, std::string_view key, size_t offset, std::string_view text) {
  const Entry* old = see_entry(context, key);
  const size_t size = std::max(old == nullptr ? 0 : old->value().size(), offset + text.size());
  if (old == nullptr) context.keyspace.erase(key, context.now);  // a fill that is no longer valid is no beginning
  Entry* entry = context.keyspace.resize(key, size, context.now);
  if (entry == nullptr) return nullptr;
  std::memcpy(entry->value_mutable() + offset, text.data(), text.size());
  return entry;
}

size_t length_of(CommandContext& context, std::string_view key) {
  const Entry* entry = see_entry(context, key);
  return entry == nullptr ? 0 : entry->value().size();
}

}  // namespace

void append_command(CommandContext& context, Arguments arguments) {
  const size_t old_size = length_of(context, arguments[1]);
  if (old_size + arguments[2].size() > kValueBytesMax) return context.reply.error(kTooLong);
  Entry* entry = overwrite(context, arguments[1], old_size, arguments[2]);
  if (!was_stored(context, entry)) return;
  if (old_size > 0) entry->set_encoding(ValueEncoding::kEditedText);
  context.reply.integer(static_cast<int64_t>(entry->value().size()));
}

void strlen_command(CommandContext& context, Arguments arguments) {
  const Entry* entry = read_entry(context, arguments[1]);
  context.reply.integer(entry == nullptr ? 0 : static_cast<int64_t>(entry->value().size()));
}

void getrange_command(CommandContext& context, Arguments arguments) {
  auto start = parse_i64(arguments[2]), end = parse_i64(arguments[3]);
  if (!start || !end) return context.reply.error(kNotAnInteger);
  const Entry* entry = read_entry(context, arguments[1]);
  const std::string_view value = entry == nullptr ? std::string_view() : entry->value();
  const auto size = static_cast<int64_t>(value.size());
  if (*start < 0 && *end < 0 && *start > *end) return context.reply.bulk("");
  // Negative places count from the end; what lies outside is cut off.
  const int64_t from = *start < 0 ? std::max<int64_t>(0, size + *start) : *start;
  const int64_t to = std::min(*end < 0 ? std::max<int64_t>(0, size + *end) : *end, size - 1);
  if (from > to || size == 0) return context.reply.bulk("");
  context.reply.bulk(value.substr(static_cast<size_t>(from), static_cast<size_t>(to - from + 1)));
}

void setrange_command(CommandContext& context, Arguments arguments) {
  auto offset = parse_i64(arguments[2]);
  if (!offset) return context.reply.error(kNotAnInteger);
  if (*offset < 0) return context.reply.error("ERR offset is out of range");
  const std::string_view text = arguments[3];
  if (text.empty()) return context.reply.integer(static_cast<int64_t>(length_of(context, arguments[1])));
  if (static_cast<uint64_t>(*offset) > kValueBytesMax - text.size()) return context.reply.error(kTooLong);
  Entry* entry = overwrite(context, arguments[1], static_cast<size_t>(*offset), text);
  if (!was_stored(context, entry)) return;
  entry->set_encoding(ValueEncoding::kEditedText);
  context.reply.integer(static_cast<int64_t>(entry->value().size()));
}

}  // namespace tidemark::cacheserver
