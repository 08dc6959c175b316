// Which worker serves a slot, as a client believes: the topology, corrected by the nodes' MOVED answers.
//
//   set_topology(version 7)     slot 12 -> worker 3 (127.0.0.1:7001)
//   note_moved(12, "127.0.0.1:7105")   slot 12 -> worker 9, until the next version comes
//
// Workers are indexes, stable for the life of the view, so that a shell keeps its links in a vector.
// Threads: owned by one. I/O: none. Limits: kWorkersMax addresses in all.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark::client {

struct WorkerAddress {
  std::string host;
  uint16_t port = 0;
  std::string to_string() const { return host + ":" + std::to_string(port); }
  bool operator==(const WorkerAddress&) const = default;
};

class ClusterView {
 public:
  static constexpr size_t kWorkersMax = 4096;

  ClusterView();

  // False: not newer than what is here, nothing changes. True: MOVED corrections are forgotten.
  bool set_topology(std::shared_ptr<const Topology> topology);
  const std::shared_ptr<const Topology>& topology() const { return topology_; }

  // kFailedPrecondition: nobody serves the slot. kUnavailable: its node has not registered its port yet.
  Result<uint16_t> worker_of(Slot slot) const;
  const WorkerAddress& address(uint16_t worker) const { return workers_[worker]; }
  size_t workers() const { return workers_.size(); }
  // Is the worker in the newest topology or named by a MOVED since? Others may be disconnected.
  bool is_in_use(uint16_t worker) const { return in_use_[worker]; }

  // kInvalidArgument: the address does not read as host:port; kResourceExhausted: too many addresses.
  Result<uint16_t> note_moved(Slot slot, std::string_view address);

 private:
  static constexpr uint16_t kNobody = 0xffff;
  static constexpr uint16_t kUnregistered = 0xfffe;
  uint16_t intern(const WorkerAddress& address);

  std::shared_ptr<const Topology> topology_;
  std::vector<uint16_t> slot_workers_;
  std::vector<WorkerAddress> workers_;
  std::vector<bool> in_use_;
  std::unordered_map<std::string, uint16_t> index_of_;
};

// "-MOVED 3999 127.0.0.1:6381" -> slot and address; nothing if the error is another one. An empty host ("MOVED 1
// :6381") means the host that answered.
struct MovedError {
  Slot slot = 0;
  std::string address;
};
std::optional<MovedError> parse_moved(std::string_view error, std::string_view answering_host);

}  // namespace tidemark::client
