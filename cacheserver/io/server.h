// The node: its workers, its place in the topology, its admin HTTP.
//
// Start: bind every worker's port, write them into the topology (if there is one), adopt it, accept, write the ready
// file. A node alone with several workers makes a topology of its own, so that cluster clients find the right worker;
// for other clients its workers forward requests to each other (docs/WORKERS.md).
// Threads: start() and drain() on the control thread, which runs the io_context given. I/O: sockets, topology store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/io/log.h"
#include "base/result.h"
#include "cacheserver/worker/worker_view.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::cacheserver::io {

inline constexpr uint16_t kDefaultPort = 6379;
inline constexpr uint32_t kWorkersMax = 256;
inline constexpr Duration kDrainBound = std::chrono::seconds(5);

struct ServerOptions {
  std::string bind = "127.0.0.1";
  std::optional<uint16_t> port;   // of worker 0; 0 = any; nothing: the registered port, alone kDefaultPort
  uint32_t threads = 0;           // 0: as the topology says, alone 1
  uint64_t memory_bytes_max = 0;  // of the node; 0 = no limit
  std::string policy = "adaptive";
  std::string topology;  // "file:DIR"; empty: alone
  std::string node_id = "local";
  uint16_t metrics_port = 0;      // 0 = any
  uint64_t clients_max = 10'000;  // of the node
  Credentials credentials;
  std::filesystem::path ready_file;  // empty: none
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(boost::asio::io_context& control, ServerOptions options,
                                               tidemark::io::Log log);
  virtual ~Server() = default;

  virtual std::vector<uint16_t> ports() const = 0;
  virtual uint16_t metrics_port() const = 0;
  // Accepts no more, lets clients take their replies for at most kDrainBound; then `on_done` on the control thread.
  virtual void drain(std::function<void()> on_done) = 0;
};

}  // namespace tidemark::cacheserver::io
