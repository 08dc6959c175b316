#include "tools/shards/watchdog/watchdog.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "tools/shards/move/move_registry.h"
#include "tools/shards/watchdog/shard_watch.h"

namespace tidemark::shards {
namespace {

using namespace shardrouter;
using Clock = std::chrono::steady_clock;

// A move that is driven here, or was and has to wait for its next try.
struct Driven {
  std::jthread thread;
  std::atomic<bool> is_over{false};
  bool is_waiting = false;  // for next_try
  Clock::time_point next_try;
  std::chrono::milliseconds pause = Watchdog::kRetryFirst;
};

struct Counters {
  std::atomic<uint64_t> looks{0}, taken_over{0}, finished{0}, given_up{0}, failed{0};
  std::atomic<size_t> live{0}, driven{0};
};

class WatchdogImpl final : public Watchdog {
 public:
  WatchdogImpl(WatchdogOptions options, const std::vector<ShardEnd>& ends, io::Log log)
      : options_(std::move(options)), log_(std::move(log)) {
    watch(ends);
  }

  void run(const std::function<bool()>& is_stopping) override {
    while (!is_stopping()) {
      if (Clock::now() >= next_read_) read_shards();
      decide();
      std::this_thread::sleep_for(kLookInterval);
    }
    const auto give_up = Clock::now() + kStopLimit;
    while (is_any_fenced() && Clock::now() < give_up) std::this_thread::sleep_for(kLookInterval / 10);
  }

  std::vector<io::MetricFamily> metrics() const override {
    using enum io::MetricFamily::Kind;
    const auto one = [](const char* name, const char* help, io::MetricFamily::Kind kind, uint64_t value) {
      return io::MetricFamily{name, help, kind, {{.value = static_cast<double>(value)}}};
    };
    std::vector<io::MetricFamily> all{
        one("tidemark_watchdog_looks_total", "Rounds of decisions.", kCounter, counters_.looks),
        one("tidemark_watchdog_moves", "Bucket moves under way.", kGauge, counters_.live),
        one("tidemark_watchdog_moves_driven", "Bucket moves driven by this process.", kGauge, counters_.driven),
        one("tidemark_watchdog_taken_over_total", "Moves that nobody drove any more.", kCounter, counters_.taken_over)};
    all.push_back({"tidemark_watchdog_outcomes_total",
                   "How the moves taken over went.",
                   kCounter,
                   {{.labels = {{"outcome", "finished"}}, .value = static_cast<double>(counters_.finished)},
                    {.labels = {{"outcome", "given_up"}}, .value = static_cast<double>(counters_.given_up)},
                    {.labels = {{"outcome", "failed"}}, .value = static_cast<double>(counters_.failed)}}});
    io::MetricFamily answers{"tidemark_watchdog_shard_answers", "1: the shard answers.", kGauge, {}};
    for (const auto& shard : shards())
      answers.samples.push_back(
          {.labels = {{"shard", std::to_string(shard->id())}}, .value = shard->error().empty() ? 1.0 : 0.0});
    all.push_back(std::move(answers));
    return all;
  }

  std::vector<std::string> unanswered() const override {
    std::vector<std::string> all;
    for (const auto& shard : shards())
      if (std::string error = shard->error(); !error.empty()) all.push_back(std::move(error));
    return all;
  }

 private:
  struct Sides {
    std::optional<SeenMove> source, target;
    ShardId source_shard = 0;
  };

  using Shards = std::vector<std::shared_ptr<ShardWatch>>;
  Shards shards() const {
    const std::scoped_lock lock(mutex_);
    return shards_;
  }

  // Shards come, go, and have other primaries.
  void read_shards() {
    next_read_ = Clock::now() + kReadInterval;
    const auto ends = read_ends(options_.shards_file, options_.topology);
    const std::string error = ends ? "" : ends.error().message;
    if (error != read_error_ && !error.empty())
      log_.error("the shards cannot be read; the ones known are watched", {{"error", error}});
    read_error_ = error;
    if (ends) watch(*ends);
  }

  void watch(const std::vector<ShardEnd>& ends) {
    const Shards before = shards();
    Shards now;
    for (const ShardEnd& end : ends) {
      const auto known = std::ranges::find_if(before, [&](const auto& one) { return one->leads_to(end); });
      now.push_back(known != before.end()
                        ? *known
                        : std::make_shared<ShardWatch>(end, kLookInterval, kReconnectInterval, kAnswerLimit));
    }
    const std::scoped_lock lock(mutex_);
    shards_ = std::move(now);
  }

  // What both sides say, of moves whose shards both answer.
  std::map<std::string, Sides> look() const {
    std::map<ShardId, std::vector<SeenMove>> seen;
    for (const auto& shard : shards())
      if (auto moves = shard->newest()) seen.emplace(shard->id(), std::move(*moves));
    std::map<std::string, Sides> all;
    for (auto& [shard, moves] : seen)
      for (SeenMove& move : moves) {
        if (!seen.contains(move.peer)) continue;
        Sides& sides = all[move.move_id];
        if (move.is_source) sides.source_shard = shard;
        (move.is_source ? sides.source : sides.target) = std::move(move);
      }
    return all;
  }

