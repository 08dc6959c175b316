// What is killed in a run, and when: all of it drawn from one seed.
//
// Every kind of fault gets its turn: each kill point of the order service and of the
// relay, each shard's primary at a random moment. On top of its own fault a run may crash a primary as well, and what
// was killed may be killed once more after its restart. Threads: plain values. I/O: none.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace tidemark::order {

inline constexpr std::array<std::string_view, 6> kServicePoints = {
    "order.looked_up", "order.reserved_first", "order.reserved", "order.placed", "order.released", "order.cancelled"};
inline constexpr std::array<std::string_view, 9> kRelayPoints = {
    "relay.claimed",        "relay.expired",  "relay.confirmed_first", "relay.confirmed",  "relay.turned_back",
    "relay.released_first", "relay.released", "relay.ended",           "relay.retry_later"};
inline constexpr std::array<std::string_view, 2> kPrimaries = {"s0-primary", "s1-primary"};
// So that the first few runs are not all of one program; it has no divisor in common with the number of kinds.
inline constexpr size_t kStride = 7;
inline constexpr size_t kFaultKinds = kServicePoints.size() + kRelayPoints.size() + kPrimaries.size();

static_assert(std::gcd(kStride, kFaultKinds) == 1);

enum class Target : uint8_t { kService, kRelays, kPrimary };

struct KillPoint {
  std::string name;
  int visit = 1;
};

struct RunPlan {
  std::string kind;  // what this run is for: a kill point or "crash s0-primary"
  Target target = Target::kService;
  std::optional<KillPoint> point;        // of the service or of both relays
  std::optional<KillPoint> point_again;  // after their restart
  std::optional<std::string> primary;    // crashed, immediately
  int crash_after_ms = 0;
  int down_ms = 0;                  // before what died is started again
  bool are_relays_held_up = false;  // until reservations have expired: what they then find is worth dying at
};

inline RunPlan plan_run(uint64_t run, uint64_t seed) {
  std::mt19937_64 random(seed * 1'000'003 + run);
  auto below = [&](int limit) { return static_cast<int>(random() % static_cast<uint64_t>(limit)); };
  auto point_of = [&](auto& points, size_t index, int visit_max) {
    return KillPoint{std::string(points[index]), 1 + below(visit_max)};
  };
  RunPlan plan;
  size_t kind = run * kStride % kFaultKinds;
  if (kind < kServicePoints.size()) {
    plan.target = Target::kService;
    plan.point = point_of(kServicePoints, kind, kServicePoints[kind] == "order.cancelled" ? 1 : 3);
    if (below(3) == 0) plan.point_again = point_of(kServicePoints, random() % kServicePoints.size(), 3);
  } else if (kind -= kServicePoints.size(); kind < kRelayPoints.size()) {
    plan.target = Target::kRelays;
    // What is rare must be met the first time it comes.
    const bool is_rare = !kRelayPoints[kind].starts_with("relay.confirmed") && kRelayPoints[kind] != "relay.claimed";
    plan.point = point_of(kRelayPoints, kind, is_rare ? 1 : 3);
    if (below(3) == 0) plan.point_again = point_of(kRelayPoints, random() % kRelayPoints.size(), 2);
  } else {
    kind -= kRelayPoints.size();
    plan.target = Target::kPrimary;
    plan.primary = kPrimaries[kind];
  }
  if (plan.point) plan.kind = plan.point->name;
  const bool needs_trouble = plan.kind == "relay.retry_later";
  if (!plan.primary && (needs_trouble || below(4) == 0)) plan.primary = kPrimaries[random() % kPrimaries.size()];
  if (plan.kind.empty()) plan.kind = "crash " + *plan.primary;
  plan.crash_after_ms = below(600);
  plan.down_ms = below(300);
  plan.are_relays_held_up = plan.kind == "relay.turned_back" || plan.kind == "relay.expired" || below(6) == 0;
  return plan;
}

}  // namespace tidemark::order
