// The CLIENT family: what a connection says about itself, and looking at or ending the others of its worker.
//
// A worker is a node of its own to clients, so LIST and KILL see the connections of the worker they were sent to.
#pragma once

#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

std::span<const CommandSpec> client_commands();  // joined into connection_commands()

}  // namespace tidemark::cacheserver
