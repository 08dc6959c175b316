#include "tools/trials/native_move.h"

#include <fmt/format.h>

#include <functional>

#include "base/parse.h"
#include "tools/shards/move/pg_link.h"

namespace tidemark::trials {
namespace {

using Clock = std::chrono::steady_clock;
using shards::PgLink;

constexpr const char* kName = "native_move";
constexpr int kPollMs = 5;
constexpr int64_t kLagBytes = 64 << 10;  // as for our own fence
constexpr int kCleanBatchRows = 1000;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

class NativeMove {
 public:
  NativeMove(const NativeMoveOptions& options, PgLink source, PgLink target)
      : options_(options),
        source_(std::move(source)),
        target_(std::move(target)),
        range_(fmt::format("bucket BETWEEN {} AND {}", options.bucket_lo, options.bucket_hi)) {}

  Result<NativeMoveReport> run() {
    const auto start = Clock::now();
    Status done = subscribe();
    if (done) done = await_copies();
    report_.copy_ms = ms_since(start);
    if (done) done = await_replay(kLagBytes);
    if (done) done = hand_over();
    if (done) done = clean_up();
    if (!done) return std::unexpected(done.error());
    report_.total_ms = ms_since(start);
    return report_;
  }

 private:
  Status subscribe() {
    std::string list;
    for (const std::string& table : options_.tables)
      list += fmt::format("{}{} WHERE ({})", list.empty() ? "" : ", ", table, range_);
    Status done = source_.run(fmt::format("CREATE PUBLICATION {} FOR TABLE {}", kName, list));
    if (done)
      done = target_.run(fmt::format("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {}", kName,
                                     target_.quote_text(options_.source_admin), kName));
    return done;
  }

  Status await(const char* what, int poll_ms, const std::function<Result<bool>()>& condition) {
    const auto give_up = Clock::now() + kNativeMoveLimit;
    while (true) {
      const auto holds = condition();
      if (!holds) return std::unexpected(holds.error());
      if (*holds) return {};
      if (Clock::now() > give_up) return fail(ErrorCode::kDeadlineExceeded, std::string("subscription: ") + what);
      if (poll_ms > 0) shards::wait_readable({}, poll_ms);
    }
  }

  Status await_copies() {
    Status done = await("the copies do not end", kPollMs, [this]() -> Result<bool> {
      const auto left = target_.value("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'");
      if (!left) return std::unexpected(left.error());
      return *left == "0";
    });
    for (const std::string& table : options_.tables) {
      if (!done) return done;
      const auto rows = target_.value(fmt::format("SELECT count(*) FROM {} WHERE {}", table, range_));
      if (!rows) return std::unexpected(rows.error());
      report_.rows += parse_i64(*rows).value_or(0);
    }
    return done;
  }

  // Until the subscriber has applied all but so many bytes of the source's log.
  Status await_replay(int64_t lag, const std::string& position = "pg_current_wal_insert_lsn()") {
    const std::string sql = fmt::format(
        "SELECT coalesce(min(pg_wal_lsn_diff({}, replay_lsn)), 9e15) <= {} FROM pg_stat_replication WHERE "
        "application_name = '{}'",
        position, lag, kName);
    return await("it does not keep up", lag > 0 ? kPollMs : 0, [&]() -> Result<bool> {
      const auto is_there = source_.value(sql);
      if (!is_there) return std::unexpected(is_there.error());
      return *is_there == "t";
    });
  }

  Status hand_over() {
    const auto start = Clock::now();
    const auto fenced = source_.script(fmt::format(
        "BEGIN; SELECT pg_advisory_xact_lock(7001, b) FROM generate_series({0}, {1}) b; "
        "SELECT FROM shard.bucket WHERE {2} FOR UPDATE; "
        "UPDATE shard.bucket SET state = 'fenced', epoch = epoch + 1, forward = '{3}' WHERE {2} AND state = 'owned'; "
        "COMMIT; SELECT pg_current_wal_insert_lsn()",
        options_.bucket_lo, options_.bucket_hi, range_, options_.target));
    if (!fenced) return std::unexpected(fenced.error());
    Status done = await_replay(0, fmt::format("'{}'::pg_lsn", fenced->rows.at(0).at(0).value_or("")));
    const auto epochs = source_.value(fmt::format("SELECT max(epoch) FROM shard.bucket WHERE {}", range_));
    if (!epochs) return std::unexpected(epochs.error());
    const int64_t epoch = parse_i64(*epochs).value_or(0) + 1;
    if (done)
      done = target_.run(fmt::format(
          "UPDATE shard.bucket SET state = 'owned', epoch = {}, forward = NULL WHERE {} AND state <> 'owned'", epoch,
          range_));
    report_.blocked_ms = ms_since(start);
    if (done)
      done = source_.run(fmt::format(
          "UPDATE shard.bucket SET state = 'moved', epoch = {} WHERE {} AND state = 'fenced'", epoch, range_));
    return done;
  }

  Status clean_up() {
    Status done = target_.run(fmt::format("DROP SUBSCRIPTION {}", kName));
    if (done) done = source_.run(fmt::format("DROP PUBLICATION {}", kName));
    if (done) done = source_.run("SET session_replication_role = 'replica'");
    for (auto table = options_.tables.rbegin(); done && table != options_.tables.rend(); ++table) {
      for (int64_t deleted = kCleanBatchRows; deleted == kCleanBatchRows;) {
        const auto batch = source_.query(
            fmt::format("DELETE FROM {0} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {0} WHERE {1} LIMIT {2}))", *table,
                        range_, kCleanBatchRows));
        if (!batch) return std::unexpected(batch.error());
        deleted = batch->rows_affected;
      }
    }
    return done;
  }

  const NativeMoveOptions& options_;
  PgLink source_, target_;
  std::string range_;
  NativeMoveReport report_;
};

}  // namespace

Result<NativeMoveReport> move_by_subscription(const NativeMoveOptions& options) {
  auto source = PgLink::connect(fmt::format("shard {}", options.source), options.source_admin);
  if (!source) return std::unexpected(source.error());
  auto target = PgLink::connect(fmt::format("shard {}", options.target), options.target_admin);
  if (!target) return std::unexpected(target.error());
  return NativeMove(options, std::move(*source), std::move(*target)).run();
}

}  // namespace tidemark::trials
