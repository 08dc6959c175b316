// Catching up, the fence and the hand-over.
#include <fmt/format.h>
#include <libpq-fe.h>

#include "base/parse.h"
#include "services/platform/kill_point.h"
#include "tools/shards/move/mover_links.h"

namespace tidemark::shards {

using namespace shardrouter;

namespace {

constexpr auto kFeedbackInterval = std::chrono::milliseconds(200);
constexpr int kCaughtUpLooks = 3;
constexpr int kPumpMessagesMax = 5000;  // between two looks at the clock
constexpr int kMarkerWaitMs = 1;
constexpr int kFenceBackoffMs = 20;
constexpr auto kNoteInterval = std::chrono::milliseconds(500);

// Writers whose end the fence would have to wait for, transactions that would delay the marker, standbys that lag.
constexpr const char* kObstacles =
    "SELECT (SELECT format('session %s (%s) holds a bucket of the range for %s ms', coalesce(l.pid::text, 'prepared'), "
    "  coalesce(left(a.query, 60), ''), (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::int) "
    "  FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) "
    "  WHERE l.locktype = 'advisory' AND l.classid = 7001 AND l.objsubid = 2 AND l.objid BETWEEN $1::int AND $2::int "
    "  AND l.granted AND (a.pid IS NULL OR a.xact_start < clock_timestamp() - interval '10 ms') LIMIT 1), "
    "(SELECT format('session %s writes in a transaction that is %s ms old', pid, "
    "  (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::int) FROM pg_stat_activity "
    "  WHERE backend_xid IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid() "
    "  AND xact_start < clock_timestamp() - interval '1 s' LIMIT 1)";

}  // namespace

Status Mover::start_stream() {
  const std::string name = stream_name(options_.move_id);
  Status ready = open_apply_link();
  if (!ready) return ready;
  const auto progress = links_->apply->value("SELECT pg_replication_origin_session_progress(true)");
  if (!progress) return std::unexpected(progress.error());
  const auto held = Lsn::parse(*progress);
  if (!held) return fail(ErrorCode::kCorrupt, "the target does not say which position of the stream it holds");
  if (!links_->stream) {
    auto link = PgLink::connect(fmt::format("shard {} (stream)", options_.source.id), options_.source.admin,
                                PgLink::Kind::kReplication);
    if (!link) return std::unexpected(link.error());
    links_->stream = std::move(*link);
    ready = record_pids();
    if (!ready) return ready;
  }
  auto stream = ChangeStream::start(std::move(*links_->stream), name, name, *held);
  links_->stream.reset();
  if (!stream) {
    if (sqlstate_of(stream.error()) == "55006") return fail(ErrorCode::kUnavailable, stream.error().message);
    return std::unexpected(stream.error());
  }
  stream_ = std::move(*stream);
  applier_.emplace(*links_->apply, options_.move_id, tables_, *held);
  view_.is_streaming = true;
  return {};
}

Status Mover::read_messages() {
  for (int n = 0; n < kPumpMessagesMax; ++n) {
    const auto message = stream_->next();
    if (!message) return std::unexpected(message.error());
    if (!*message) return {};
    Status done = applier_->on_message(**message);
    if (!done) return done;
    if (!applier_->is_between_transactions()) continue;
    if (applier_->marker() == view_.source_attempt && view_.source == SourceStep::kFenced) return {};
    if (applier_->pending() >= kBatchRows) done = applier_->flush();
    if (!done) return done;
  }
  return {};
}

// Reads what has come, applies it, commits it; waits at most `wait_ms` for something to come.
Status Mover::pump(int wait_ms) {
  if (wait_ms > 0) wait_readable({stream_->socket()}, wait_ms);
  Status done = read_messages();
  if (done && applier_->is_between_transactions()) {
    const bool is_marker = applier_->marker() == view_.source_attempt && view_.source == SourceStep::kFenced;
    done = applier_->flush(/*is_lazy=*/is_marker);  // the flip's own commit makes it durable
    if (done && is_marker) view_.is_marker_applied = true;
  }
  report_.rows_applied = applier_->rows();
  if (done && !is_without_owner(view_)) done = confirm_to_slot();
  if (done && !is_without_owner(view_)) done = beat();
  return done;
}

// The source may forget only what the target's standbys hold too: a promoted one would miss it for ever.
Status Mover::confirm_to_slot() {
  if (Clock::now() - last_feedback_ < kFeedbackInterval) return {};
  last_feedback_ = Clock::now();
  if (unconfirmed_) {
    const auto durable = is_durable(links_->target, options_.target.standbys, unconfirmed_->second);
    if (!durable) return std::unexpected(durable.error());
    if (*durable) {
      const Status sent = stream_->send_status(unconfirmed_->first, true);
      if (!sent) return sent;
      unconfirmed_.reset();
    }
  }
  if (unconfirmed_) return {};
  const auto position = insert_position(links_->target);
  if (!position) return std::unexpected(position.error());
  unconfirmed_ = {applier_->applied(), *position};
  return {};
}

Status Mover::catch_up() {
  const Status done = pump(2);
  if (!done) return done;
  const auto end = insert_position(links_->source);
  if (!end) return std::unexpected(end.error());
  const int64_t lag = static_cast<int64_t>(end->value - stream_->received().value);
  caught_up_looks_ = lag < kFenceLagBytes ? caught_up_looks_ + 1 : 0;
  if (lag >= kFenceLagBytes) return stream_->send_status(Lsn{}, true);
  if (caught_up_looks_ >= kCaughtUpLooks) {
    caught_up_looks_ = 0;
    view_.is_caught_up = true;
  }
  return {};
}

// Empty: none.
Result<std::string> Mover::obstacle_to_fence() {
  const auto row =
      links_->source.query(kObstacles, {std::to_string(options_.range.lo), std::to_string(options_.range.hi)});
  if (!row) return std::unexpected(row.error());
  for (const auto& cell : row->rows.at(0))
    if (cell) return *cell;
  for (const auto& [link, end] : {std::pair{&links_->source, &options_.source}, {&links_->target, &options_.target}}) {
    const auto position = insert_position(*link);
    if (!position) return std::unexpected(position.error());
    const Lsn needed{position->value - std::min<uint64_t>(position->value, kFenceLagBytes)};
    const auto durable = is_durable(*link, end->standbys, needed);
    if (!durable) return std::unexpected(durable.error());
    if (!*durable) return fmt::format("a standby of shard {} is away or behind", end->id);
  }
  return std::string();
}

// Whoever watches is told what it waits for.
Status Mover::wait_out(const std::string& obstacle) {
  const auto now = Clock::now();
  report_.reason = obstacle;
  if (now - last_note_ > kNoteInterval) {
    last_note_ = now;
    options_.log("waiting: " + obstacle);
    const Status noted = links_->source.run("UPDATE shard.move SET note = $2 WHERE move_id = $1",
                                            {options_.move_id, "waiting: " + obstacle});
    if (!noted) return noted;
  }
  return pump(kFenceBackoffMs);
}

Status Mover::fence() {
  if (fence_tries_ >= options_.fence_attempts_max)
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("{} fences did not succeed in time ({}); the move stays: tidemark-shards resume or abort",
                            options_.fence_attempts_max, report_.reason));
  const auto obstacle = obstacle_to_fence();
  if (!obstacle) return std::unexpected(obstacle.error());
  view_.is_caught_up = false;  // whatever comes of this try: the next one begins with a look at the lag
  if (!obstacle->empty()) return wait_out(*obstacle);
  Status alive =
      links_->source.run("UPDATE shard.move SET note = '' WHERE move_id = $1 AND note <> ''", {options_.move_id});
  if (alive) alive = beat(true);
  if (!alive) return alive;
  if (!links_->are_plans_made) {
    if (const Status made = make_plans(); !made) return made;
    links_->are_plans_made = true;
  }
  const auto slow = rehearse();
  if (!slow) return std::unexpected(slow.error());
  if (!slow->empty()) return wait_out(*slow);
  ++fence_tries_;
  fence_began_ = Clock::now();
  const Status fenced =
      links_->fence.run("SELECT shard.move_fence($1, $2)", {options_.move_id, std::to_string(view_.source_attempt)});
  if (!fenced) {
    const std::string state = sqlstate_of(fenced.error());
    if (state != "57014" && state != "55P03" && state != "40P01") return fenced;
    ++report_.fence_timeouts;
    report_.reason = fenced.error().message;
    return pump(kFenceBackoffMs * std::min(fence_tries_, 10));
  }
  view_.source = SourceStep::kFenced;
  view_.is_marker_applied = view_.is_fence_durable = view_.is_fence_deadline_over = false;
  return write_source_log();
}

