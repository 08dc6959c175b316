// Counters of a client: what was asked, where answers came from, what became of fills, why the cache was passed by.
//
//   tidemark_client_requests_total{family,origin,outcome}   outcome: value, absent, or the error's code
//   tidemark_client_latency_seconds{origin}                 histogram, over successful answers
//   tidemark_client_fills_total{verdict}                    ok, kept, lease, epoch, older, floor, backoff, dropped,
//   error tidemark_client_bypass_total{reason}                    notjoined, behind, unavailable, deadline, busy,
//   backoff, undecodable, asked tidemark_client_loads_total{source}                     replica, primary, batch
//   tidemark_client_replica_refused_total{reason}           none, too_old, error
//   tidemark_client_invalidations_total{outcome}
//   tidemark_client_leases_total{outcome}                   late (after node_timeout; used or given back), given_back
//   tidemark_client_sessions_total{outcome}                 replica_tried (nearly there), replica_behind,
//                                                           replica_too_late, primary_waited (it still hid what was
//                                                           read elsewhere), unproven (to the end), asked_again (a
//                                                           shared answer was too old)
//   tidemark_client_staged_total{outcome}                   sent (all of them); then accepted, superseded, nostage,
//                                                           full, epoch, refused, failed; or not sent: no_row, not_row
//   tidemark_client_redirects_total{kind}, tidemark_client_retries_total{kind}, tidemark_client_writes_total{outcome}
//
// Threads: any; one mutex, never contended but by a scrape. I/O: none (it stands here for its mutex).
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/io/metrics.h"

namespace tidemark::client {

class ClientMetrics {
 public:
  static constexpr size_t kSeriesMax = 4096;  // further label values are counted under "other"

  void count(std::string_view name, std::string_view label_value, uint64_t times = 1);
  void count_request(std::string_view family, std::string_view origin, std::string_view outcome);
  void record_latency(std::string_view origin, Duration latency);

  uint64_t value(std::string_view name, std::string_view label_value) const;
  uint64_t requests(std::string_view family, std::string_view origin, std::string_view outcome) const;

  // A source for io::AdminHttp.
  std::vector<io::MetricFamily> snapshot() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::map<std::string, uint64_t, std::less<>>, std::less<>> counters_;
  std::map<std::tuple<std::string, std::string, std::string>, uint64_t> requests_;
  std::map<std::string, Histogram, std::less<>> latencies_;
};

}  // namespace tidemark::client
