// The small HTTP server of every program: GET /metrics (Prometheus text), /healthz (200 while the process lives),
// /readyz (200, or 503 with {"ready":false,"reasons":[…]}).
//
// Runs on its own thread, so that it answers while the program's loop is busy. What it calls (sources, readiness) is
// called on that thread and must be safe there. One request per connection, answered and closed.
// Limits: kConnectionsMax at once (more are closed), kRequestBytesMax per request, kRequestTimeout for each.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/io/metrics.h"
#include "base/result.h"

namespace prometheus {
class Collectable;
}

namespace tidemark::io {

struct Readiness {
  std::vector<std::string> reasons_against;  // empty: ready
};

class AdminHttp {
 public:
  static constexpr size_t kConnectionsMax = 16;
  static constexpr size_t kRequestBytesMax = 8192;
  static constexpr Duration kRequestTimeout = std::chrono::seconds(5);

  struct Options {
    std::string host = "127.0.0.1";
    uint16_t port = 0;  // 0: the system chooses; see port()
    std::function<Readiness()> readiness = [] { return Readiness{}; };
    std::vector<MetricSource> sources{};
    std::vector<std::shared_ptr<prometheus::Collectable>> collectables{};  // a prometheus::Registry, for example
  };

  // kUnavailable when the address cannot be bound.
  static Result<std::unique_ptr<AdminHttp>> start(Options options);
  virtual ~AdminHttp() = default;  // stops and joins

  virtual uint16_t port() const = 0;
};

}  // namespace tidemark::io
