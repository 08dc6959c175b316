#include "cacheserver/worker/slow_log.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::cacheserver {
namespace {

std::vector<std::string> shorten(std::span<const std::string_view> arguments) {
  std::vector<std::string> shortened;
  size_t shown = arguments.size() <= SlowLog::kArgumentsMax ? arguments.size() : SlowLog::kArgumentsMax - 1;
  shortened.reserve(shown + 1);
  for (std::string_view argument : arguments.first(shown)) {
    if (argument.size() <= SlowLog::kArgumentBytesMax) {
      shortened.emplace_back(argument);
    } else {
      shortened.push_back(fmt::format("{}... ({} more bytes)", argument.substr(0, SlowLog::kArgumentBytesMax),
                                      argument.size() - SlowLog::kArgumentBytesMax));
    }
  }
  if (shown < arguments.size()) shortened.push_back(fmt::format("... ({} more arguments)", arguments.size() - shown));
  return shortened;
}

}  // namespace

void SlowLog::add(std::span<const std::string_view> arguments, uint64_t micros, UnixMillis at,
                  std::string_view peer_address, std::string_view client_name, size_t entries_max) {
  entries_.push_front({.id = next_id_++,
                       .unix_seconds = at.value / 1000,
                       .micros = micros,
                       .arguments = shorten(arguments),
                       .peer_address = std::string(peer_address),
                       .client_name = std::string(client_name)});
  while (entries_.size() > entries_max) entries_.pop_back();
}

}  // namespace tidemark::cacheserver
