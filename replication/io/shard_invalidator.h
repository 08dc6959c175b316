// One shard: stream -> commits -> journal and window -> every cache worker; and the snapshots that make `settled`.
//
//   down --attach--> streaming --connection lost--> down --attach--> …        another invalidator active: standby
//
// The journal decides whether an attach continues what was before (JournalWriter, SettledTracker), each worker's own
// position whether it can go on (WorkerFeed). The stream is read no faster than the journal takes it.
// Threads: the io_context's thread. Limits: kReattachDelay doubled to kReattachDelayMax.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/io/log.h"
#include "base/io/metrics.h"
#include "base/topology/topology.h"
#include "replication/io/journal.h"
#include "replication/wal/worker_feed.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace tidemark::replication::io {

class ShardInvalidator {
 public:
  static constexpr Duration kReattachDelay = std::chrono::milliseconds(100);
  static constexpr Duration kReattachDelayMax = std::chrono::seconds(2);
  static constexpr Duration kStandbyDelay = std::chrono::milliseconds(500);
  static constexpr Duration kPumpInterval = std::chrono::milliseconds(10);
  static constexpr Duration kMaintenanceInterval = std::chrono::seconds(1);
  static constexpr Duration kDrainTimeout = std::chrono::seconds(2);
  static constexpr size_t kWindowBytesMax = 32u << 20;

  enum class State : uint8_t { kDown, kStandby, kStreaming };

  struct Options {
    std::string user = "tidemark_invalidator";
    std::string passfile;
    std::string slot = "tidemark";
    std::string publication = "tidemark";
    std::string node_password;
    JournalRetention::Limits retention;
    WorkerFeed::Options feed;
  };

  static std::shared_ptr<ShardInvalidator> create(boost::asio::io_context& context, boost::asio::thread_pool& pool,
                                                  Journal& journal, ShardId shard, Options options,
                                                  tidemark::io::Log log);
  virtual ~ShardInvalidator() = default;

  // A newer topology: other workers, slots, families, or another primary.
  virtual void apply(std::shared_ptr<const Topology> topology) = 0;
  // Confirms what is durable, lets running steps end (at most kDrainTimeout), then closes everything.
  virtual void stop(std::function<void()> on_stopped) = 0;

  virtual State state() const = 0;
  virtual std::string why_not_streaming() const = 0;
  virtual void append_metrics(std::vector<tidemark::io::MetricFamily>& out) const = 0;
};

}  // namespace tidemark::replication::io
