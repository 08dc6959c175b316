// Asks every worker of a topology for INFO and TIDE, all at once. Threads: the io_context's. I/O: RESP.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/wire/resp_value.h"
#include "tools/admin/cluster_status.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::admin {

struct WorkerProbeOptions {
  std::string user;
  std::string password;
  Duration timeout = std::chrono::seconds(1);
};

class WorkerProbe {
 public:
  // `workers` gets one entry for each worker at once; their measures come while the io_context runs. It must outlive
  // the probe.
  static std::unique_ptr<WorkerProbe> start(boost::asio::io_context& context, const Topology& topology,
                                            const WorkerProbeOptions& options, std::vector<WorkerState>& workers);
  virtual ~WorkerProbe() = default;
};

// The answer of TIDE; kCorrupt when it is none.
Result<std::vector<Tide>> read_tides(const RespValue& reply);
// The answer of INFO, without tides.
Result<WorkerMeasures> read_info(const RespValue& reply);

// Slots whose worker answered.
uint32_t count_served_slots(const Topology& topology, const std::vector<WorkerState>& workers);

}  // namespace tidemark::admin
