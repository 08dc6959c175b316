// One worker: the entries, the freshness and the identity of one thread of the node, and their upkeep.
//
// The shell owns it on its own thread, hands it bytes (SessionMachine), every new topology, and a tick about every
// 100 ms. A slot that moved away is emptied bit by bit by tick(); one that comes back before that is emptied at once,
// for its leftovers may be older than what the other owner answered meanwhile.
// Threads: one. Its view's statistics may be read by any thread. I/O: none; the clock is given.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/result.h"
#include "cacheserver/command/command_table.h"
#include "cacheserver/command/dispatch.h"
#include "cacheserver/freshness/freshness_state.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/serving/command_timer.h"
#include "cacheserver/serving/forwarding.h"
#include "cacheserver/serving/request_round.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {

class Worker {
 public:
  static constexpr size_t kPurgedPerTick = 2048;                           // keys of slots that moved away
  static constexpr size_t kUpkeepPerTick = 16;                             // rounds of Keyspace::tick
  static constexpr Duration kUpkeepTime = std::chrono::microseconds(400);  // of one tick; a step begun is ended

  using Clock = Instant (*)();  // steady; only to measure how long commands take

  struct Options {
    WorkerView::Identity identity;
    WorkerConfig config;
    Credentials credentials;
    uint64_t hash_seed = 0;
    Clock clock = nullptr;
  };
  // kInvalidArgument: an unknown eviction policy.
  static Result<std::unique_ptr<Worker>> open(Options options, const CommandTable& table);

  WorkerView& view() { return view_; }
  const WorkerView& view() const { return view_; }
  Keyspace& keyspace() { return *keyspace_; }
  FreshnessState& freshness() { return freshness_; }
  const Dispatcher& dispatcher() const { return dispatcher_; }
  Instant clock() const { return clock_(); }

  void adopt_topology(std::shared_ptr<const Topology> topology);

  // The requests of a round are about to run: what may be done beside them, at most, may be done again.
  void begin_turn() { keyspace_->begin_turn(); }
  // Housekeeping, a turn of its own, bounded by kUpkeepTime. True if there is more to do soon.
  bool tick(Instant now);

  uint64_t next_session_id() { return ++sessions_made_ * view_.identity().workers + view_.identity().worker_index; }

  // The requests of the sessions that are ready together, and those of one session alone: the sessions take turns.
  RequestRound& shared_round() { return shared_round_; }
  RequestRound& own_round() { return own_round_; }
  void load_round() { shared_round_.load(*keyspace_); }
  void end_round() { finish(shared_round_); }
  void finish(RequestRound& round) {
    timer_.stop();  // it may still name a request of the round
    round.clear();
  }
  CommandTimer& timer() { return timer_; }
  // Where requests for siblings go; nullptr: this node does not forward. `guest`: in whose name siblings' requests run.
  Forwarding* forwarding() { return forwarding_.get(); }
  Session& guest() { return guest_; }

 private:
  Worker(Options options, std::unique_ptr<Keyspace> keyspace, const CommandTable& table);
  void purge_whole(Slot slot);
  bool purge(Instant deadline);  // true: some is left
  void publish_gauges();

  WorkerView view_;
  std::unique_ptr<Keyspace> keyspace_;
  FreshnessState freshness_;
  Dispatcher dispatcher_;
  Clock clock_;
  std::deque<Slot> slots_to_purge_;
  uint64_t purge_cursor_ = 0;  // in the first of them
  uint64_t sessions_made_ = 0;
  RequestRound shared_round_, own_round_;
  CommandTimer timer_;
  std::unique_ptr<Forwarding> forwarding_;
  Session guest_;
};

}  // namespace tidemark::cacheserver
