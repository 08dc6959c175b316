// Asks every server of a shard, again and again, what it is, and says which one is the primary (PrimaryWatch).
//
// So the invalidator follows a promotion by whatever manager as fast as routers do, and a primary that has a successor
// is told so (shard.retire). Threads: the io_context's thread. Limits: one connection per server; kPollInterval,
// kRetryDelay after a failure, kPollTimeout.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/topology/topology.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::replication::io {

class PrimaryFinder {
 public:
  static constexpr Duration kPollInterval = std::chrono::milliseconds(100);
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(250);
  static constexpr Duration kPollTimeout = std::chrono::seconds(2);

  struct Options {
    std::string user;
    std::string passfile;
  };
  // Called when the primary has become another one; its conninfo, or nothing and why.
  using Listener = std::function<void(const std::string& conninfo, const std::string& why_none)>;

  static std::shared_ptr<PrimaryFinder> create(boost::asio::io_context& context, Options options, Listener listener);
  virtual ~PrimaryFinder() = default;

  virtual void set_shard(const Shard& shard) = 0;
  virtual std::string conninfo() const = 0;  // of the primary; empty: there is none
  virtual std::string why_none() const = 0;
  virtual void close() = 0;
};

}  // namespace tidemark::replication::io
