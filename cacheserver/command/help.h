// What commands of several subcommands share: their HELP, and small readers of arguments.
#pragma once

#include <string_view>

#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

// "<CONTAINER> HELP": one line per subcommand and its summary, out of the table.
void reply_help(CommandContext& context, std::string_view container);

// Reads an integer argument; false: "ERR value is not an integer or out of range" has been written.
bool read_integer(CommandContext& context, std::string_view text, int64_t& value);

inline void reply_syntax_error(CommandContext& context) {
  context.reply.error("ERR syntax error");
}

}  // namespace tidemark::cacheserver
