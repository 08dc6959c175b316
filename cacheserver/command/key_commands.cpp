// The table of key commands, and those that erase, count, move and copy keys.
#include "cacheserver/command/key_handlers.h"

#include "base/parse.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

// True if it was stored under its new name; else the refusal has been written.
bool move_entry(CommandContext& context, std::string_view from, std::string_view to) {
  if (to.size() > kKeyBytesMax) return context.reply.error(key_too_long(to.size())), false;
  if (context.keyspace.copy(from, to, context.now) != Keyspace::CopyOutcome::kDone) {
    context.reply.error(kOutOfMemory);
    return false;
  }
  erase_key(context, from);
  return true;
}

struct CopyOptions {
  int64_t database = 0;
  bool replaces = false;
};

bool read_copy_options(CommandContext& context, Arguments words, CopyOptions& options) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (equals_ignore_case(words[i], "REPLACE")) {
      options.replaces = true;
    } else if (equals_ignore_case(words[i], "DB") && i + 1 < words.size()) {
      auto database = parse_i64(words[++i]);
      if (!database) return context.reply.error(kNotAnInteger), false;
      options.database = *database;
    } else {
      return context.reply.error(kSyntaxError), false;
    }
  }
  if (options.database == 0) return true;
  context.reply.error("ERR DB index is out of range");
  return false;
}

}  // namespace

void del_command(CommandContext& context, Arguments arguments) {
  int64_t erased = 0;
  for (std::string_view key : arguments.subspan(1)) erased += erase_key(context, key) ? 1 : 0;
  context.reply.integer(erased);
}

void exists_command(CommandContext& context, Arguments arguments) {
  int64_t found = 0;
  for (std::string_view key : arguments.subspan(1)) found += see_entry(context, key) != nullptr ? 1 : 0;
  context.reply.integer(found);
}

void touch_command(CommandContext& context, Arguments arguments) {
  int64_t found = 0;
  for (std::string_view key : arguments.subspan(1)) found += read_entry(context, key) != nullptr ? 1 : 0;
  context.reply.integer(found);
}

void type_command(CommandContext& context, Arguments arguments) {
  context.reply.simple(see_entry(context, arguments[1]) != nullptr ? "string" : "none");
}

void rename_command(CommandContext& context, Arguments arguments) {
  if (see_entry(context, arguments[1]) == nullptr) return context.reply.error(kNoSuchKey);
  if (arguments[1] == arguments[2] || move_entry(context, arguments[1], arguments[2])) context.reply.ok();
}

void renamenx_command(CommandContext& context, Arguments arguments) {
  if (see_entry(context, arguments[1]) == nullptr) return context.reply.error(kNoSuchKey);
  if (see_entry(context, arguments[2]) != nullptr) return context.reply.integer(0);
  if (move_entry(context, arguments[1], arguments[2])) context.reply.integer(1);
}

void copy_command(CommandContext& context, Arguments arguments) {
  CopyOptions options;
  if (!read_copy_options(context, arguments.subspan(3), options)) return;
  if (arguments[1] == arguments[2]) {
    return context.reply.error("ERR source and destination objects are the same");
  }
  if (see_entry(context, arguments[1]) == nullptr) return context.reply.integer(0);
  if (!options.replaces && see_entry(context, arguments[2]) != nullptr) return context.reply.integer(0);
  if (context.keyspace.copy(arguments[1], arguments[2], context.now) != Keyspace::CopyOutcome::kDone) {
    return context.reply.error(kOutOfMemory);
  }
  context.reply.integer(1);
}

std::span<const CommandSpec> key_commands() {
  // A value is one block of memory, so UNLINK has nothing to put off: it is DEL.
  constexpr uint32_t kShorten = kWrite | kFast | kAllowsFamily;
  constexpr uint32_t kLook = kReadonly | kFast;
  constexpr std::string_view kGroup = "generic";
  static constexpr CommandSpec kRows[] = {
      {"copy", -3, kWrite | kDenyOom, 1, 2, 1, copy_command, kGroup, "Copies a value to another key", "6.2.0"},
      {"del", -2, kWrite | kAllowsFamily, 1, -1, 1, del_command, kGroup, "Deletes keys", "1.0.0"},
      {"exists", -2, kLook, 1, -1, 1, exists_command, kGroup, "Counts those of the keys that exist", "1.0.0"},
      {"expire", -3, kShorten, 1, 1, 1, expire_command, kGroup, "Sets the time to live in seconds", "1.0.0"},
      {"expireat", -3, kShorten, 1, 1, 1, expireat_command, kGroup, "Sets the expiry in Unix seconds", "1.2.0"},
      {"expiretime", 2, kLook, 1, 1, 1, expiretime_command, kGroup, "Returns the expiry in Unix seconds", "7.0.0"},
      {"keys", 2, kReadonly, 0, 0, 0, keys_command, kGroup, "Returns the keys that match a pattern", "1.0.0"},
      {"object|encoding", 3, kReadonly, 2, 2, 1, object_encoding_command, kGroup, "Returns a value's encoding",
       "2.2.3"},
      {"object|freq", 3, kReadonly, 2, 2, 1, object_freq_command, kGroup, "Returns the access frequency", "4.0.0"},
      {"object|help", 2, 0, 0, 0, 0, object_help_command, kGroup, "Explains the subcommands", "6.2.0"},
      {"object|idletime", 3, kReadonly, 2, 2, 1, object_idletime_command, kGroup, "Seconds since last use", "2.2.3"},
      {"object|refcount", 3, kReadonly, 2, 2, 1, object_refcount_command, kGroup, "Returns 1: none is shared", "2.2.3"},
      {"persist", 2, kWrite | kFast, 1, 1, 1, persist_command, kGroup, "Removes the expiry", "2.2.0"},
      {"pexpire", -3, kShorten, 1, 1, 1, pexpire_command, kGroup, "Sets the time to live in milliseconds", "2.6.0"},
      {"pexpireat", -3, kShorten, 1, 1, 1, pexpireat_command, kGroup, "Sets the expiry in Unix milliseconds", "2.6.0"},
      {"pexpiretime", 2, kLook, 1, 1, 1, pexpiretime_command, kGroup, "Returns the expiry in Unix ms", "7.0.0"},
      {"pttl", 2, kLook, 1, 1, 1, pttl_command, kGroup, "Returns the time to live in milliseconds", "2.6.0"},
      {"randomkey", 1, kReadonly, 0, 0, 0, randomkey_command, kGroup, "Returns a random key", "1.0.0"},
      {"rename", 3, kWrite | kDenyOom, 1, 2, 1, rename_command, kGroup, "Renames a key", "1.0.0"},
      {"renamenx", 3, kWrite | kDenyOom, 1, 2, 1, renamenx_command, kGroup, "Renames to a free name", "1.0.0"},
      {"scan", -2, kReadonly, 0, 0, 0, scan_command, kGroup, "Iterates over the keys", "2.8.0"},
      {"touch", -2, kLook, 1, -1, 1, touch_command, kGroup, "Marks keys as used, counts them", "3.2.1"},
      {"ttl", 2, kLook, 1, 1, 1, ttl_command, kGroup, "Returns the time to live in seconds", "1.0.0"},
      {"type", 2, kLook, 1, 1, 1, type_command, kGroup, "Returns the type of a value", "1.0.0"},
      {"unlink", -2, kShorten, 1, -1, 1, del_command, kGroup, "Deletes keys", "4.0.0"},
  };
  return kRows;
}

}  // namespace tidemark::cacheserver
