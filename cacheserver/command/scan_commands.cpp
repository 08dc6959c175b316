// SCAN, KEYS and RANDOMKEY: what is there, without knowing the names.
#include <charconv>

#include "base/parse.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/command/glob.h"
#include "cacheserver/command/key_handlers.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kScanCountDefault = 10;
constexpr size_t kScanCountMax = 1 << 20;  // entries looked at per call, whatever COUNT says
constexpr size_t kKeysBatch = 1024;

struct ScanOptions {
  std::string_view pattern = "*";
  std::string_view type = {};
  size_t count = kScanCountDefault;

  // A proven absence is an entry, but no key.
  bool matches(const Entry& entry) const {
    if (entry.has_claims() && entry.claims().is_absent) return false;
    if (!type.empty() && !equals_ignore_case(type, "string")) return false;
    return pattern == "*" || glob_matches(pattern, entry.key());
  }
};

// Digits only; leading zeros are fine.
std::optional<uint64_t> parse_cursor(std::string_view text) {
  uint64_t cursor = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cursor);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return cursor;
}

bool read_options(CommandContext& context, Arguments words, ScanOptions& options) {
  for (size_t i = 0; i < words.size(); i += 2) {
    const bool has_value = i + 1 < words.size();
    if (has_value && equals_ignore_case(words[i], "COUNT")) {
      auto count = parse_i64(words[i + 1]);
      if (!count) return context.reply.error(kNotAnInteger), false;
      if (*count < 1) return context.reply.error(kSyntaxError), false;
      options.count = std::min(static_cast<size_t>(*count), kScanCountMax);
    } else if (has_value && equals_ignore_case(words[i], "MATCH")) {
      options.pattern = words[i + 1];
    } else if (has_value && equals_ignore_case(words[i], "TYPE")) {
      options.type = words[i + 1];
    } else {
      return context.reply.error(kSyntaxError), false;
    }
  }
  return true;
}

}  // namespace

void scan_command(CommandContext& context, Arguments arguments) {
  auto cursor = parse_cursor(arguments[1]);
  if (!cursor) return context.reply.error("ERR invalid cursor");
  ScanOptions options;
  if (!read_options(context, arguments.subspan(2), options)) return;
  std::vector<const Entry*> entries;
  const uint64_t next = context.keyspace.scan(*cursor, options.count, context.now, entries);
  std::erase_if(entries, [&](const Entry* entry) { return !options.matches(*entry); });
  context.reply.array(2);
  context.reply.bulk(std::to_string(next));
  context.reply.array(entries.size());
  for (const Entry* entry : entries) context.reply.bulk(entry->key());
}

void keys_command(CommandContext& context, Arguments arguments) {
  const ScanOptions options{.pattern = arguments[1]};
  std::vector<const Entry*> entries;
  std::vector<std::string_view> keys;
  uint64_t cursor = 0;
  do {
    entries.clear();
    cursor = context.keyspace.scan(cursor, kKeysBatch, context.now, entries);
    for (const Entry* entry : entries) {
      if (options.matches(*entry)) keys.push_back(entry->key());
    }
  } while (cursor != 0);
  context.reply.array(keys.size());
  for (std::string_view key : keys) context.reply.bulk(key);
}

void randomkey_command(CommandContext& context, Arguments) {
  const Entry* entry = context.keyspace.random(context.now);
  if (entry == nullptr) return context.reply.null();
  context.reply.bulk(entry->key());
}

}  // namespace tidemark::cacheserver
