// One shard's moves, looked at again and again on a thread of its own.
// Threads: any; the newest look is copied out under a lock. Limits: kAnswerLimit for an answer, kRowsMax rows.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shardrouter/rebalance/move_view.h"
#include "tools/shards/move/move_end.h"

namespace tidemark::shards {

struct SeenMove {
  std::string move_id;
  bool is_source = false;
  std::string step;
  ShardId peer = 0;
  shardrouter::MoveWish wish = shardrouter::MoveWish::kRun;
  bool is_held = false;
  std::chrono::milliseconds silent{0};
};

class ShardWatch {
 public:
  static constexpr int kRowsMax = 1000;
  using Clock = std::chrono::steady_clock;

  ShardWatch(ShardEnd end, std::chrono::milliseconds interval, std::chrono::milliseconds reconnect_interval,
             std::chrono::milliseconds answer_limit);
  ~ShardWatch();  // waits for a look under way

  ShardId id() const { return end_.id; }
  bool leads_to(const ShardEnd& end) const { return end.id == end_.id && end.admin == end_.admin; }
  // nullopt: there is none that is younger than the answer's limit.
  std::optional<std::vector<SeenMove>> newest() const;
  std::string error() const;  // why not; empty: it answers

 private:
  void run(const std::stop_token& stop);
  Result<std::vector<SeenMove>> look();

  const ShardEnd end_;
  const std::chrono::milliseconds interval_, reconnect_interval_, answer_limit_;
  std::optional<PgLink> link_;  // the thread's own
  mutable std::mutex mutex_;
  std::vector<SeenMove> seen_;
  std::optional<Clock::time_point> seen_at_;
  std::string error_ = "not asked yet";
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace tidemark::shards
