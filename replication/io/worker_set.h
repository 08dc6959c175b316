// The senders of one shard: one for each worker of each node that the topology names.
//
// Threads: the io_context's thread. Limits: as many as the topology has workers.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/io/log.h"
#include "base/topology/topology.h"
#include "replication/io/metric_list.h"
#include "replication/io/worker_sender.h"

namespace tidemark::replication::io {

class WorkerSet {
 public:
  WorkerSet(boost::asio::io_context& context, WorkerSender::Host& host, ShardId shard, std::string password,
            WorkerFeed::Options feed, tidemark::io::Log log)
      : context_(context),
        host_(host),
        shard_(shard),
        password_(std::move(password)),
        feed_(feed),
        log_(std::move(log)) {}

  // Workers come and go, and get their slots. A new sender begins with `reason`, if there is one: of what happened
  // while nobody looked after its worker only the journal's meta knows.
  void apply(const Topology& topology, std::optional<FenceAllReason> reason);

  void pump();
  void require_fenceall(FenceAllReason reason);
  void on_sample_started(uint64_t sample);
  void on_sample(uint64_t sample, Lsn insert_lsn);
  void on_sample_lost(uint64_t sample);
  void close();

  bool is_busy() const;
  bool has_newer_epoch() const;
  bool are_all_following() const;  // and no FENCEALL is due
  void append_metrics(MetricList& list) const;

 private:
  boost::asio::io_context& context_;
  WorkerSender::Host& host_;
  ShardId shard_;
  std::string password_;
  WorkerFeed::Options feed_;
  tidemark::io::Log log_;
  std::map<WorkerSender::Target, std::shared_ptr<WorkerSender>> senders_;
};

}  // namespace tidemark::replication::io
