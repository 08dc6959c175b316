// The handlers of string_commands(), by file.
#pragma once

#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

// string_commands.cpp
void get_command(CommandContext& context, Arguments arguments);
void mget_command(CommandContext& context, Arguments arguments);
void mset_command(CommandContext& context, Arguments arguments);
void msetnx_command(CommandContext& context, Arguments arguments);
void getdel_command(CommandContext& context, Arguments arguments);
// set_commands.cpp
void set_command(CommandContext& context, Arguments arguments);
void setnx_command(CommandContext& context, Arguments arguments);
void setex_command(CommandContext& context, Arguments arguments);
void psetex_command(CommandContext& context, Arguments arguments);
void getset_command(CommandContext& context, Arguments arguments);
void getex_command(CommandContext& context, Arguments arguments);
// counter_commands.cpp
void incr_command(CommandContext& context, Arguments arguments);
void decr_command(CommandContext& context, Arguments arguments);
void incrby_command(CommandContext& context, Arguments arguments);
void decrby_command(CommandContext& context, Arguments arguments);
void incrbyfloat_command(CommandContext& context, Arguments arguments);
// range_commands.cpp
void append_command(CommandContext& context, Arguments arguments);
void strlen_command(CommandContext& context, Arguments arguments);
void getrange_command(CommandContext& context, Arguments arguments);
void setrange_command(CommandContext& context, Arguments arguments);
// lcs_command.cpp
void lcs_command(CommandContext& context, Arguments arguments);

}  // namespace tidemark::cacheserver
