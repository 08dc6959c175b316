// A fill lease's name: unique for every grant, over restarts, fail-overs and slot moves.
//
//   "9f86d081884c7d65.3.12.1234567"  =  incarnation (16 hex digits) . group_epoch . slots_version . counter
//
// To everyone but the node that granted it it is opaque text of at most kLeaseTextMax bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidemark::cacheserver {

inline constexpr size_t kLeaseTextMax = 80;

// What a worker is, as far as leases tell: a lease of another identity is dead.
struct FreshnessIdentity {
  uint64_t incarnation = 0;  // 64 random bits of this run of the node
  uint32_t group_epoch = 0;
  uint32_t slots_version = 0;
  bool operator==(const FreshnessIdentity&) const = default;
};

struct LeaseId {
  FreshnessIdentity granted_by;
  uint64_t counter = 0;

  bool operator==(const LeaseId&) const = default;
  std::string to_string() const;
  static std::optional<LeaseId> parse(std::string_view text);
};

}  // namespace tidemark::cacheserver
