// From a request to its reply: finds the command, checks that it may run here and now, runs it, counts it.
//
// The order of the checks is Redis's: name, arity, authentication, permission, slot, family, memory. Each refusal is
// one error reply with Redis's text. Threads: none shared. I/O: none. Allocation: only for error texts.
#pragma once

#include <cstdint>

#include "cacheserver/command/command.h"
#include "cacheserver/command/command_table.h"

namespace tidemark::cacheserver {

class Dispatcher {
 public:
  explicit Dispatcher(const CommandTable& table) : table_(table) {}

  // Writes exactly one reply (none to HTTP, which only closes). `found` is what table().find(arguments) said.
  void execute(CommandContext& context, CommandTable::Found found, Arguments arguments) const;
  const CommandTable& table() const { return table_; }

 private:
  const CommandTable& table_;
};

// "ERR unknown command 'x', with args beginning with: 'a' 'b' "
std::string unknown_command_error(Arguments arguments);

// Key positions checked against the slots the worker serves and, for writes, against the database's families.
// True: go on. False: an error has been written.
bool check_keys(CommandContext& context, const CommandSpec& spec, Arguments arguments);

}  // namespace tidemark::cacheserver
