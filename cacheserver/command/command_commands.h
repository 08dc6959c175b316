// COMMAND [COUNT|INFO|DOCS|GETKEYS|LIST|HELP]: the command table, as clients and redis-cli read it.
#pragma once

#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

std::span<const CommandSpec> command_commands();  // joined into server_commands()

}  // namespace tidemark::cacheserver
