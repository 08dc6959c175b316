#include "cacheserver/command/dispatch.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/parse.h"
#include "base/slot.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kErrorArgumentsBytesMax = 128;  // of the arguments quoted in an unknown command's error, as in Redis

bool reply_moved(CommandContext& context, Slot slot) {
  auto endpoint = context.worker.endpoint_of_slot(slot);
  if (!endpoint) {
    context.reply.error("CLUSTERDOWN Hash slot not served");
    return false;
  }
  context.worker.stats().commands_moved.add();
  context.reply.error(fmt::format("MOVED {} {}:{}", slot, endpoint->host, endpoint->port));
  return false;
}

bool check_slots(CommandContext& context, const KeyPositions& positions, Arguments arguments) {
  const Slot slot = context.keyspace.recall(arguments[positions.first]).slot;
  for (size_t i = positions.first + positions.step; i <= positions.last; i += positions.step) {
    if (context.keyspace.recall(arguments[i]).slot != slot) {
      context.reply.error("CROSSSLOT Keys in request don't hash to the same slot");
      return false;
    }
  }
  return context.worker.owns_slot(slot) || reply_moved(context, slot);
}

bool check_families(CommandContext& context, const KeyPositions& positions, Arguments arguments) {
  for (size_t i = positions.first; i <= positions.last; i += positions.step) {
    const Family* family = context.worker.database_family_of_key(arguments[i]);
    if (family == nullptr) continue;
    context.worker.stats().commands_protected.add();
    context.reply.error(
        fmt::format("PROTECTED key belongs to family {}; write to the database, or use SETV", family->name));
    return false;
  }
  return true;
}

bool check_arity(CommandContext& context, const CommandSpec& spec, Arguments arguments) {
  auto count = static_cast<int>(std::min<size_t>(arguments.size(), INT32_MAX));
  if (spec.arity >= 0 ? count == spec.arity : count >= -spec.arity) return true;
  context.reply.error(fmt::format("ERR wrong number of arguments for '{}' command", spec.name));
  return false;
}

bool check_user(CommandContext& context, const CommandSpec& spec) {
  const Session& session = context.session;
  if (!session.is_authenticated() && !(spec.flags & kNoAuth)) {
    context.reply.error("NOAUTH Authentication required.");
    return false;
  }
  bool needs_invalidator = (spec.flags & kInvalidator) && !context.worker.credentials().invalidator_password.empty();
  if (needs_invalidator && session.user != User::kInvalidator) {
    context.reply.error(fmt::format("NOPERM User default has no permissions to run the '{}' command", spec.name));
    return false;
  }
  return true;
}

bool check_memory(CommandContext& context, const CommandSpec& spec) {
  if (!(spec.flags & kDenyOom) || !context.keyspace.memory().is_over()) [[likely]]
    return true;
  if (context.keyspace.reserve(0, context.now)) return true;
  context.worker.stats().commands_out_of_memory.add();
  context.reply.error("OOM command not allowed when used memory > 'maxmemory'.");
  return false;
}

bool check_key_sizes(CommandContext& context, const CommandSpec& spec, Arguments arguments) {
  if (!(spec.flags & kDenyOom) || spec.first_key == 0) return true;
  const KeyPositions positions = key_positions(spec, arguments.size());
  if (positions.empty()) return true;
  for (size_t i = positions.first; i <= positions.last; i += positions.step) {
    if (arguments[i].size() <= kKeyBytesMax) [[likely]]
      continue;
    context.reply.error(key_too_long(arguments[i].size()));
    return false;
  }
  return true;
}

// A node that forwards has brought the request to the worker of its keys before.
bool may_be_elsewhere(const CommandContext& context) {
  return context.worker.is_clustered() && !context.worker.forwards();
}

bool may_be_protected(const CommandContext& context, const CommandSpec& spec) {
  return context.worker.has_database_families() && (spec.flags & (kWrite | kAllowsFamily)) == kWrite;
}

bool may_run(CommandContext& context, const CommandSpec& spec, Arguments arguments) {
  return check_arity(context, spec, arguments) && check_user(context, spec) &&
         ((!may_be_elsewhere(context) && !may_be_protected(context, spec)) || check_keys(context, spec, arguments)) &&
         check_key_sizes(context, spec, arguments) && check_memory(context, spec);
}

void reply_unknown(CommandContext& context, const CommandTable& table, CommandTable::Found found, Arguments arguments) {
  using Kind = CommandTable::Found::Kind;
  std::string name(found.row == CommandTable::kNoRow ? std::string_view() : table.spec(found.row).name);
  if (found.kind == Kind::kNoSubcommand) {
    return context.reply.error(fmt::format("ERR wrong number of arguments for '{}' command", name));
  }
  if (found.kind == Kind::kUnknownSubcommand) {
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return context.reply.error(fmt::format("ERR unknown subcommand '{}'. Try {} HELP.",
                                           arguments[1].substr(0, kErrorArgumentsBytesMax), name));
  }
  // A browser that was talked into sending us HTTP: nothing behind its first line may run, and it hears nothing.
  if (equals_ignore_case(arguments[0], "post") || equals_ignore_case(arguments[0], "host:")) {
    context.session.is_closing = true;
    return;
  }
  context.reply.error(unknown_command_error(arguments));
}

}  // namespace

std::string unknown_command_error(Arguments arguments) {
  std::string quoted;
  for (std::string_view argument : arguments.subspan(1)) {
    if (quoted.size() >= kErrorArgumentsBytesMax) break;
    quoted += fmt::format("'{}' ", argument.substr(0, kErrorArgumentsBytesMax - quoted.size()));
  }
  return fmt::format("ERR unknown command '{}', with args beginning with: {}",
                     arguments[0].substr(0, kErrorArgumentsBytesMax), quoted);
}

bool check_keys(CommandContext& context, const CommandSpec& spec, Arguments arguments) {
  if (spec.first_key == 0) return true;
  const bool checks_slots = may_be_elsewhere(context), checks_families = may_be_protected(context, spec);
  if (!checks_slots && !checks_families) return true;
  KeyPositions positions = key_positions(spec, arguments.size());
  if (positions.empty()) return true;
  if (checks_slots && !check_slots(context, positions, arguments)) return false;
  return !checks_families || check_families(context, positions, arguments);
}

void Dispatcher::execute(CommandContext& context, CommandTable::Found found, Arguments arguments) const {
  if (found.kind != CommandTable::Found::Kind::kCommand) [[unlikely]] {
    return reply_unknown(context, table_, found, arguments);
  }
  const CommandSpec& spec = table_.spec(found.row);
  CommandStats& stats = context.worker.command_stats()[found.row];
  context.session.last_command = spec.name;
  if (!may_run(context, spec, arguments)) [[unlikely]] {
    stats.rejected.add();
    return;
  }
  size_t begin = context.reply.buffer().size();
  spec.handler(context, arguments);
  stats.calls.add();
  const std::string& out = context.reply.buffer();
  if (begin < out.size() && out[begin] == '-') [[unlikely]]
    stats.failed.add();
}

}  // namespace tidemark::cacheserver
