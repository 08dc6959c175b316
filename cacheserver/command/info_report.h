// INFO: what the worker tells about itself, in Redis's sections and field names, and one section of our own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

// `sections`: names as the client gave them; empty: the default ones. Unknown names add nothing.
std::string info_report(const CommandContext& context, Arguments sections);

std::string human_bytes(uint64_t bytes);  // "1.50M"

}  // namespace tidemark::cacheserver
