// One cache worker's WorkerFeed, performed on a RespLink.
//
// Threads: the io_context's thread. Limits: one step (a few requests) under way; kRequestTimeout for each.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/io/log.h"
#include "base/io/resp_link.h"
#include "replication/wal/worker_feed.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::replication::io {

class WorkerSender {
 public:
  static constexpr Duration kRequestTimeout = std::chrono::seconds(2);

  // What a sender needs of its shard. Outlives every sender that is not closed.
  class Host {
   public:
    virtual ~Host() = default;
    virtual std::optional<WorkerFeed::Shard> shard_for_feed() = 0;  // nothing while there is no stream
    virtual void read_journal(Lsn from, std::move_only_function<void(Result<JournalRecord>)> handler) = 0;
  };

  struct Target {
    std::string node;
    uint32_t worker = 0;
    std::string host;
    uint16_t port = 0;
    auto operator<=>(const Target&) const = default;
    std::string label() const { return node + "/" + std::to_string(worker); }
  };

  static std::shared_ptr<WorkerSender> create(boost::asio::io_context& context, Host& host, Target target,
                                              std::string password, ShardId shard, WorkerFeed::Options options,
                                              tidemark::io::Log log);
  virtual ~WorkerSender() = default;

  virtual const Target& target() const = 0;
  virtual WorkerFeed& feed() = 0;
  // Does what is due.
  virtual void pump() = 0;
  virtual void close() = 0;
};

}  // namespace tidemark::replication::io
