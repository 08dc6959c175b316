// Machine that brings one cache worker up to the stream of one shard and keeps it there, without a hole.
//
//   unknown --TIDE--> following --step--> following …        GAP x:   back to x, again out of window or journal
//      ^                  |                                   GAP below the journal, 0/0, other epoch: FENCEALL
//                                                              a promotion whose switch it has reached: EPOCH
//      +--- any failure --+   (after a pause, doubled per failure)
//
// At most one step is under way: a few requests, sent together and answered in order; what is committed meanwhile makes
// the next step, so batches grow with the load. Every step is chained: its prev_lsn is the position the worker has
// confirmed. A worker is never told a position whose commits it was not sent: steps come from the window or, when the
// worker is behind it, from the journal. Commits without keys of this worker cost nothing but the next FENCE.
// A FENCE goes out each fence_interval, together with the step that is due then.
//
// Invariants: chain_lsn() <= cursor <= position of the stream it was given. Answers to steps that are over (late,
// repeated) change nothing. Threads: one. I/O: none.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "replication/wal/commit_window.h"
#include "replication/wal/echo_clock.h"
#include "replication/wal/feed_reply.h"
#include "replication/wal/invalidation_batch.h"

namespace tidemark::replication {

// Why a worker had to revalidate everything it holds of the shard.
enum class FenceAllReason : uint8_t { kJoin, kEpoch, kJournal, kFamilies, kSlots, kUnknownKeys };
inline constexpr FenceAllReason kFenceAllReasons[] = {FenceAllReason::kJoin,    FenceAllReason::kEpoch,
                                                      FenceAllReason::kJournal, FenceAllReason::kFamilies,
                                                      FenceAllReason::kSlots,   FenceAllReason::kUnknownKeys};
std::string_view to_string(FenceAllReason reason);

// The epoch came about by a promotion: `prev` ended at `switch_lsn`, and nothing was committed between there and the
// stream's first commit.
struct Succession {
  DbEpoch prev_epoch = 0;
  Lsn switch_lsn;
  bool operator==(const Succession&) const = default;
};

class WorkerFeed {
 public:
  struct Options {
    Duration fence_interval = std::chrono::milliseconds(40);  // PROTOCOL.md: at least every 50 ms
    Duration retry_delay = std::chrono::milliseconds(50);     // doubled per failure up to the next
    Duration retry_delay_max = std::chrono::seconds(1);
    size_t step_commits_max = 4 * kBatchTransactionsMax;
    size_t step_bytes_max = 2 * kBatchBytesMax;
    bool without_keys = false;  // plant, see InvalbOptions
  };

  // The shard as it is when a step is asked for.
  struct Shard {
    FeedAddress address;
    Lsn position;       // the stream is decoded up to here
    Lsn journal_begin;  // a worker at or beyond this can be caught up
    const CommitWindow* window = nullptr;
    Lsn settled;  // 0/0: nothing to claim
    const PgSnapshot* snapshot = nullptr;
    std::optional<Succession> succession{};
  };

  struct Step {
    uint64_t id = 0;
    std::vector<std::string> requests;  // answer each with on_reply(id, index, …)
    bool is_tide = false;               // its answer is read by read_tide_reply()
  };
  struct JournalRead {
    uint64_t id = 0;
    Lsn from;  // commits after this position; answer with on_journal()
  };
  using Action = std::variant<std::monostate, Step, JournalRead>;

  struct Counters {
    uint64_t batches = 0, keys = 0, fences = 0, replays = 0, failures = 0, epochs = 0;
    std::map<FenceAllReason, uint64_t> fencealls;
  };

  explicit WorkerFeed(Options options) : options_(options) {}

  // The slots the worker serves. Slots it gains must not be trusted: what was invalidated there before went elsewhere.
  // Slots it loses go on being sent, for the worker may not know yet; a worker ignores what it does not serve.
  void set_slots(const SlotSet& slots);
  // Everything of the shard is to be revalidated before the worker goes on.
  void require_fenceall(FenceAllReason reason) { fenceall_ = reason; }
  // A FENCEALL is due or under way.
  bool is_fenceall_pending() const { return fenceall_.has_value() || (step_ && step_->fenceall); }

