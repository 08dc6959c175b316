// Connections to the servers of one Postgres shard, in libpq pipeline mode on Asio.
//
// run() takes a free connection of the chosen server, writes the whole pipeline in one go and gives one ResultSet per
// statement, in order, over all groups. The first failed statement decides the error: SQLSTATE SH001 (bucket not owned
// here) becomes kFailedPrecondition with its detail "state=… epoch=… forward=…"; class 08, 57P0x and a lost connection
// become kUnavailable (kOutcomeUnknown if a COMMIT or an autocommit write may have happened); 40001, 40P01 kAborted;
// 53xxx kResourceExhausted; 22xxx and 23xxx kInvalidArgument; the rest kInternal with the SQLSTATE in front.
// Every server is asked what it is every `replica_poll_interval`, and at once after an error that casts doubt on it;
// the primary is the one that PrimaryWatch finds, whatever the topology says: a promotion is followed as soon as a poll
// shows it, and a primary that has a successor is told so (shard.retire). While there is none, requests for it are
// refused with kUnavailable, and nothing is sent. Threads: all members on the io_context's thread. Limits: connections,
// queue length, deadlines; each has a metric.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/proof/lsn.h"
#include "base/result.h"
#include "base/topology/topology.h"
#include "shardrouter/sql/statement.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::shardrouter {

class ShardPool {
 public:
  struct Options {
    std::string user = "tidemark_app";
    std::string passfile;  // libpq passfile; empty: libpq's default
    std::string application_name = "tidemark";
    size_t connections_per_server_max = 8;
    size_t queue_max = 4096;  // requests waiting for a connection, per server; more: kResourceExhausted
    Duration connect_timeout = std::chrono::seconds(2);
    Duration replica_poll_interval =
        std::chrono::milliseconds(100);  // how often a server's role and position are read (choice only, never a proof)
    Duration breaker_open_for = std::chrono::milliseconds(250);  // after a failed connect, doubled up to 2 s
  };
  enum class Target : uint8_t { kPrimary, kReplica };
  using Handler = std::move_only_function<void(Result<std::vector<ResultSet>>)>;

  struct ServerState {
    std::string name;
    ShardServer::Role role = ShardServer::Role::kPrimary;  // as the pool uses it: at most one primary
    bool is_usable = false;                                // connected lately, breaker closed
    Lsn replay_lsn;                                        // replicas: last polled
    Duration replay_age{};                                 // since it was polled
    size_t connections = 0, in_use = 0, queued = 0;
    bool is_breaker_open = false;
    // Since the server is in the topology. Reads are pipelines of Pipeline::Kind::kRead.
    uint64_t requests = 0, reads = 0;
    uint64_t refused_queue_full = 0, refused_breaker = 0, deadlines_passed = 0;
  };

  static std::shared_ptr<ShardPool> create(boost::asio::io_context& context, Shard shard, Options options);
  virtual ~ShardPool() = default;

  // kReplica with `at_least` set picks a replica whose last polled replay position is there; if none is, the handler
  // gets kFailedPrecondition at once (the caller goes to the primary). Deadline counts from now, queueing included.
  virtual void run(Target target, Lsn at_least, Pipeline pipeline, Duration timeout, Handler handler) = 0;

  // Whether run() would find a replica for `at_least` now: who has an alternative asks before it builds a pipeline.
  virtual bool has_replica(Lsn at_least) const = 0;

  // The greatest db_epoch of the shard that was heard of: a write names it, so that an old primary refuses (SH007).
  virtual DbEpoch db_epoch_floor() const { return 0; }
  virtual void note_db_epoch(DbEpoch) {}             // heard in another way: from a commit, from a session
  virtual uint64_t fail_overs() const { return 0; }  // how often the primary became another server

  virtual void set_shard(Shard shard) = 0;  // new servers from a newer topology; connections of vanished servers drain
  virtual std::vector<ServerState> servers() const = 0;
  virtual void close() = 0;
};

}  // namespace tidemark::shardrouter
