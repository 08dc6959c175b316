#include "tools/shards/move/mover.h"

#include <fmt/format.h>

#include <thread>

#include "base/parse.h"
#include "services/platform/kill_point.h"
#include "tools/shards/move/mover_links.h"

namespace tidemark::shards {

using namespace shardrouter;
using enum MoveAction;

namespace {

constexpr auto kBeatInterval = std::chrono::milliseconds(100);
constexpr auto kLookInterval = std::chrono::milliseconds(200);
constexpr auto kRetryInterval = std::chrono::milliseconds(100);
constexpr auto kPauseInterval = 50;  // ms, of the stream while paused

// One row. $1 the move, $2 its slot and publication, $3 the reverse ones, $4 the cleaner's origin.
constexpr const char* kSourceLook =
    "SELECT m.step, m.attempt, m.wish, m.is_held, m.checked, m.timeline <> tidemark.current_timeline(), "
    "(SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $2 AND wal_status <> 'lost'), "
    "EXISTS (SELECT FROM pg_replication_slots WHERE slot_name IN ($2, $3)) "
    "OR EXISTS (SELECT FROM pg_publication WHERE pubname IN ($2, $3)) "
    "OR EXISTS (SELECT FROM pg_replication_origin WHERE roname IN ($2, $3, $4)), "
    "EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $2) "
    "OR EXISTS (SELECT FROM pg_publication WHERE pubname = $2), coalesce(m.note, '') "
    "FROM (SELECT) one LEFT JOIN shard.move m ON m.move_id = $1";
constexpr const char* kTargetLook =
    "SELECT m.step, m.attempt, m.timeline <> tidemark.current_timeline(), "
    "(SELECT pg_replication_origin_progress(roname, true) FROM pg_replication_origin WHERE roname = $2), "
    "EXISTS (SELECT FROM pg_replication_slots WHERE slot_name IN ($2, $3)) "
    "OR EXISTS (SELECT FROM pg_publication WHERE pubname IN ($2, $3)) "
    "OR EXISTS (SELECT FROM pg_replication_origin WHERE roname IN ($2, $3, $4)), "
    "EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $3 AND wal_status <> 'lost') "
    "FROM (SELECT) one LEFT JOIN shard.move m ON m.move_id = $1";

// Done often, or while writers wait: not told one by one.
bool is_told(MoveAction action) {
  return action != kAwaitMarker && action != kFlip && action != kAwaitFlipDurable && action != kMarkMoved &&
         action != kCatchUp && action != kPause;
}

}  // namespace

Mover::Mover(MoveOptions options) : options_(std::move(options)), throttle_(options_.throttle) {}

Mover::~Mover() = default;

double Mover::ms_since(Clock::time_point start) const {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::string Mover::range_condition() const {
  return fmt::format("bucket BETWEEN {} AND {}", options_.range.lo, options_.range.hi);
}

Result<MoveReport> Mover::run() {
  started_ = last_good_ = Clock::now();
  Status done;
  while (!has_outcome_) {
    done = links_ ? Status() : connect();
    if (done) done = drive();
    if (!done) done = recover(done.error());
    if (!done) return std::unexpected(done.error());
  }
  report_.total_ms = ms_since(started_);
  return report_;
}

// Until there is an outcome, or an error.
Status Mover::drive() {
  while (!has_outcome_) {
    const MoveDecision decision = next_move_action(view_);
    if (decision.action == kFence && options_.stops_before_fence) {
      report_.outcome = "verified";
      has_outcome_ = true;
      return {};
    }
    if (is_told(decision.action))
      options_.log(
          fmt::format("{}{}{}", to_string(decision.action), decision.reason.empty() ? "" : ": ", decision.reason));
    const std::string name(to_string(decision.action));
    services::kill_point("before " + name);
    Status done = perform(decision);
    if (!done) return done;
    // A fence that only waited for somebody is none.
    if (decision.action != kFence || view_.source == SourceStep::kFenced) services::kill_point("after " + name);
    last_good_ = Clock::now();
    if (!is_without_owner(view_) && Clock::now() - last_look_ > kLookInterval) done = look();
    const bool is_urgent = is_without_owner(view_) && Clock::now() - fence_began_ < kFencedBeat;
    if (done && !is_urgent) done = beat();
    if (!done) return done;
  }
  return {};
}

// A lost server may come back; a refused or failed step before the hand-over becomes an abort; the rest is told.
Status Mover::recover(const Error& error) {
  options_.log("error: " + error.message);
  const bool is_lost = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kOutcomeUnknown;
  if (is_lost) {
    forget_volatile();
    if (Clock::now() - last_good_ > kReconnectLimit) return std::unexpected(error);
    std::this_thread::sleep_for(kRetryInterval);
    return {};
  }
  const bool is_hopeless = error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kFailedPrecondition;
  const bool is_before_flip = view_.target == TargetStep::kCopied || view_.target == TargetStep::kReserved;
  if (!links_ || !is_hopeless || !is_before_flip || sqlstate_of(error) == "SH007") return std::unexpected(error);
  const Status asked = request_abort(error.message);
  forget_volatile();
  return asked;
}

void Mover::forget_volatile() {
  stream_.reset();
  applier_.reset();
  links_.reset();
  view_ = {};
  caught_up_looks_ = 0;
  unconfirmed_.reset();
}

Status Mover::request_abort(const std::string& reason) {
  return links_->source.run("UPDATE shard.move SET wish = 'abort', note = $2 WHERE move_id = $1 AND ended_at IS NULL",
                            {options_.move_id, reason});
}

Status Mover::connect() {
  const auto open = [](const ShardEnd& end, const char* what) {
    return PgLink::connect(fmt::format("shard {} ({})", end.id, what), end.admin);
  };
  auto source = open(options_.source, "source");
  if (!source) return std::unexpected(source.error());
  auto target = open(options_.target, "target");
  if (!target) return std::unexpected(target.error());
  auto fence = open(options_.source, "fence");
  auto source_reader = open(options_.source, "source reader");
  auto target_reader = open(options_.target, "target reader");
  for (const auto* link : {&fence, &source_reader, &target_reader})
    if (!*link) return std::unexpected(link->error());
  links_ = std::make_unique<Links>(std::move(*source), std::move(*target), std::move(*fence), std::move(*source_reader),
                                   std::move(*target_reader));
  Status ready = links_->fence.run(fmt::format("SET statement_timeout = '{}ms'", options_.fence_timeout.count()));
  // Snapshots block nobody and must outlive other steps.
  if (ready) ready = links_->source_reader.run("SET idle_in_transaction_session_timeout = 0");
  if (ready) ready = links_->source_reader.run("SET statement_timeout = 0");
  if (ready) ready = links_->target_reader.run("SET idle_in_transaction_session_timeout = 0");
  if (ready) ready = links_->target_reader.run("SET statement_timeout = 0");
  if (ready) ready = take_lock();
  if (!ready) return ready;
  auto tables = read_tables(links_->source);
  if (!tables) return std::unexpected(tables.error());
  tables_ = std::move(*tables);
  ready = look();
  if (ready) ready = record_pids();
  return ready;
}

Status Mover::take_lock() {
  const auto got = links_->source.value("SELECT pg_try_advisory_lock(7002, hashtext($1))", {options_.move_id});
  if (!got) return std::unexpected(got.error());
  if (*got == "t") return {};
  const auto holder = links_->source.value(
      "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 7002 AND granted AND objsubid = 2 "
      "AND objid::bigint = hashtext($1)::bigint & 4294967295",
      {options_.move_id});
  if (!holder) return std::unexpected(holder.error());
  return end_silent_predecessor(*holder);
}

Status Mover::end_silent_predecessor(const std::string& holder) {
  const auto row = links_->source.query(
      "SELECT extract(epoch FROM clock_timestamp() - heartbeat) * 1000, step = 'fenced', pids FROM shard.move "
      "WHERE move_id = $1",
      {options_.move_id});
  if (!row) return std::unexpected(row.error());
  const std::string busy = fmt::format("another process (session {} at shard {}) drives move {}", holder,
                                       options_.source.id, options_.move_id);
  if (row->rows.empty()) return fail(ErrorCode::kFailedPrecondition, busy);
  const double silent_ms = std::strtod(row->rows[0][0].value_or("0").c_str(), nullptr);
  const auto limit = row->rows[0][1] == "t" ? kSilentFencedMax : kSilentMax;
  if (silent_ms < static_cast<double>(limit.count())) return fail(ErrorCode::kFailedPrecondition, busy);
  options_.log(fmt::format("{}, silent for {:.0f} ms: its sessions are ended", busy, silent_ms));
  for (PgLink* link : {&links_->source, &links_->target}) {
    const Status ended = link->run(
        "SELECT pg_terminate_backend(p, 1000) FROM shard.move, unnest(pids) p WHERE move_id = $1", {options_.move_id});
    if (!ended) return ended;
  }
  if (!holder.empty()) {
    const Status ended = links_->source.run("SELECT pg_terminate_backend($1::int, 1000)", {holder});
    if (!ended) return ended;
  }
  return fail(ErrorCode::kUnavailable, "the sessions of a silent process were ended; again");
}

Status Mover::record_pids() {
  std::string source = fmt::format("{{{},{},{}", links_->source.backend_pid(), links_->fence.backend_pid(),
                                   links_->source_reader.backend_pid());
  if (links_->stream) source += fmt::format(",{}", links_->stream->backend_pid());
  std::string target = fmt::format("{{{},{}", links_->target.backend_pid(), links_->target_reader.backend_pid());
  if (links_->apply) target += fmt::format(",{}", links_->apply->backend_pid());
  const std::string sql = "UPDATE shard.move SET pids = $2, heartbeat = clock_timestamp() WHERE move_id = $1";
  Status done = links_->source.run(sql, {options_.move_id, source + "}"});
  if (done) done = links_->target.run(sql, {options_.move_id, target + "}"});
  return done;
}

Status Mover::beat(bool is_forced) {
  const auto now = Clock::now();
  if (!is_forced && now - last_beat_ < kBeatInterval) return {};
  last_beat_ = now;
  const auto kept = links_->source.value(
      "UPDATE shard.move SET heartbeat = clock_timestamp(), rows_copied = greatest(rows_copied, $3), "
      "bytes_copied = greatest(bytes_copied, $4), lag_bytes = $2 WHERE move_id = $1 RETURNING "
      "(SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint FROM pg_replication_slots WHERE "
      "slot_name = $5)",
      {options_.move_id,
       stream_ ? std::optional(std::to_string(stream_->received().value - applier_->applied().value)) : std::nullopt,
       std::to_string(report_.rows_copied), std::to_string(report_.bytes_copied), stream_name(options_.move_id)});
  if (!kept) return std::unexpected(kept.error());
  throttle_.note_commit(std::chrono::duration_cast<Duration>(Clock::now() - now));
  const auto kept_bytes = parse_u64(*kept).value_or(0);
  const bool may_abort = view_.source == SourceStep::kReserved && view_.wish != MoveWish::kAbort &&
                         (view_.target == TargetStep::kReserved || view_.target == TargetStep::kCopied);
  if (!may_abort || kept_bytes <= options_.wal_max_bytes) return {};
  return fail(ErrorCode::kFailedPrecondition,
              fmt::format("the move keeps {} bytes of WAL at shard {}, {} are allowed (--wal-max): move fewer buckets "
                          "at a time, or at a quieter one",
                          kept_bytes, options_.source.id, options_.wal_max_bytes));
}

Status Mover::look() {
  const Params params{options_.move_id, stream_name(options_.move_id), reverse_name(options_.move_id),
                      cleaner_name(options_.move_id)};
  const auto at_source = links_->source.query(kSourceLook, params);
  if (!at_source) return std::unexpected(at_source.error());
  const auto at_target = links_->target.query(kTargetLook, params);
  if (!at_target) return std::unexpected(at_target.error());
  const auto& s = at_source->rows[0];
  const auto& t = at_target->rows[0];
  view_.source = parse_source_step(s[0].value_or("")).value_or(SourceStep::kNone);
  view_.source_attempt = static_cast<int>(parse_i64(s[1].value_or("1")).value_or(1));
  view_.wish = parse_move_wish(s[2].value_or("run")).value_or(MoveWish::kRun);
  view_.is_held = s[3] == "t";
  view_.second_check = s[4] ? std::optional(s[4] == "t") : std::nullopt;
  view_.has_source_timeline_changed = s[5] == "t";
  view_.has_forward_slot = s[8] == "t";
  view_.target = parse_target_step(t[0].value_or("")).value_or(TargetStep::kNone);
  view_.target_attempt = static_cast<int>(parse_i64(t[1].value_or("1")).value_or(1));
  view_.has_target_timeline_changed = t[2] == "t";
  view_.has_reverse_slot = t[5] == "t";
  view_.has_artifacts = s[7] == "t" || t[4] == "t";
  if (view_.wish == MoveWish::kAbort) report_.reason = s[9].value_or("");
  const auto confirmed = s[6] ? Lsn::parse(*s[6]) : std::nullopt;
  const auto held = t[3] ? Lsn::parse(*t[3]) : std::nullopt;
  view_.is_stream_continuous = confirmed && held && *confirmed <= *held;
  if (view_.target == TargetStep::kAborting) {
    view_.has_target_rows = false;
    for (const MovedTable& table : tables_) {
      const auto has =
          links_->target.value(fmt::format("SELECT EXISTS (SELECT FROM {} WHERE {})", table.name, range_condition()));
      if (!has) return std::unexpected(has.error());
      view_.has_target_rows = view_.has_target_rows || *has == "t";
    }
  }
  last_look_ = Clock::now();
  return {};
}

Status Mover::perform(const MoveDecision& decision) {
  const std::string& id = options_.move_id;
  const std::string attempt = std::to_string(view_.source_attempt);
  const auto then_look = [this](Status done) { return done ? look() : done; };
  switch (decision.action) {
    case kReserveSource:
      return then_look(reserve_source());
    case kReserveTarget:
      return then_look(reserve_target());
    case kCopy:
      return then_look(copy());
    case kStartStream:
      return start_stream();
    case kArmReverse:
      return then_look(arm_reverse());
    case kCatchUp:
      return catch_up();
    case kVerify:
      return verify();
    case kFence:
      return fence();
    case kAwaitMarker:
      return await_marker();
    case kFlip:
      return flip();
    case kNextAttempt:
      return next_attempt();
    case kUnfence:
      return then_look(unfence());
    case kAwaitFlipDurable: {
      const Status done = await_durable(links_->target, options_.target, "the hand-over");
      view_.is_flip_durable = done.has_value();
      return done;
    }
    case kMarkMoved: {
      const Status done = links_->source.run("SELECT shard.move_mark_moved($1)", {id});
      if (done) view_.source = SourceStep::kMoved;
      return done;
    }
    case kPublishMap: {
      const Status done = publish_map(links_->target, options_.target);
      view_.is_map_published = done.has_value();
      return then_look(done);
    }
    case kPublishSource: {
      const Status done = publish_map(links_->source, options_.source);
      view_.is_source_map_published = done.has_value();
      return then_look(done);
    }
    case kDropForward: {
      stream_.reset();
      Status done = drop_slot(links_->source, stream_name(id));
      if (done) done = drop_publication(links_->source, stream_name(id));
      return then_look(done);
    }
    case kSecondCheck:
      return second_check();
    case kStartCleaning:
      return then_look(
          links_->source.run("SELECT shard.move_start_cleaning($1, $2)",
                             {id, view_.second_check ? std::optional<std::string>("true") : std::nullopt}));
    case kClean: {
      const Status done = clean(options_.source, true);
      view_.is_source_clean = done.has_value();
      return then_look(done);
    }
    case kDropArtifacts:
      return then_look(drop_all_artifacts());
    case kFinishTarget:
      return then_look(links_->target.run("SELECT shard.move_finish($1)", {id}));
    case kFinishSource:
      return then_look(links_->source.run("SELECT shard.move_finish($1)", {id}));
    case kAbortTarget:
      return then_look(abort_target(decision.reason));
    case kAwaitAbortDurable: {
      const Status done = await_durable(links_->target, options_.target, "the abort");
      view_.is_abort_durable = done.has_value();
      return done;
    }
    case kAbortSource:
      return then_look(links_->source.run("SELECT shard.move_abort_source($1, $2)",
                                          {id, report_.reason.empty() ? decision.reason : report_.reason}));
    case kWipeTarget:
      return then_look(clean(options_.target, false));
    case kFinishAbort:
      return then_look(links_->target.run("SELECT shard.move_finish($1)", {id}));
    case kPause: {
      const Status done = stream_ ? pump(kPauseInterval) : Status();
      if (!stream_) std::this_thread::sleep_for(std::chrono::milliseconds(kPauseInterval));
      return then_look(done);
    }
    case kHold:
    case kFinished:
    case kAborted:
      report_.outcome = decision.action == kHold ? "held" : decision.action == kFinished ? "finished" : "aborted";
      has_outcome_ = true;
      return {};
    case kRefuse:
      return fail(ErrorCode::kInternal, "move " + id + ": " + decision.reason);
  }
  return {};
}

}  // namespace tidemark::shards
