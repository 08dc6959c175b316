// The life of a service: from its settings to a gRPC server that drains.
//
//   secrets -> topology -> loop thread { cache client, database } -> service -> admin HTTP -> gRPC -> ready file
//   SIGTERM -> /readyz 503, health NOT_SERVING -> no new calls, old ones end (drain_timeout) -> loop ends
//
// One Asio loop on its own thread for the client library; gRPC's callback threads call into it from outside. A newer
// topology reaches client and database as it appears. The health service (grpc.health.v1) and server reflection are on.
// Threads: serve() blocks the main thread until the end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/io/log.h"
#include "base/io/row_id_source.h"
#include "client/cache_client.h"
#include "client/database.h"
#include "services/platform/grpc_call.h"
#include "services/platform/settings.h"

namespace grpc {
class Service;
}

namespace tidemark::services {

struct ServiceParts {
  boost::asio::io_context& context;
  std::shared_ptr<client::CacheClient> cache;
  std::shared_ptr<client::Database> database;
  CallSettings call_settings;
  std::shared_ptr<io::RowIdSource> ids = nullptr;  // ServeOptions::needs_row_ids
};

struct ServeOptions {
  bool needs_row_ids = false;  // lease a lane at the start, give it back at the end
};

class HostedService {
 public:
  virtual ~HostedService() = default;  // on the loop's thread's behalf: nothing of it runs any more
  virtual grpc::Service& grpc_service() = 0;
  virtual std::string service_name() const = 0;  // as the health service knows it: "tidemark.catalog.v1.Catalog"
  virtual std::vector<io::MetricSource> metric_sources() { return {}; }
};

using ServiceFactory = std::function<std::unique_ptr<HostedService>(const ServiceParts&)>;

// The exit code of the program.
int serve(const std::string& program, const Settings& settings, const ServiceFactory& make_service,
          const ServeOptions& options = {});

}  // namespace tidemark::services
