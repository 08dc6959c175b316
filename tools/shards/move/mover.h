// Drives one bucket move: looks at both shards, asks MoveMachine, does what it says, until there is nothing left.
//
// Any process may do this for any move at any time; an advisory lock at the source keeps it to one. A process that
// finds the lock held by one that has not shown itself for a while (kSilentMax, kSilentFencedMax while writers wait)
// ends that one's sessions on both sides and goes on. What is lost with a process is only speed: the copy is done
// again, the comparison is done again, a fence is taken back.
// Threads: one. Limits: the constants here; every wait has one.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "shardrouter/rebalance/move_machine.h"
#include "shardrouter/rebalance/throttle.h"
#include "shardrouter/rebalance/verify.h"
#include "tools/shards/move/change_applier.h"
#include "tools/shards/move/change_stream.h"
#include "tools/shards/move/move_end.h"

namespace tidemark::shards {

struct MoveOptions {
  std::string move_id;
  BucketRange range;
  ShardEnd source, target;
  std::string topology;  // "file:DIR"
  bool is_held = false;
  std::string undoes;  // id of the move this one takes back; empty: none
  shardrouter::ThrottleLimits throttle;
  std::chrono::milliseconds fence_deadline{40};  // from the begin of the fence: no flip happens after it
  std::chrono::milliseconds fence_timeout{30};   // for the fence itself: writers under way
  int fence_attempts_max = 300;
  uint64_t wal_max_bytes = uint64_t{16} << 30;  // that the move's slot may keep at the source; more: it is given up
  bool stops_before_fence = false;              // outcome "verified"
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

struct MoveReport {
  std::string outcome;  // "finished", "aborted", "held", "verified"
  std::string reason;
  int64_t rows_copied = 0, bytes_copied = 0, rows_applied = 0, rows_verified = 0, rows_cleaned = 0;
  double copy_ms = 0, verify_ms = 0, total_ms = 0;
  double blocked_ms = 0;                  // of the attempt that succeeded: no owner could be written to
  std::vector<double> failed_blocked_ms;  // of attempts that were taken back
  int fence_timeouts = 0;                 // fences that got no locks in time
  int rehearsals = 0;
  double rehearsal_ms = 0;  // the last: from a commit at the source until the target and the standbys had it
};

class Mover {
 public:
  static constexpr std::chrono::milliseconds kSilentMax{5000};
  static constexpr std::chrono::milliseconds kSilentFencedMax{500};
  static constexpr std::chrono::seconds kDurableLimit{30};      // a standby that does not confirm
  static constexpr std::chrono::seconds kReconnectLimit{60};    // a server that does not come back
  static constexpr std::chrono::seconds kLongQueryLimit{3600};  // digests, slot creation
  static constexpr int64_t kFenceLagBytes = 64 << 10;
  static constexpr std::chrono::milliseconds kRehearsalLimit{1000};
  static constexpr std::chrono::milliseconds kTakeBackReserve{6};  // of the fence's deadline, while no marker has come
  static constexpr std::chrono::milliseconds kFencedBeat{200};     // nothing else is done while writers wait, so long
  static constexpr int kSlowRehearsalsMax = 20;                    // in a row; then a fence is tried all the same
  static constexpr size_t kBatchRows = 500;

  explicit Mover(MoveOptions options);
  ~Mover();
  Result<MoveReport> run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Links;

  // mover.cpp
  Status drive();
  Status connect();
  Status take_lock();
  Status end_silent_predecessor(const std::string& holder);
  Status look();
  Status perform(const shardrouter::MoveDecision& decision);
  Status recover(const Error& error);
  Status beat(bool is_forced = false);
  Status record_pids();
  Status request_abort(const std::string& reason);
  // mover_copy.cpp
  Status reserve_source();
  Status reserve_target();
  Status copy();
  Status copy_table(const MovedTable& table);
  Status count_rows();
  Status beat_while_copying();
  Status open_apply_link();
  Status arm_reverse();
  // mover_stream.cpp
  Status start_stream();
  Status pump(int wait_ms);
  Status read_messages();
  Status confirm_to_slot();
  Status catch_up();
  Status fence();
  Result<std::string> obstacle_to_fence();
  Result<std::string> rehearse();
  Status make_plans();
  Status read_target_clock();
  Status write_source_log();
  Status open_check_snapshot();
  Status wait_out(const std::string& obstacle);
  Status await_marker();
  Status flip();
  Status await_durable(PgLink& link, const ShardEnd& end, const char* what);
  enum class Meanwhile : uint8_t { kApply, kWait };
  Result<shardrouter::ResultSet> await_answer(PgLink& link, Meanwhile meanwhile = Meanwhile::kApply);
  // mover_verify.cpp
  Status verify();
  Status second_check();
  std::string digests_sql() const;
  Result<std::vector<shardrouter::BucketDigest>> read_digests(PgLink& link);
  // mover_finish.cpp
  Status next_attempt();
  Status unfence();
  Status publish_map(PgLink& link, const ShardEnd& owner);
  Status clean(const ShardEnd& end, bool is_source);
  Status drop_all_artifacts();
  Status abort_target(const std::string& reason);

  void forget_volatile();
  double ms_since(Clock::time_point start) const;
  std::string range_condition() const;

  MoveOptions options_;
  MoveReport report_;
  shardrouter::MoveView view_;
  shardrouter::Throttle throttle_;
  std::unique_ptr<Links> links_;
  std::vector<MovedTable> tables_;
  std::optional<ChangeStream> stream_;
  std::optional<ChangeApplier> applier_;
  Clock::time_point started_, last_look_, last_beat_, last_feedback_, last_good_, last_note_, fence_began_;
  std::optional<std::pair<Lsn, Lsn>> unconfirmed_;  // stream position, position in the target's WAL
  int caught_up_looks_ = 0;
  int fence_tries_ = 0;
  int slow_rehearsals_ = 0;
  std::string target_clock_;  // the target's, at target_clock_read_ or a little before
  Clock::time_point target_clock_read_;
  bool has_outcome_ = false;
};

}  // namespace tidemark::shards
