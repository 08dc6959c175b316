// When a session ends and when a touch is worth a write. Pure arithmetic on the row and the time the caller is told.
//
// A touch is written at most once in kTouchInterval, so the row may not know of the last touches of an active session.
// Nobody who is active may lose a session for that; so the idle timeout is counted from the latest touch that the row
// can have missed:
//
//   touched_ms 0:00, idle timeout 30 min      0:59 touched, not written      ends at 31:00, not at 30:00
//
// Hence an idle session lives up to kTouchInterval longer, and never shorter, than its timeout. Nothing outlives
// expires_ms. Services with clocks that differ judge as differently as these do.
// Threads: pure functions. I/O: none.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "services/session/proto/session.pb.h"

namespace tidemark::session {

namespace pb = tidemark::session::v1;
using std::chrono::milliseconds;

inline constexpr milliseconds kTouchInterval = std::chrono::minutes(1);
inline constexpr milliseconds kIdleTimeoutDefault = std::chrono::minutes(30);
inline constexpr milliseconds kIdleTimeoutMin = kTouchInterval;  // below it one unwritten touch would be all its life
inline constexpr milliseconds kIdleTimeoutMax = std::chrono::days(30);
inline constexpr milliseconds kLifetime = std::chrono::days(30);  // from creation, however often it is touched
// How long past its end a row is kept: a service whose clock is so much behind still finds what it takes for alive.
inline constexpr milliseconds kSweepDelay = std::chrono::minutes(1);

// The first moment at which the session is not valid any more.
inline int64_t end_ms(const pb::Session& session) {
  return std::min(session.touched_ms() + session.idle_timeout_ms() + kTouchInterval.count(), session.expires_ms());
}
inline bool has_ended(const pb::Session& session, UnixMillis now) {
  return now.value >= end_ms(session);
}
// False also when a service whose clock is ahead has touched it "later".
inline bool wants_touch(const pb::Session& session, UnixMillis now) {
  return now.value - session.touched_ms() >= kTouchInterval.count();
}

}  // namespace tidemark::session
