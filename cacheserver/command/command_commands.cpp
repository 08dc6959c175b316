#include "cacheserver/command/command_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/parse.h"
#include "cacheserver/command/command_table.h"
#include "cacheserver/command/glob.h"
#include "cacheserver/command/help.h"

namespace tidemark::cacheserver {
namespace {

struct FlagName {
  CommandFlag flag;
  std::string_view name;
};
constexpr std::array kFlagNames = {
    FlagName{kWrite, "write"},     FlagName{kReadonly, "readonly"},
    FlagName{kDenyOom, "denyoom"}, FlagName{kAdmin, "admin"},
    FlagName{kFast, "fast"},       FlagName{kNoAuth, "no_auth"},
    FlagName{kLoading, "loading"}, FlagName{kMovableKeys, "movablekeys"},
};

std::vector<std::string_view> flag_names(const CommandSpec& spec) {
  std::vector<std::string_view> names;
  for (const FlagName& flag : kFlagNames) {
    if (spec.flags & flag.flag) names.push_back(flag.name);
  }
  return names;
}

std::vector<std::string> categories(const CommandSpec& spec) {
  std::vector<std::string> names;
  if (spec.flags & kWrite) names.emplace_back("@write");
  if (spec.flags & kReadonly) names.emplace_back("@read");
  if (spec.flags & kAdmin) names.insert(names.end(), {"@admin", "@dangerous"});
  names.emplace_back(spec.flags & kFast ? "@fast" : "@slow");
  if (spec.group == "generic") names.emplace_back("@keyspace");
  if (spec.group == "string" || spec.group == "connection") names.push_back(fmt::format("@{}", spec.group));
  return names;
}

template <typename Names>
void reply_names(RespWriter& reply, const Names& names) {
  reply.set(names.size());
  for (const auto& name : names) reply.simple(name);
}

void reply_key_specification(RespWriter& reply, const CommandSpec& spec) {
  if (spec.first_key == 0) return reply.array(0);
  reply.array(1);
  reply.map(3);
  reply.bulk("flags");
  reply_names(reply, std::array<std::string_view, 1>{spec.flags & kWrite ? "RW" : "RO"});
  reply.bulk("begin_search");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("index");
  reply.bulk("spec");
  reply.map(1);
  reply.bulk("index");
  reply.integer(spec.first_key);
  reply.bulk("find_keys");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("range");
  reply.bulk("spec");
  reply.map(3);
  reply.bulk("lastkey");
  reply.integer(spec.last_key < 0 ? spec.last_key : spec.last_key - spec.first_key);
  reply.bulk("keystep");
  reply.integer(spec.key_step);
  reply.bulk("limit");
  reply.integer(0);
}

void reply_command_info(RespWriter& reply, const CommandTable& table, uint32_t row) {
  const CommandSpec& spec = table.spec(row);
  reply.array(10);
  reply.bulk(spec.name);
  reply.integer(spec.arity);
  reply_names(reply, flag_names(spec));
  reply.integer(spec.first_key);
  reply.integer(spec.last_key);
  reply.integer(spec.key_step);
  reply_names(reply, categories(spec));
  reply.array(0);  // tips
  reply_key_specification(reply, spec);
  reply.array(table.subcommands(row).size());
  for (uint32_t subcommand : table.subcommands(row)) reply_command_info(reply, table, subcommand);
}

void reply_command_docs(RespWriter& reply, const CommandTable& table, uint32_t row) {
  const CommandSpec& spec = table.spec(row);
  const auto& subcommands = table.subcommands(row);
  reply.bulk(spec.name);
  reply.map(subcommands.empty() ? 3 : 4);
  reply.bulk("summary");
  reply.bulk(spec.summary);
  reply.bulk("since");
  reply.bulk(spec.since);
  reply.bulk("group");
  reply.bulk(spec.group);
  if (subcommands.empty()) return;
  reply.bulk("subcommands");
  reply.map(subcommands.size());
  for (uint32_t subcommand : subcommands) reply_command_docs(reply, table, subcommand);
}

std::vector<uint32_t> top_rows(const CommandTable& table) {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < table.size(); ++row) {
    if (!table.is_subcommand(row)) rows.push_back(row);
  }
  return rows;
}

void command_all(CommandContext& context) {
  const CommandTable& table = CommandTable::standard();
  std::vector<uint32_t> rows = top_rows(table);
  context.reply.array(rows.size());
  for (uint32_t row : rows) reply_command_info(context.reply, table, row);
}

void command_count(CommandContext& context, Arguments) {
  context.reply.integer(static_cast<int64_t>(top_rows(CommandTable::standard()).size()));
}

void command_info(CommandContext& context, Arguments arguments) {
  if (arguments.size() == 2) return command_all(context);
  const CommandTable& table = CommandTable::standard();
  context.reply.array(arguments.size() - 2);
  for (std::string_view name : arguments.subspan(2)) {
    uint32_t row = table.find_row(name);
    row == CommandTable::kNoRow ? context.reply.null() : reply_command_info(context.reply, table, row);
  }
}

void command_docs(CommandContext& context, Arguments arguments) {
  const CommandTable& table = CommandTable::standard();
  std::vector<uint32_t> rows;
  if (arguments.size() == 2) rows = top_rows(table);
  for (std::string_view name : arguments.subspan(2)) {
    uint32_t row = table.find_row(name);
    if (row != CommandTable::kNoRow) rows.push_back(row);
  }
  context.reply.map(rows.size());
  for (uint32_t row : rows) reply_command_docs(context.reply, table, row);
}

bool arity_fits(const CommandSpec& spec, size_t count) {
  auto arguments = static_cast<int>(count);
  return spec.arity >= 0 ? arguments == spec.arity : arguments >= -spec.arity;
}

void command_getkeys(CommandContext& context, Arguments arguments) {
  const CommandTable& table = CommandTable::standard();
  Arguments command = arguments.subspan(2);
  CommandTable::Found found = table.find(command);
  if (found.kind != CommandTable::Found::Kind::kCommand) {
    return context.reply.error("ERR Invalid command specified");
  }
  const CommandSpec& spec = table.spec(found.row);
  if (!arity_fits(spec, command.size())) {
    return context.reply.error("ERR Invalid number of arguments specified for command");
  }
  KeyPositions keys = key_positions(spec, command.size());
  if (keys.empty()) return context.reply.error("ERR The command has no key arguments");
  context.reply.array((keys.last - keys.first) / keys.step + 1);
  for (size_t i = keys.first; i <= keys.last; i += keys.step) context.reply.bulk(command[i]);
}

void command_list(CommandContext& context, Arguments arguments) {
  bool has_filter = arguments.size() == 5 && equals_ignore_case(arguments[2], "filterby");
  if (arguments.size() != 2 && !has_filter) return reply_syntax_error(context);
  std::string_view kind = has_filter ? arguments[3] : std::string_view();
  std::string_view value = has_filter ? arguments[4] : std::string_view();
  bool is_known = !has_filter || equals_ignore_case(kind, "module") || equals_ignore_case(kind, "aclcat") ||
                  equals_ignore_case(kind, "pattern");
  if (!is_known) return reply_syntax_error(context);
  const CommandTable& table = CommandTable::standard();
  std::vector<std::string_view> names;
  for (uint32_t row = 0; row < table.size(); ++row) {
    const CommandSpec& spec = table.spec(row);
    bool matches = !has_filter;
    if (equals_ignore_case(kind, "pattern")) matches = glob_matches(value, spec.name, true);
    if (equals_ignore_case(kind, "aclcat")) {
      auto names_of_row = categories(spec);
      matches = std::ranges::any_of(names_of_row,
                                    [&](std::string_view name) { return equals_ignore_case(name.substr(1), value); });
    }
    if (matches) names.push_back(spec.name);
  }
  context.reply.array(names.size());
  for (std::string_view name : names) context.reply.bulk(name);
}

void command_help(CommandContext& context, Arguments) {
  reply_help(context, "command");
}

// "COMMAND" alone is the only container that answers by itself.
void command_alone(CommandContext& context, Arguments) {
  command_all(context);
}

}  // namespace