// Asks the source to bring its log to the disk: a fence does not wait for that, and is not sent before. Nobody reads
// the answer.
Status Mover::write_source_log() {
  return links_->fence.send("SELECT pg_logical_emit_message(true, 'mv', 'fence')");
}

// How long a fence's marker would take now: from a commit at the source until the target has applied what came before
// it and the standbys hold it. Empty: soon enough.
Result<std::string> Mover::rehearse() {
  const int number = ++report_.rehearsals;
  const auto start = Clock::now();
  Status done = links_->fence.run("SELECT shard.move_rehearse($1, $2)", {options_.move_id, std::to_string(number)});
  if (!done && sqlstate_of(done.error()) == "57014") return fmt::format("shard {} is busy", options_.source.id);
  if (done) done = write_source_log();
  bool is_there = false;
  while (done && !is_there && Clock::now() - start < kRehearsalLimit) {
    done = pump(kMarkerWaitMs);
    if (!done || applier_->rehearsal() != number) continue;
    const auto durable = is_durable(links_->source, options_.source.standbys, applier_->rehearsal_end());
    if (!durable) return std::unexpected(durable.error());
    is_there = *durable;
    if (!is_there) wait_readable({stream_->socket()}, kMarkerWaitMs);
  }
  if (done) done = read_target_clock();
  if (!done) return std::unexpected(done.error());
  report_.rehearsal_ms = ms_since(start);
  const auto wanted = options_.fence_deadline / 2;
  const std::string way = fmt::format("a commit at shard {} takes {:.0f} ms to the target and the standbys",
                                      options_.source.id, report_.rehearsal_ms);
  if (!is_there) return way + " or longer";
  const bool is_soon = report_.rehearsal_ms <= static_cast<double>(wanted.count());
  if (is_soon || ++slow_rehearsals_ > kSlowRehearsalsMax) {
    slow_rehearsals_ = 0;
    return std::string();
  }
  return fmt::format("{}, and at most {} are wanted", way, wanted.count());
}

