#include "cacheserver/command/help.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/parse.h"
#include "cacheserver/command/command_table.h"

namespace tidemark::cacheserver {
namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

}  // namespace

void reply_help(CommandContext& context, std::string_view container) {
  const CommandTable& table = CommandTable::standard();
  std::vector<std::string> lines = {
      fmt::format("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", upper(container))};
  for (uint32_t row : table.subcommands(table.find_row(container))) {
    const CommandSpec& spec = table.spec(row);
    lines.push_back(upper(spec.name.substr(container.size() + 1)));
    lines.push_back(fmt::format("    {}", spec.summary));
  }
  context.reply.array(lines.size());
  for (const std::string& line : lines) context.reply.simple(line);
}

bool read_integer(CommandContext& context, std::string_view text, int64_t& value) {
  auto parsed = parse_i64(text);
  if (!parsed) {
    context.reply.error("ERR value is not an integer or out of range");
    return false;
  }
  value = *parsed;
  return true;
}

}  // namespace tidemark::cacheserver