std::span<const CommandSpec> command_commands() {
  static constexpr std::string_view kGroup = "server";
  static constexpr uint32_t kFlags = kLoading;
  static constexpr std::array kRows = {
      CommandSpec{"command", -1, kFlags, 0, 0, 0, command_alone, kGroup,
                  "Returns detailed information about all commands.", "2.8.13"},
      CommandSpec{"command|count", 2, kFlags, 0, 0, 0, command_count, kGroup, "Returns a count of commands.", "2.8.13"},
      CommandSpec{"command|docs", -2, kFlags, 0, 0, 0, command_docs, kGroup,
                  "Returns documentary information about commands.", "7.0.0"},
      CommandSpec{"command|getkeys", -3, kFlags, 0, 0, 0, command_getkeys, kGroup,
                  "Extracts the key names from a command.", "2.8.13"},
      CommandSpec{"command|help", 2, kFlags, 0, 0, 0, command_help, kGroup, "Returns helpful text.", "5.0.0"},
      CommandSpec{"command|info", -2, kFlags, 0, 0, 0, command_info, kGroup,
                  "Returns information about one, several or all commands.", "2.8.13"},
      CommandSpec{"command|list", -2, kFlags, 0, 0, 0, command_list, kGroup, "Returns a list of command names.",
                  "7.0.0"},
  };
  return kRows;
}

}  // namespace tidemark::cacheserver
