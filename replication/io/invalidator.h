// All shards of the topology, each with its ShardInvalidator, one journal, one watch of the topology store.
//
// Threads: every member on the io_context's thread, except metrics() and readiness(), which any thread may call: they
// give what the loop published at most kPublishInterval ago.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/io/admin_http.h"
#include "base/io/metrics.h"
#include "base/io/topology_store_file.h"
#include "replication/io/shard_invalidator.h"

namespace tidemark::replication::io {

class InvalidatorService {
 public:
  static constexpr Duration kPublishInterval = std::chrono::milliseconds(100);

  struct Options {
    std::filesystem::path journal;
    ShardInvalidator::Options shard;
  };

  static Result<std::shared_ptr<InvalidatorService>> open(boost::asio::io_context& context,
                                                          tidemark::io::TopologyStoreFile store, Options options,
                                                          tidemark::io::Log log);
  virtual ~InvalidatorService() = default;

  // Called once, when every shard of the topology is streamed by this process or by another.
  virtual void on_ready(std::function<void()> handler) = 0;
  virtual void stop(std::function<void()> on_stopped) = 0;

  virtual std::vector<tidemark::io::MetricFamily> metrics() const = 0;
  virtual tidemark::io::Readiness readiness() const = 0;
};

}  // namespace tidemark::replication::io
