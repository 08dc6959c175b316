// The life of a program that works for services but answers no calls: a relay, a sweeper.
//
//   topology -> loop thread { cache client, database } -> worker -> admin HTTP -> ready file
//   SIGTERM -> /readyz 503 -> the worker begins nothing new, what it has begun ends (drain_timeout) -> loop ends
//
// Threads: work() blocks the main thread until the end; the worker lives on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/io/log.h"
#include "base/io/metrics.h"
#include "client/cache_client.h"
#include "client/database.h"
#include "services/platform/settings.h"

namespace tidemark::services {

struct WorkerParts {
  boost::asio::io_context& context;
  std::shared_ptr<client::CacheClient> cache;
  std::shared_ptr<client::Database> database;
  io::Log log;
};

class HostedWorker {
 public:
  virtual ~HostedWorker() = default;  // when the loop does not run any more
  // On the loop's thread:
  virtual void start() = 0;
  virtual void stop(std::function<void()> drained) = 0;
  // On the admin server's.
  virtual std::vector<io::MetricSource> metric_sources() = 0;
};

using WorkerFactory = std::function<std::unique_ptr<HostedWorker>(const WorkerParts&)>;

// The flags of such a program: those of a service but for what belongs to calls.
void declare_worker_settings(io::Options& options, Settings& settings);

// The exit code of the program.
int work(const std::string& program, const Settings& settings, const WorkerFactory& make_worker);

}  // namespace tidemark::services
