// CONFIG GET, SET, RESETSTAT, REWRITE, HELP: the settings of the worker the command was sent to.
#pragma once

#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

std::span<const CommandSpec> config_commands();  // joined into server_commands()

}  // namespace tidemark::cacheserver