  void decide() {
    ++counters_.looks;
    const auto moves = look();
    forget_the_done(moves);
    size_t live = 0;
    for (const auto& [id, sides] : moves) {
      if (!sides.source) continue;
      const WatchedMove move{.source = parse_source_step(sides.source->step).value_or(SourceStep::kNone),
                             .target = sides.target ? parse_target_step(sides.target->step).value_or(TargetStep::kNone)
                                                    : TargetStep::kNone,
                             .wish = sides.source->wish,
                             .is_held = sides.source->is_held,
                             .silent = sides.source->silent};
      live += move.source < SourceStep::kDone;
      if (const auto decision = decide_on(move, options_.limits); decision.action != WatchdogAction::kLeave)
        take_over(id, decision);
    }
    counters_.live = live;
    counters_.driven =
        static_cast<size_t>(std::ranges::count_if(driven_, [](const auto& one) { return !one.second->is_waiting; }));
  }

  void take_over(const std::string& id, WatchdogDecision decision) {
    auto& driven = driven_[id];
    if (driven && (!driven->is_waiting || Clock::now() < driven->next_try)) return;
    const auto busy =
        std::ranges::count_if(driven_, [](const auto& one) { return one.second && !one.second->is_waiting; });
    if (!driven) driven = std::make_unique<Driven>();
    if (static_cast<size_t>(busy) >= kDrivenMax) {
      driven->is_waiting = true;  // its turn comes when another has ended
      return;
    }
    driven->is_waiting = false;
    driven->is_over = false;
    ++counters_.taken_over;
    log_.warn(decision.action == WatchdogAction::kGiveUp ? "giving up a move" : "going on with a move",
              {{"move", id}, {"reason", decision.reason}});
    driven->thread = std::jthread([this, id, decision, one = driven.get()] {
      drive(id, decision);
      one->is_over = true;
    });
  }

  void forget_the_done(const std::map<std::string, Sides>& moves) {
    for (auto& [id, one] : driven_) {
      if (!one->is_over || one->is_waiting) continue;
      one->thread.join();
      one->is_waiting = true;
      one->next_try = Clock::now() + one->pause;
      one->pause = std::min<std::chrono::milliseconds>(one->pause * 2, kRetryMax);
    }
    std::erase_if(driven_, [&](const auto& one) { return one.second->is_waiting && !moves.contains(one.first); });
  }

  void drive(const std::string& id, WatchdogDecision decision) {
    const auto report = drive_once(id, decision);
    if (!report) {
      ++counters_.failed;
      log_.error("a move could not be driven; it is tried again", {{"move", id}, {"error", report.error().message}});
      return;
    }
    ++(report->outcome == "aborted" ? counters_.given_up : counters_.finished);
    log_.info("a move ended",
              {{"move", id}, {"outcome", report->outcome}, {"reason", report->reason}, {"ms", report->total_ms}});
  }

  Result<MoveReport> drive_once(const std::string& id, WatchdogDecision decision) {
    const auto ends = read_ends(options_.shards_file, options_.topology);
    if (!ends) return std::unexpected(ends.error());
    const auto moves = read_moves(*ends);
    if (!moves) return std::unexpected(moves.error());
    const auto row = find_live_move(*moves, id);
    if (!row) return std::unexpected(row.error());
    auto options = options_of(*row, *ends, options_.topology);
    if (!options) return std::unexpected(options.error());
    if (decision.action == WatchdogAction::kGiveUp)
      if (const Status asked = ask_to_abort(*options, decision.reason); !asked) return std::unexpected(asked.error());
    options->log = [this, id](const std::string& line) { log_.info("move", {{"move", id}, {"step", line}}); };
    return Mover(std::move(*options)).run();
  }

  // Unless somebody drives it again.
  Status ask_to_abort(const MoveOptions& options, std::string_view reason) {
    auto link = PgLink::connect(fmt::format("shard {}", options.source.id), options.source.admin);
    if (!link) return std::unexpected(link.error());
    return link->run(
        "UPDATE shard.move SET wish = 'abort', note = $2 WHERE move_id = $1 AND role = 'source' AND step = 'reserved' "
        "AND wish = 'run' AND heartbeat < clock_timestamp() - $3::interval",
        {options.move_id, std::string(reason), fmt::format("{} ms", to_millis(options_.limits.abandoned_after))});
  }

  bool is_any_fenced() const {
    for (const auto& [id, sides] : look()) {
      const auto one = driven_.find(id);
      const bool is_driven = one != driven_.end() && !one->second->is_waiting && !one->second->is_over;
      if (is_driven && sides.source && sides.source->step == "fenced") return true;
    }
    return false;
  }

  const WatchdogOptions options_;
  const io::Log log_;
  Counters counters_;
  mutable std::mutex mutex_;
  Shards shards_;
  Clock::time_point next_read_ = Clock::now() + kReadInterval;  // this and the rest: run()'s thread
  std::string read_error_;
  std::map<std::string, std::unique_ptr<Driven>> driven_;
};

}  // namespace

Result<std::unique_ptr<Watchdog>> Watchdog::start(WatchdogOptions options, io::Log log) {
  const auto ends = read_ends(options.shards_file, options.topology);
  if (!ends) return std::unexpected(ends.error());
  return std::make_unique<WatchdogImpl>(std::move(options), *ends, std::move(log));
}

}  // namespace tidemark::shards
