// OBJECT: what the node knows about an entry beside its value. None of it counts as a use.
#include "base/parse.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/command/key_handlers.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kEmbeddedBytesMax = 44;  // Redis's "embstr" ends here; tools and tests read the word

std::string_view encoding_of(const Entry& entry) {
  if (entry.encoding() == ValueEncoding::kEditedText) return "raw";
  if (parse_i64(entry.value())) return "int";
  return entry.value().size() <= kEmbeddedBytesMax ? "embstr" : "raw";
}

// Writes null if there is no such key.
const Entry* look(CommandContext& context, std::string_view key) {
  const Entry* entry = see_entry(context, key);
  if (entry == nullptr) context.reply.null();
  return entry;
}

}  // namespace

void object_encoding_command(CommandContext& context, Arguments arguments) {
  if (const Entry* entry = look(context, arguments[2])) context.reply.bulk(encoding_of(*entry));
}

void object_refcount_command(CommandContext& context, Arguments arguments) {
  if (look(context, arguments[2]) != nullptr) context.reply.integer(1);
}

void object_idletime_command(CommandContext& context, Arguments arguments) {
  const Entry* entry = look(context, arguments[2]);
  if (entry == nullptr) return;
  auto seconds = context.keyspace.idle_seconds(*entry, context.now);
  if (seconds) return context.reply.integer(static_cast<int64_t>(*seconds));
  context.reply.error(
      "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between "
      "policies "
      "at runtime LRU and LFU data will take some time to adjust.");
}

void object_freq_command(CommandContext& context, Arguments arguments) {
  const Entry* entry = look(context, arguments[2]);
  if (entry == nullptr) return;
  auto frequency = context.keyspace.frequency(*entry);
  if (frequency) return context.reply.integer(static_cast<int64_t>(*frequency));
  context.reply.error(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
      "between "
      "policies at runtime LRU and LFU data will take some time to adjust.");
}

void object_help_command(CommandContext& context, Arguments) {
  static constexpr std::string_view kLines[] = {
      "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "ENCODING <key>",
      "    Return the kind of internal representation used in order to store the value",
      "    associated with a <key>.",
      "FREQ <key>",
      "    Return the access frequency index of the <key>, if the eviction policy keeps one.",
      "IDLETIME <key>",
      "    Return the idle time of the <key>: seconds since its last use.",
      "REFCOUNT <key>",
      "    Return the number of references of the value associated with the specified",
      "    <key>: always 1.",
      "HELP",
      "    Print this help.",
  };
  context.reply.array(std::size(kLines));
  for (std::string_view line : kLines) context.reply.simple(line);
}

}  // namespace tidemark::cacheserver