// A session's first call of a function reads its text and plans every statement in it: not while writers wait. So each
// is called once beforehand, in a transaction that is rolled back in the same message.
Status Mover::make_plans() {
  const std::string call = fmt::format("('{}', {}", options_.move_id, view_.source_attempt);
  for (const auto& [link, calls] :
       {std::pair{&links_->target, fmt::format("SELECT shard.move_flip{0}, NULL); ROLLBACK; BEGIN; SELECT "
                                               "shard.move_next_attempt{0})",
                                               call)},
        std::pair{&links_->source, fmt::format("SELECT shard.move_unfence{})", call)}}) {
    const auto made = link->script("BEGIN; " + calls + "; ROLLBACK");
    if (made) continue;
    const auto ended = link->script("ROLLBACK");  // whatever stood against it is told when it is meant
    if (!ended) return std::unexpected(ended.error());
  }
  return {};
}

Status Mover::read_target_clock() {
  const auto now = links_->target.value("SELECT clock_timestamp()");
  if (!now) return std::unexpected(now.error());
  target_clock_ = *now;
  target_clock_read_ = Clock::now();
  return {};
}

Status Mover::await_marker() {
  if (!view_.is_marker_applied)
    if (const Status done = pump(kMarkerWaitMs); !done) return done;
  const bool opens_snapshot = view_.is_marker_applied && !view_.can_check_again;
  if (opens_snapshot) {
    // What the target holds at this moment is what the source is frozen at: compared after the hand-over.
    const Status asked = links_->target_reader.send(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM shard.identity");
    if (!asked) return asked;
  }
  if (view_.is_marker_applied && !view_.is_fence_durable) {
    const auto durable = is_durable(links_->source, options_.source.standbys, applier_->marker_end());
    if (!durable) return std::unexpected(durable.error());
    view_.is_fence_durable = *durable;
  }
  if (opens_snapshot) {
    const auto opened = links_->target_reader.receive();
    if (!opened) return std::unexpected(opened.error());
    view_.can_check_again = true;
  } else if (view_.is_marker_applied && !view_.is_fence_durable) {
    wait_readable({stream_->socket()}, kMarkerWaitMs);
  }
  const auto limit =
      options_.fence_deadline - (view_.is_marker_applied ? std::chrono::milliseconds(0) : kTakeBackReserve);
  view_.is_fence_deadline_over = Clock::now() - fence_began_ > limit;
  return {};
}

// The target looks at its own clock, as the last thing before it commits: a flip that comes late does not happen.
Status Mover::flip() {
  const auto not_after = std::chrono::duration_cast<std::chrono::microseconds>(fence_began_ + options_.fence_deadline -
                                                                               target_clock_read_);
  const Status done = links_->target.run(
      "SELECT shard.move_flip($1, $2, $3::timestamptz + $4::interval)",
      {options_.move_id, std::to_string(view_.source_attempt), target_clock_, fmt::format("{} us", not_after.count())});
  const std::string state = done ? "" : sqlstate_of(done.error());
  if (state == "SH009" || state == "55P03") {
    view_.is_fence_deadline_over = true;
    report_.reason = done.error().message;
    return {};
  }
  if (!done) return done;
  view_.target = TargetStep::kOwned;
  report_.blocked_ms = ms_since(fence_began_);
  report_.reason.clear();
  return {};
}

Status Mover::await_durable(PgLink& link, const ShardEnd& end, const char* what) {
  // A commit that is waited for: what was not, before it, is on the disk with it.
  const Status written = link.run("SELECT pg_logical_emit_message(true, 'mv', 'durable')");
  if (!written) return written;
  const auto position = insert_position(link);
  if (!position) return std::unexpected(position.error());
  const auto give_up = Clock::now() + kDurableLimit;
  while (true) {
    const auto durable = is_durable(link, end.standbys, *position);
    if (!durable) return std::unexpected(durable.error());
    if (*durable) return {};
    if (Clock::now() > give_up)
      return fail(
          ErrorCode::kDeadlineExceeded,
          fmt::format("a standby of shard {} does not confirm {}: bring it back, or take it out of the topology "
                      "if it cannot be promoted; then resume",
                      end.id, what));
    wait_readable({}, 1);
    if (const Status alive = beat(); !alive) return alive;
  }
}

// Of a question that may take long: the stream goes on meanwhile, and others see that we live.
Result<ResultSet> Mover::await_answer(PgLink& link, Meanwhile meanwhile) {
  const auto give_up = Clock::now() + kLongQueryLimit;
  while (PQisBusy(link.raw())) {
    Status alive;
    if (stream_ && applier_ && meanwhile == Meanwhile::kApply)
      alive = pump(0);
    else if (&link != &links_->source)
      alive = beat();
    if (!alive) return std::unexpected(alive.error());
    wait_readable({link.socket(), stream_ && meanwhile == Meanwhile::kApply ? stream_->socket() : link.socket()}, 20);
    if (PQconsumeInput(link.raw()) != 1) return std::unexpected(link.error());
    if (Clock::now() > give_up) return fail(ErrorCode::kDeadlineExceeded, "an answer did not come in time");
  }
  return link.receive();
}

}  // namespace tidemark::shards
