#include "replication/wal/worker_feed.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::replication {

std::string_view to_string(FenceAllReason reason) {
  switch (reason) {
    case FenceAllReason::kJoin:
      return "join";
    case FenceAllReason::kEpoch:
      return "epoch";
    case FenceAllReason::kJournal:
      return "journal";
    case FenceAllReason::kFamilies:
      return "families";
    case FenceAllReason::kSlots:
      return "slots";
    case FenceAllReason::kUnknownKeys:
      return "unknown_keys";
  }
  return "unknown";
}

void WorkerFeed::set_slots(const SlotSet& slots) {
  bool gains = (slots & ~slots_).any();
  // Also when the position is unknown just now: what was sent so far left those slots out.
  if (gains && has_slots_) require_fenceall(FenceAllReason::kSlots);
  has_slots_ = true;
  slots_ |= slots;
}

// --------------------------------------------------------------------------------------------------- what to send next
WorkerFeed::Action WorkerFeed::take_action(Instant now, const Shard& shard) {
  if (is_busy() || (not_before_ && now < *not_before_)) return {};
  succession_ = shard.succession;
  if (state_ == State::kFollowing && shard.address.db_epoch != address_.db_epoch) on_older_epoch(address_.db_epoch);
  // LSNs of two incarnations are not comparable, and neither are the samples that stand by them.
  if (shard.address.db_epoch != address_.db_epoch) echo_.reset();
  address_ = shard.address;
  journal_begin_ = shard.journal_begin;
  position_ = shard.position;
  if (newer_epoch_ && address_.db_epoch >= *newer_epoch_) newer_epoch_.reset();
  if (state_ == State::kUnknown) {
    Action action = start_step({encode_tide()}, chain_);
    std::get<Step>(action).is_tide = true;
    return action;
  }
  if (std::exchange(is_epoch_due_, false) && !fenceall_) return send_epoch();
  if (!fenceall_ && chain_ < journal_begin_) require_fenceall(FenceAllReason::kJournal);
  if (fenceall_) return send_fenceall(shard);
  return send_due(now, shard);
}

WorkerFeed::Action WorkerFeed::start_step(std::vector<std::string> requests, Lsn through) {
  step_.emplace();
  step_->id = next_id_++;
  step_->answered.resize(requests.size());
  step_->missing = requests.size();
  step_->through = through;
  return Step{.id = step_->id, .requests = std::move(requests)};
}

void WorkerFeed::on_older_epoch(DbEpoch of_worker) {
  is_epoch_due_ = succession_ && succession_->prev_epoch == of_worker;
  if (!is_epoch_due_) require_fenceall(FenceAllReason::kEpoch);
}

// Whether it has everything up to the switch the worker knows better; if not, its answer is GAP.
WorkerFeed::Action WorkerFeed::send_epoch() {
  replay_.reset();
  Action action =
      start_step({encode_epoch(address_, succession_->prev_epoch, succession_->switch_lsn)}, succession_->switch_lsn);
  step_->is_epoch = true;
  ++counters_.epochs;
  return action;
}

WorkerFeed::Action WorkerFeed::send_fenceall(const Shard& shard) {
  replay_.reset();
  Action action = start_step({encode_fenceall(address_, shard.position)}, shard.position);
  step_->fenceall = std::exchange(fenceall_, std::nullopt);
  ++counters_.fencealls[*step_->fenceall];
  return action;
}

