#include "shardrouter/schema/migration_machine.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::shardrouter::migration {
namespace {

struct Printer {
  std::string operator()(const RunScript& a) const { return to_string(a.step); }
  std::string operator()(const CountRemaining& a) const { return "count remaining, " + to_string(a.step); }
  std::string operator()(const ReadBuckets& a) const { return "read buckets, " + to_string(a.step); }
  std::string operator()(const RunBatch& a) const {
    return fmt::format("batch of bucket {} from {}, {}", a.request.bucket ? std::to_string(*a.request.bucket) : "-",
                       a.request.after_key.empty() ? "its start" : a.request.after_key.back().value_or("?"),
                       to_string(a.step));
  }
  std::string operator()(const ReadLag& a) const { return "read lag, " + to_string(a.step); }
  std::string operator()(const MarkBackfilled& a) const { return "mark done, " + to_string(a.step); }
  std::string operator()(const Wait& a) const { return fmt::format("wait {} ms {}", to_millis(a.how_long), a.reason); }
  std::string operator()(const Finished&) const { return "finished"; }
  std::string operator()(const Stopped& a) const { return "stopped: " + a.error.to_string(); }
};

}  // namespace

std::string to_string(const Action& action) {
  return std::visit(Printer{}, action);
}

Machine::Machine(std::vector<MigrationStep> steps, BackfillPace::Limits limits)
    : steps_(std::move(steps)), limits_(limits), pace_(limits) {}

Action Machine::on(const Event& event) {
  if (!std::holds_alternative<Busy>(event) && !std::holds_alternative<Waited>(event)) tries_ = 0;
  return std::visit([this](const auto& one) { return on_event(one); }, event);
}

Machine::Progress Machine::progress() const {
  return {at_, steps_.size(), rows_done_, rows_remaining_, bucket_at_, buckets_.size()};
}

Action Machine::act(Action action) {
  last_ = action;
  return action;
}

Action Machine::begin_step() {
  if (at_ == steps_.size()) return Finished{};
  pace_ = BackfillPace(limits_);
  passes_ = 0;
  rows_done_ = rows_remaining_ = 0;
  buckets_.clear();
  bucket_at_ = 0;
  if (step().kind == MigrationStep::Kind::kCheck || step().phase == Phase::kBackfill)
    return act(CountRemaining{step()});
  return act(RunScript{step()});
}

Action Machine::end_step() {
  ++at_;
  return begin_step();
}

Action Machine::stop(Error error) {
  const std::string where = at_ < steps_.size() ? to_string(step()) : "end";
  return Stopped{error.with_context(where)};
}

Action Machine::on_event(const Busy& event) {
  if (++tries_ >= kTriesMax)
    return stop({ErrorCode::kAborted, fmt::format("no lock in {} tries; in the way: {}", tries_, event.holder)});
  after_wait_ = last_;
  const Duration wait = std::min(kRetryWaitMax, kRetryWaitMin * (1 << std::min<uint32_t>(tries_ - 1, 5)));
  return Wait{wait, "for a lock; in the way: " + event.holder};
}

Action Machine::on_event(const Remaining& event) {
  rows_remaining_ = event.rows;
  if (step().kind == MigrationStep::Kind::kCheck) {
    if (event.rows == 0) return end_step();
    return stop(
        {ErrorCode::kFailedPrecondition,
         fmt::format("{} rows still need the backfill: run backfill again; if they come back, a writer that does "
                     "not know the new column is running",
                     event.rows)});
  }
  if (event.rows == 0) return act(MarkBackfilled{step()});
  if (passes_ == kPassesMax)
    return stop(
        {ErrorCode::kAborted,
         fmt::format("after {} passes {} rows still need it: a writer that does not know the new column is running",
                     passes_, event.rows)});
  ++passes_;
  return act(ReadBuckets{step()});
}

Action Machine::on_event(const BucketList& event) {
  has_buckets_ = event.has_buckets;
  buckets_ = event.buckets;
  bucket_at_ = 0;
  after_key_.clear();
  if (has_buckets_ && buckets_.empty()) return act(CountRemaining{step()});
  return next_batch();
}

Action Machine::next_batch() {
  BatchRequest request{std::nullopt, after_key_, pace_.rows_max()};
  if (has_buckets_) request.bucket = buckets_[bucket_at_];
  return act(RunBatch{step(), std::move(request)});
}

Action Machine::next_bucket() {
  after_key_.clear();
  ++bucket_at_;
  if (!has_buckets_ || bucket_at_ >= buckets_.size()) return act(CountRemaining{step()});
  return next_batch();
}

Action Machine::on_event(const BatchDone& event) {
  if (event.answer.rows_unsettled > 0)
    return stop({ErrorCode::kInvalidArgument,
                 fmt::format("the WHERE still holds for {} rows that the SET has changed, so it would never end: make "
                             "the condition false by the change (nothing was changed)",
                             event.answer.rows_unsettled)});
  rows_done_ += event.answer.rows_changed;
  const bool is_last = event.answer.rows_chosen < std::get<RunBatch>(last_).request.rows_max;
  const Duration wait = pace_.after({event.answer.rows_chosen, event.took});
  after_key_ = event.answer.last_key;
  const Action next = is_last ? next_bucket() : next_batch();
  // An empty bucket costs next to nothing: 4,096 waits would.
  if (event.answer.rows_chosen == 0) return next;
  if (pace_.is_too_far_behind(event.lag_bytes)) {
    after_lag_ = next;
    lag_waits_ = 0;
    return on_event(LagRead{event.lag_bytes});
  }
  if (wait <= Duration(0)) return next;
  after_wait_ = next;
  return Wait{wait, ""};
}

Action Machine::on_event(const LagRead& event) {
  if (!pace_.is_too_far_behind(event.bytes)) return act(after_lag_);
  if (++lag_waits_ > kLagWaitsMax)
    return stop(
        {ErrorCode::kResourceExhausted,
         fmt::format("a replica or the invalidator has been more than {} bytes behind for {} s: mend it, or raise "
                     "the limit, and run backfill again",
                     limits_.lag_bytes_max, to_millis(kLagWait) * kLagWaitsMax / 1000)});
  after_wait_ = ReadLag{step()};
  return Wait{kLagWait, fmt::format("for a replica or the invalidator, {} bytes behind", event.bytes)};
}

}  // namespace tidemark::shardrouter::migration
