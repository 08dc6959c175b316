// Asks every Postgres server of a topology how it is, all at once: primaries first, then what their replicas lack.
//
//   connect all -> primary: role, timeline, LSN, epoch, buckets, slots -> replicas: replayed LSN against that LSN
//
// A replica is asked without its primary's LSN when the primary has not answered in half of the time.
// Threads: the io_context's. I/O: Postgres.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tools/admin/cluster_status.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::admin {

struct ShardProbeOptions {
  std::string role;      // needs pg_monitor for slots: tidemark_admin
  std::string passfile;  // empty: libpq's default
  Duration timeout = std::chrono::seconds(1);
};

class ShardProbe {
 public:
  // `shards` gets one entry for each shard at once; the rest comes while the io_context runs. It must outlive the
  // probe.
  static std::unique_ptr<ShardProbe> start(boost::asio::io_context& context, const Topology& topology,
                                           const ShardProbeOptions& options, std::vector<ShardState>& shards);
  virtual ~ShardProbe() = default;
};

}  // namespace tidemark::admin