WorkerFeed::Action WorkerFeed::send_due(Instant now, const Shard& shard) {
  Collected collected;
  for (;;) {
    if (replay_ && cursor_ >= replay_->lsn) replay_.reset();
    if (!replay_ && cursor_ < shard.window->begin_lsn()) {
      journal_read_ = next_id_++;
      return JournalRead{*journal_read_, cursor_};
    }
    collected = collect(shard);
    if (collected.has_unknown_keys) {
      require_fenceall(FenceAllReason::kUnknownKeys);
      return send_fenceall(shard);
    }
    if (!collected.commits.empty() || !replay_) break;
    cursor_ = collected.through;  // nothing of interest in what was read from the journal: go on to the next piece
  }
  if (collected.commits.empty()) {
    cursor_ = collected.through;
    if (!is_fence_due(now)) return {};
    return start_step({make_fence(now, shard, chain_, cursor_)}, cursor_);
  }
  auto requests = encode_invalb({.address = address_,
                                 .prev_lsn = chain_,
                                 .last_lsn = collected.through,
                                 .is_replay = collected.is_replay,
                                 .without_keys = options_.without_keys},
                                collected.commits, slots_);
  counters_.batches += requests.size();
  for (const Commit* commit : collected.commits) {
    counters_.keys += static_cast<uint64_t>(
        std::ranges::count_if(commit->keys, [this](const InvalidatedKey& key) { return slots_.test(key.slot); }));
  }
  if (is_fence_due(now)) requests.push_back(make_fence(now, shard, collected.through, collected.through));
  return start_step(std::move(requests), collected.through);
}

WorkerFeed::Collected WorkerFeed::collect(const Shard& shard) const {
  Collected out;
  if (replay_) {
    out.is_replay = true;
    auto first = std::ranges::upper_bound(replay_->commits, cursor_, {}, &Commit::end_lsn);
    collect_from(std::ranges::subrange(first, replay_->commits.end()), replay_->lsn, out);
  } else {
    auto range = std::ranges::subrange(shard.window->find_after(cursor_), shard.window->end());
    collect_from(range, std::max(cursor_, shard.position), out);
  }
  return out;
}

template <typename Range>
void WorkerFeed::collect_from(const Range& commits, Lsn end, Collected& out) const {
  size_t bytes = 0;
  for (const Commit& commit : commits) {
    if (commit.invalidates_all) {
      out.has_unknown_keys = true;
      return;
    }
    bool concerns = !commit.moved.empty() || std::ranges::any_of(commit.keys, [this](const InvalidatedKey& key) {
      return slots_.test(key.slot);
    });
    if (!concerns) continue;
    out.commits.push_back(&commit);
    bytes += commit.bytes();
    if (out.commits.size() == options_.step_commits_max || bytes >= options_.step_bytes_max) {
      out.through = commit.end_lsn;
      return;
    }
  }
  out.through = end;
}

std::string WorkerFeed::make_fence(Instant now, const Shard& shard, Lsn prev, Lsn lsn) {
  last_fence_ = now;
  ++counters_.fences;
  bool has_settled = !shard.settled.is_zero() && shard.snapshot != nullptr;
  // Never more than the worker has: every commit up to the smaller of the two is visible as well.
  return encode_fence({.address = address_,
                       .prev_lsn = prev,
                       .lsn = lsn,
                       .settled = has_settled ? std::min(shard.settled, lsn) : Lsn{},
                       .snapshot = has_settled ? shard.snapshot : nullptr,
                       .echo = echo_.take_echo(lsn)});
}

// ---------------------------------------------------------------------------------------------------- what came back
void WorkerFeed::on_reply(uint64_t step, size_t index, const FeedReply& reply, Instant now) {
  if (!step_ || step_->id != step || index >= step_->answered.size() || step_->answered[index]) return;
  step_->answered[index] = true;
  --step_->missing;
  if (const auto* ok = std::get_if<FeedOk>(&reply)) {
    echo_.on_stamp(ok->stamp);
    bool is_last = index + 1 == step_->answered.size();
    if (is_last && ok->complete_through < step_->through && !step_->problem) {
      step_->problem = FeedGap{ok->complete_through};
    }
  } else if (const auto* tide = std::get_if<FeedTide>(&reply)) {
    step_->tide = *tide;
  } else if (!step_->problem) {
    step_->problem = reply;
  }
  if (step_->missing == 0) finish_step(now);
}

