#include "cacheserver/session/session.h"

#include <algorithm>
#include <string_view>

namespace tidemark::cacheserver {

bool is_valid_client_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace tidemark::cacheserver