  // What to do now; ask again after every event. Nothing while a step is under way or nothing is due.
  Action take_action(Instant now, const Shard& shard);

  void on_reply(uint64_t step, size_t index, const FeedReply& reply, Instant now);
  // Commits of the journal after the position asked for, whole up to `through`; an error: it does not go back that far.
  void on_journal(uint64_t id, Result<JournalRecord> records, Instant now);

  void on_sample_started(uint64_t sample) { echo_.on_sample_started(sample); }
  void on_sample(uint64_t sample, Lsn insert_lsn) { echo_.on_sample(sample, insert_lsn); }
  void on_sample_lost(uint64_t sample) { echo_.on_sample_lost(sample); }

  bool is_following() const { return state_ == State::kFollowing; }
  bool is_busy() const { return step_.has_value() || journal_read_.has_value(); }
  Lsn chain_lsn() const { return chain_; }
  size_t outstanding() const { return step_ ? step_->missing : 0; }
  const Counters& counters() const { return counters_; }
  const std::string& last_failure() const { return last_failure_; }  // empty: the last step went well
  // The worker knows a newer db_epoch than ours: the shell must ask the database again.
  std::optional<DbEpoch> newer_epoch() const { return newer_epoch_; }

 private:
  enum class State : uint8_t { kUnknown, kFollowing };
  struct RunningStep {
    uint64_t id;
    std::vector<bool> answered;
    size_t missing;
    Lsn through;                             // the worker's position when all went well
    std::optional<FenceAllReason> fenceall;  // the step is a FENCEALL
    bool is_epoch;                           // the step is an EPOCH
    std::optional<FeedReply> problem;        // the first answer that was not OK
    std::optional<FeedTide> tide;
  };
  struct Collected {
    std::vector<const Commit*> commits;  // those that concern the worker, after cursor_
    Lsn through;                         // nothing else up to here does
    bool is_replay = false;
    bool has_unknown_keys = false;
  };

  Action start_step(std::vector<std::string> requests, Lsn through);
  Action send_fenceall(const Shard& shard);
  Action send_epoch();
  void on_older_epoch(DbEpoch of_worker);
  Action send_due(Instant now, const Shard& shard);
  Collected collect(const Shard& shard) const;
  template <typename Range>
  void collect_from(const Range& commits, Lsn end, Collected& out) const;
  std::string make_fence(Instant now, const Shard& shard, Lsn prev, Lsn lsn);
  bool is_fence_due(Instant now) const { return !last_fence_ || now - *last_fence_ >= options_.fence_interval; }

  void finish_step(Instant now);
  void accept(const FeedTide& tide, Instant now);
  void handle(const FeedGap& gap, Instant now);
  void handle(const FeedEpoch& epoch, Instant now);
  void handle_problem(const FeedReply& problem, Instant now);
  void rewind_to(Lsn position);
  void pause(std::string message, Instant now);

  Options options_;
  SlotSet slots_;
  bool has_slots_ = false;  // set_slots was called: the first call gains nothing
  State state_ = State::kUnknown;
  Lsn chain_;   // the worker has confirmed this position
  Lsn cursor_;  // nothing between chain_ and here concerns the worker
  std::optional<FenceAllReason> fenceall_;
  bool is_epoch_due_ = false;
  std::optional<RunningStep> step_;
  std::optional<uint64_t> journal_read_;
  std::optional<JournalRecord> replay_;  // read from the journal, to be sent next
  EchoClock echo_;
  FeedAddress address_;  // as of the last take_action(), like the next three
  std::optional<Succession> succession_;
  Lsn journal_begin_;
  Lsn position_;
  uint64_t next_id_ = 1;
  std::optional<Instant> last_fence_;
  std::optional<Instant> not_before_;
  Duration delay_{};
  std::string last_failure_;
  std::optional<DbEpoch> newer_epoch_;
  Counters counters_;
};

}  // namespace tidemark::replication