void WorkerFeed::finish_step(Instant now) {
  RunningStep step = std::move(*step_);
  step_.reset();
  if (step.problem) {
    if (step.fenceall && !fenceall_) fenceall_ = step.fenceall;  // not done: do it again
    if (step.is_epoch) {
      const auto* epoch = std::get_if<FeedEpoch>(&*step.problem);
      if (std::holds_alternative<FeedGap>(*step.problem) || (epoch != nullptr && epoch->db_epoch < address_.db_epoch))
        return require_fenceall(FenceAllReason::kEpoch);
      if (std::holds_alternative<FeedFailure>(*step.problem)) fenceall_ = FenceAllReason::kEpoch;
    }
    return handle_problem(*step.problem, now);
  }
  last_failure_.clear();
  delay_ = {};
  if (step.tide) return accept(*step.tide, now);
  const bool is_anew = step.fenceall || step.is_epoch;
  chain_ = is_anew ? step.through : std::max(chain_, step.through);
  cursor_ = is_anew ? step.through : std::max(cursor_, chain_);
  if (is_anew) last_fence_.reset();  // the floor's snapshot is wanted soon
}

void WorkerFeed::accept(const FeedTide& tide, Instant now) {
  if (tide.is_joined && tide.db_epoch > address_.db_epoch) return handle(FeedEpoch{tide.db_epoch}, now);
  state_ = State::kFollowing;
  if (!tide.is_joined) return handle(FeedGap{}, now);
  if (tide.db_epoch < address_.db_epoch) return on_older_epoch(tide.db_epoch);
  if (tide.complete_through < journal_begin_) return require_fenceall(FenceAllReason::kJournal);
  rewind_to(std::min(tide.complete_through, position_));
}

void WorkerFeed::handle(const FeedGap& gap, Instant now) {
  if (gap.complete_through.is_zero()) {
    echo_.reset();  // another process: its stamps are new
    return require_fenceall(FenceAllReason::kJoin);
  }
  if (gap.complete_through < journal_begin_) return require_fenceall(FenceAllReason::kJournal);
  if (gap.complete_through >= chain_ && state_ == State::kFollowing && !fenceall_) {
    return pause(fmt::format("answers GAP {} to what follows {}", gap.complete_through.to_string(), chain_.to_string()),
                 now);
  }
  ++counters_.replays;
  rewind_to(gap.complete_through);
}

void WorkerFeed::handle(const FeedEpoch& epoch, Instant now) {
  if (epoch.db_epoch < address_.db_epoch && !fenceall_) return require_fenceall(FenceAllReason::kEpoch);
  if (epoch.db_epoch > address_.db_epoch) newer_epoch_ = epoch.db_epoch;
  pause(fmt::format("has db_epoch {}, ours is {}", epoch.db_epoch, address_.db_epoch), now);
}

void WorkerFeed::handle_problem(const FeedReply& problem, Instant now) {
  if (const auto* gap = std::get_if<FeedGap>(&problem)) return handle(*gap, now);
  if (const auto* epoch = std::get_if<FeedEpoch>(&problem)) return handle(*epoch, now);
  if (const auto* map = std::get_if<FeedStaleMap>(&problem)) {
    return pause(fmt::format("has slot table {}, ours is {}", map->slots_version, address_.slots_version), now);
  }
  const auto* failure = std::get_if<FeedFailure>(&problem);
  pause(failure != nullptr ? failure->message : "unexpected answer", now);
}

void WorkerFeed::on_journal(uint64_t id, Result<JournalRecord> records, Instant now) {
  if (!journal_read_ || *journal_read_ != id) return;
  journal_read_.reset();
  if (!records) {
    if (records.error().code != ErrorCode::kNotFound) return pause(records.error().to_string(), now);
    return require_fenceall(FenceAllReason::kJournal);
  }
  if (records->lsn <= cursor_) return pause(fmt::format("the journal ends at {}", records->lsn.to_string()), now);
  replay_ = std::move(*records);
}

void WorkerFeed::rewind_to(Lsn position) {
  chain_ = cursor_ = position;
  replay_.reset();
}

void WorkerFeed::pause(std::string message, Instant now) {
  ++counters_.failures;
  last_failure_ = std::move(message);
  state_ = State::kUnknown;
  replay_.reset();
  delay_ = delay_.count() == 0 ? options_.retry_delay : std::min(2 * delay_, options_.retry_delay_max);
  not_before_ = now + delay_;
}

}  // namespace tidemark::replication
