// The handlers of key_commands(), by file.
#pragma once

#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

// key_commands.cpp
void del_command(CommandContext& context, Arguments arguments);
void exists_command(CommandContext& context, Arguments arguments);
void touch_command(CommandContext& context, Arguments arguments);
void type_command(CommandContext& context, Arguments arguments);
void rename_command(CommandContext& context, Arguments arguments);
void renamenx_command(CommandContext& context, Arguments arguments);
void copy_command(CommandContext& context, Arguments arguments);
// expiry_commands.cpp
void expire_command(CommandContext& context, Arguments arguments);
void pexpire_command(CommandContext& context, Arguments arguments);
void expireat_command(CommandContext& context, Arguments arguments);
void pexpireat_command(CommandContext& context, Arguments arguments);
void ttl_command(CommandContext& context, Arguments arguments);
void pttl_command(CommandContext& context, Arguments arguments);
void expiretime_command(CommandContext& context, Arguments arguments);
void pexpiretime_command(CommandContext& context, Arguments arguments);
void persist_command(CommandContext& context, Arguments arguments);
// scan_commands.cpp
void keys_command(CommandContext& context, Arguments arguments);
void scan_command(CommandContext& context, Arguments arguments);
void randomkey_command(CommandContext& context, Arguments arguments);
// object_commands.cpp
void object_encoding_command(CommandContext& context, Arguments arguments);
void object_freq_command(CommandContext& context, Arguments arguments);
void object_help_command(CommandContext& context, Arguments arguments);
void object_idletime_command(CommandContext& context, Arguments arguments);
void object_refcount_command(CommandContext& context, Arguments arguments);

}  // namespace tidemark::cacheserver
