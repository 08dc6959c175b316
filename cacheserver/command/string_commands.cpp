// The table of string commands, and those that read or write whole values without options.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cacheserver/command/data_support.h"
#include "cacheserver/command/string_handlers.h"

namespace tidemark::cacheserver {
namespace {

// MGET loads this many keys side by side, then answers them.
constexpr size_t kKeysAtOnce = 16;
// What a new entry costs beside key and value, for a first estimate of an MSET.
constexpr uint64_t kEntryOverheadEstimate = 48;

void reply_value_or_null(CommandContext& context, const Entry* entry) {
  entry != nullptr ? reply_value(context, *entry) : context.reply.null();
}

// Before anything is written: whether all pairs are likely to fit.
bool has_room_for_pairs(CommandContext& context, Arguments pairs) {
  uint64_t bytes = 0;
  for (std::string_view text : pairs) {
    const bool is_counted = context.keyspace.received_at(text) != nullptr;
    bytes += (is_counted ? 0 : text.size()) + kEntryOverheadEstimate / 2;
  }
  if (context.keyspace.reserve(bytes, context.now)) return true;
  context.reply.error(kOutOfMemory);
  return false;
}

bool put_pairs(CommandContext& context, Arguments pairs) {
  for (size_t i = 0; i < pairs.size(); i += 2) {
    if (!was_stored(context, context.keyspace.put(pairs[i], pairs[i + 1], context.now))) return false;
  }
  return true;
}

bool are_pairs(CommandContext& context, Arguments arguments, std::string_view name) {
  if (arguments.size() % 2 == 1) return true;
  context.reply.error(fmt::format("ERR wrong number of arguments for '{}' command", name));
  return false;
}

}  // namespace

void get_command(CommandContext& context, Arguments arguments) {
  reply_value_or_null(context, read_entry(context, arguments[1]));
}

void mget_command(CommandContext& context, Arguments arguments) {
  const Arguments keys = arguments.subspan(1);
  context.reply.array(keys.size());
  std::array<KeyRef, kKeysAtOnce> refs;
  for (size_t begin = 0; begin < keys.size(); begin += kKeysAtOnce) {
    const Arguments some = keys.subspan(begin, std::min(kKeysAtOnce, keys.size() - begin));
    for (size_t i = 0; i < some.size(); ++i) refs[i] = context.keyspace.recall(some[i]);
    context.keyspace.prefetch({refs.data(), some.size()});
    context.keyspace.expect({refs.data(), some.size()});
    for (std::string_view key : some) reply_value_or_null(context, read_entry(context, key));
    context.keyspace.expect({});
  }
}

void mset_command(CommandContext& context, Arguments arguments) {
  if (!are_pairs(context, arguments, "mset")) return;
  const Arguments pairs = arguments.subspan(1);
  if (!has_room_for_pairs(context, pairs) || !put_pairs(context, pairs)) return;
  context.reply.ok();
}

void msetnx_command(CommandContext& context, Arguments arguments) {
  if (!are_pairs(context, arguments, "msetnx")) return;
  const Arguments pairs = arguments.subspan(1);
  for (size_t i = 0; i < pairs.size(); i += 2) {
    if (see_entry(context, pairs[i]) != nullptr) return context.reply.integer(0);
  }
  if (!has_room_for_pairs(context, pairs)) return;
  if (!put_pairs(context, pairs)) {  // all or nothing: none of them was there before
    for (size_t i = 0; i < pairs.size(); i += 2) context.keyspace.erase(pairs[i], context.now);
    return;
  }
  context.reply.integer(1);
}

void getdel_command(CommandContext& context, Arguments arguments) {
  const Entry* entry = read_entry(context, arguments[1]);
  reply_value_or_null(context, entry);
  if (entry != nullptr) erase_key(context, arguments[1]);
}

std::span<const CommandSpec> string_commands() {
  constexpr uint32_t kStore = kWrite | kDenyOom;
  constexpr std::string_view kGroup = "string";
  static constexpr CommandSpec kRows[] = {
      {"append", 3, kStore | kFast, 1, 1, 1, append_command, kGroup, "Appends to a value; creates the key", "2.0.0"},
      {"decr", 2, kStore | kFast, 1, 1, 1, decr_command, kGroup, "Subtracts one from a number", "1.0.0"},
      {"decrby", 3, kStore | kFast, 1, 1, 1, decrby_command, kGroup, "Subtracts from a number", "1.0.0"},
      {"get", 2, kReadonly | kFast, 1, 1, 1, get_command, kGroup, "Returns the value of a key", "1.0.0"},
      {"getdel", 2, kWrite | kFast, 1, 1, 1, getdel_command, kGroup, "Returns a value and deletes its key", "6.2.0"},
      {"getex", -2, kWrite | kFast, 1, 1, 1, getex_command, kGroup, "Returns a value and sets its expiry", "6.2.0"},
      {"getrange", 4, kReadonly, 1, 1, 1, getrange_command, kGroup, "Returns a part of a value", "2.4.0"},
      {"getset", 3, kStore | kFast, 1, 1, 1, getset_command, kGroup, "Sets a value, returns the old one", "1.0.0"},
      {"incr", 2, kStore | kFast, 1, 1, 1, incr_command, kGroup, "Adds one to a number", "1.0.0"},
      {"incrby", 3, kStore | kFast, 1, 1, 1, incrby_command, kGroup, "Adds to a number", "1.0.0"},
      {"incrbyfloat", 3, kStore | kFast, 1, 1, 1, incrbyfloat_command, kGroup, "Adds to a decimal number", "2.6.0"},
      {"lcs", -3, kReadonly, 1, 2, 1, lcs_command, kGroup, "Finds the longest common subsequence", "7.0.0"},
      {"mget", -2, kReadonly | kFast, 1, -1, 1, mget_command, kGroup, "Returns the values of keys", "1.0.0"},
      {"mset", -3, kStore, 1, -1, 2, mset_command, kGroup, "Sets keys to values", "1.0.1"},
      {"msetnx", -3, kStore, 1, -1, 2, msetnx_command, kGroup, "Sets keys if none of them exists", "1.0.1"},
      {"psetex", 4, kStore, 1, 1, 1, psetex_command, kGroup, "Sets a value with an expiry in ms", "2.6.0"},
      {"set", -3, kStore, 1, 1, 1, set_command, kGroup, "Sets a value, with conditions and expiry", "1.0.0"},
      {"setex", 4, kStore, 1, 1, 1, setex_command, kGroup, "Sets a value with an expiry in seconds", "2.0.0"},
      {"setnx", 3, kStore | kFast, 1, 1, 1, setnx_command, kGroup, "Sets a value if the key is missing", "1.0.0"},
      {"setrange", 4, kStore, 1, 1, 1, setrange_command, kGroup, "Overwrites a part of a value", "2.2.0"},
      {"strlen", 2, kReadonly | kFast, 1, 1, 1, strlen_command, kGroup, "Returns a value's length", "2.2.0"},
      {"substr", 4, kReadonly, 1, 1, 1, getrange_command, kGroup, "GETRANGE under its old name", "1.0.0"},
  };
  return kRows;
}

}  // namespace tidemark::cacheserver
