// What the session service counts beside its calls.
//
//   tidemark_session_touches_total{outcome}        written; young: the written touch is recent enough, no statement
//   ran;
//                                                  overtaken: another touch was there first, or the session has gone
//   tidemark_session_refused_total{reason}         absent, ended
//   tidemark_session_confirmed_total               refusals that a moment's age could explain, asked again of the
//   primary tidemark_session_swept_total                   rows deleted after their end
//   tidemark_session_sweep_batches_total{outcome}  ok, busy (another sweeper is at work), failed
//   tidemark_session_sweep_is_behind               1: the last sweep left ended rows behind
//
// Threads: any. I/O: none.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/io/metrics.h"

namespace tidemark::session {

class SessionMetrics {
 public:
  std::atomic<uint64_t> touches_written = 0, touches_young = 0, touches_overtaken = 0;
  std::atomic<uint64_t> refused_absent = 0, refused_ended = 0;
  std::atomic<uint64_t> confirmed = 0;
  std::atomic<uint64_t> swept = 0;
  std::atomic<uint64_t> batches_ok = 0, batches_busy = 0, batches_failed = 0;
  std::atomic<bool> sweep_is_behind = false;

  std::vector<io::MetricFamily> snapshot() const;
};

}  // namespace tidemark::session
