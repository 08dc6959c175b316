#include "bench/macro/session_oracle.h"

#include <fmt/format.h>

namespace tidemark::bench {
namespace {

constexpr uint8_t kOk = 0, kNotFound = 5;

}  // namespace

void SessionOracle::add(const ShopEvent& event) {
  Session& session = sessions_[event.session];
  switch (event.action) {
    case CustomerAction::kCreateSession:
      if (event.status == kOk) ++figures_.created;
      return;
    case CustomerAction::kTouchSession:
      if (event.status == kOk) ++figures_.touched;
      return;
    case CustomerAction::kRevokeSession:
      if (session.asked_us < 0) session.asked_us = event.start_us;
      if (event.status != kOk || session.acknowledged_us >= 0) return;
      session.acknowledged_us = event.end_us;
      ++figures_.revoked;
      return;
    case CustomerAction::kGetSession:
      return check(event);
    default:
      return;
  }
}

void SessionOracle::check(const ShopEvent& event) {
  if (event.status != kOk && event.status != kNotFound) return;
  ++figures_.checks;
  const bool is_accepted = event.status == kOk;
  const Session& session = sessions_[event.session];
  const bool is_revoked = session.acknowledged_us >= 0 && session.acknowledged_us <= event.start_us;
  if (!is_revoked) {
    if (!is_accepted && session.asked_us < 0 && event.has_carried_token) blame(figures_.lost, event, "not found");
    return;
  }
  ++figures_.checks_of_revoked;
  if (!is_accepted) {
    ++(event.has_carried_token ? figures_.refused_at_once : figures_.refused_in_time);
    return;
  }
  if (event.bound_ms < 0 && event.origin != Origin::kPrimary)
    return blame(figures_.bound_missing, event, "accepted without a bound");
  const int64_t bound_us = event.has_carried_token || event.bound_ms < 0 ? 0 : event.bound_ms * int64_t{1000};
  if (session.acknowledged_us < event.start_us - bound_us || event.has_carried_token)
    return blame(figures_.accepted_beyond_bound, event,
                 fmt::format("accepted {:.1f} ms after its revocation",
                             static_cast<double>(event.start_us - session.acknowledged_us) / 1000));
  ++figures_.accepted_within_bound;
}

void SessionOracle::blame(uint64_t& count, const ShopEvent& event, std::string_view what) {
  ++count;
  if (figures_.examples.size() >= kExamplesMax) return;
  figures_.examples.push_back(fmt::format("session {} of customer {}: {}, by {} with bound {} ms{}, asked at {} us",
                                          event.session, event.customer_id, what, to_string(event.origin),
                                          event.bound_ms, event.has_carried_token ? " and token" : "", event.start_us));
}

}  // namespace tidemark::bench
