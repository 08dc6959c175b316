#include "replication/io/worker_set.h"

#include <algorithm>

#include "replication/wal/worker_slots.h"

namespace tidemark::replication::io {

void WorkerSet::apply(const Topology& topology, std::optional<FenceAllReason> reason) {
  std::map<WorkerSender::Target, std::shared_ptr<WorkerSender>> next;
  for (const WorkerSlots& worker : workers_of(topology)) {
    WorkerSender::Target target{worker.node->id, worker.worker, worker.node->host, worker.port};
    std::shared_ptr<WorkerSender> sender;
    if (auto known = senders_.find(target); known != senders_.end()) {
      sender = known->second;
      senders_.erase(known);
    } else {
      sender = WorkerSender::create(context_, host_, target, password_, shard_, feed_, log_);
      if (reason) sender->feed().require_fenceall(*reason);
    }
    sender->feed().set_slots(worker.slots);
    next.emplace(target, std::move(sender));
  }
  close();
  senders_ = std::move(next);
}

void WorkerSet::pump() {
  for (auto& [target, sender] : senders_) sender->pump();
}

void WorkerSet::require_fenceall(FenceAllReason reason) {
  for (auto& [target, sender] : senders_) sender->feed().require_fenceall(reason);
}

void WorkerSet::on_sample_started(uint64_t sample) {
  for (auto& [target, sender] : senders_) sender->feed().on_sample_started(sample);
}

void WorkerSet::on_sample(uint64_t sample, Lsn insert_lsn) {
  for (auto& [target, sender] : senders_) sender->feed().on_sample(sample, insert_lsn);
}

void WorkerSet::on_sample_lost(uint64_t sample) {
  for (auto& [target, sender] : senders_) sender->feed().on_sample_lost(sample);
}

void WorkerSet::close() {
  for (auto& [target, sender] : senders_) sender->close();
  senders_.clear();
}

bool WorkerSet::is_busy() const {
  return std::ranges::any_of(senders_, [](const auto& entry) { return entry.second->feed().is_busy(); });
}

bool WorkerSet::has_newer_epoch() const {
  return std::ranges::any_of(senders_,
                             [](const auto& entry) { return entry.second->feed().newer_epoch().has_value(); });
}

bool WorkerSet::are_all_following() const {
  return std::ranges::all_of(senders_, [](const auto& entry) {
    return entry.second->feed().is_following() && !entry.second->feed().is_fenceall_pending();
  });
}

void WorkerSet::append_metrics(MetricList& list) const {
  const std::string prefix = "tidemark_invalidator_worker_";
  for (const auto& [target, sender] : senders_) {
    MetricList::Labels labels{{"shard", std::to_string(shard_)}, {"worker", target.label()}};
    const WorkerFeed& feed = sender->feed();
    const WorkerFeed::Counters& counts = feed.counters();
    list.gauge(prefix + "following", "1 while the worker follows", labels, feed.is_following());
    list.gauge(prefix + "complete_through", "LSN the worker has confirmed", labels, double(feed.chain_lsn().value));
    list.gauge(prefix + "outstanding", "requests under way", labels, double(feed.outstanding()));
    list.counter(prefix + "batches_total", "INVALB sent", labels, double(counts.batches));
    list.counter(prefix + "keys_total", "keys sent", labels, double(counts.keys));
    list.counter(prefix + "fences_total", "FENCE sent", labels, double(counts.fences));
    list.counter(prefix + "epochs_total", "EPOCH sent: promotions", labels, double(counts.epochs));
    list.counter(prefix + "replays_total", "returns to an earlier position", labels, double(counts.replays));
    list.counter(prefix + "failures_total", "steps that failed", labels, double(counts.failures));
    for (FenceAllReason reason : kFenceAllReasons) {
      auto found = counts.fencealls.find(reason);
      MetricList::Labels with_reason = labels;
      with_reason.emplace_back("reason", to_string(reason));
      double value = found == counts.fencealls.end() ? 0 : double(found->second);
      list.counter(prefix + "fencealls_total", "FENCEALL sent, by reason", std::move(with_reason), value);
    }
  }
}

}  // namespace tidemark::replication::io
