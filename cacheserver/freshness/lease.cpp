#include "cacheserver/freshness/lease.h"

#include <fmt/format.h>

#include <limits>

#include "base/parse.h"

namespace tidemark::cacheserver {

std::string LeaseId::to_string() const {
  return fmt::format("{:016x}.{}.{}.{}", granted_by.incarnation, granted_by.group_epoch, granted_by.slots_version,
                     counter);
}

std::optional<LeaseId> LeaseId::parse(std::string_view text) {
  if (text.size() > kLeaseTextMax) return std::nullopt;
  auto parts = split(text, '.');
  if (parts.size() != 4 || parts[0].size() != 16) return std::nullopt;
  auto incarnation = parse_hex_u64(parts[0]);
  auto group_epoch = parse_u64(parts[1]);
  auto slots_version = parse_u64(parts[2]);
  auto counter = parse_u64(parts[3]);
  constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max();
  if (!incarnation || !group_epoch || !slots_version || !counter || *group_epoch > kMax || *slots_version > kMax) {
    return std::nullopt;
  }
  return LeaseId{{*incarnation, static_cast<uint32_t>(*group_epoch), static_cast<uint32_t>(*slots_version)}, *counter};
}

}  // namespace tidemark::cacheserver
