#include "tools/trials/bucket_move.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "shardrouter/rebalance/move_machine.h"
#include "tools/localcluster/process.h"
#include "tools/trials/ledger_workload.h"
#include "tools/trials/native_move.h"

namespace tidemark::trials {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using localcluster::LocalCluster;
using namespace std::chrono_literals;

constexpr auto kMoveTimeout = 600s;
constexpr int kCrashTries = 5;  // of the tool, when a server it needs goes away under it

// Where a mover can be killed, in the order of its life.
const std::vector<std::string>& kill_places() {
  static const std::vector<std::string> places{"before reserve source",
                                               "after reserve source",
                                               "after reserve target",
                                               "slot created",
                                               "copying",
                                               "after copy",
                                               "after start stream",
                                               "after arm reverse stream",
                                               "after catch up",
                                               "after verify",
                                               "before fence",
                                               "after fence",
                                               "after await marker",
                                               "before flip",
                                               "after flip",
                                               "before mark moved",
                                               "after mark moved",
                                               "before publish map",
                                               "after publish map",
                                               "before second check",
                                               "after second check",
                                               "after drop forward stream",
                                               "after start cleaning",
                                               "after clean",
                                               "after drop slots and publications",
                                               "after finish target",
                                               "before finish source"};
  return places;
}

constexpr auto kQuietBefore = std::chrono::seconds(10);  // under load, with nothing moving: what writes take then

volatile std::sig_atomic_t stop_signal = 0;
// The first signal ends the trial behind the move under way, books and all; the second ends the process.
void note_signal(int signal) {
  if (stop_signal != 0) std::_Exit(128 + signal);
  stop_signal = signal;
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : -1;
}

double percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, static_cast<size_t>(p * static_cast<double>(values.size())))];
}

class Trial {
 public:
  explicit Trial(const BucketMoveArguments& arguments) : arguments_(arguments) {}
  Result<bool> run();

 private:
  Status start_cluster();
  Status move_once(uint32_t round);
  Status move_through_crash(uint32_t round);
  Status move_back_by_subscription(uint32_t round);
  Result<Json> run_tool(const std::string& program, const std::vector<std::string>& arguments,
                        const std::string& kill_at);
  std::vector<std::string> move_arguments(int target) const;
  Result<std::vector<std::string>> leftovers() const;
  Result<bool> close_books();

  const BucketMoveArguments& arguments_;
  fs::path directory_;
  std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<LedgerWorkload> workload_;
  int owner_ = 0;
  uint32_t rounds_done_ = 0;
  std::vector<double> blocked_ms_, taken_back_ms_, rehearsals_ms_, copy_rates_, stalls_ms_, resume_ms_, loads_;
  std::vector<double> native_blocked_ms_, native_rates_, native_stalls_ms_;
  int64_t fence_timeouts_ = 0, kills_ = 0;
};

Status Trial::start_cluster() {
  std::string pattern = arguments_.directory.empty() ? "/var/tmp/tidemark-trial-XXXXXX" : arguments_.directory;
  if (arguments_.directory.empty() && !::mkdtemp(pattern.data()))
    return fail(ErrorCode::kUnavailable, "no temporary directory");
  directory_ = pattern;
  fs::create_directories(directory_);
  std::ofstream(directory_ / "schema.sql") << kSchemaSql;
  localcluster::Options options;
  options.directory = directory_ / "cluster";
  options.shards = 2;
  options.replicas = 1;
  options.nodes = 0;
  options.with_invalidator = false;
  options.fsync = arguments_.fsync;
  options.schema_files = {directory_ / "schema.sql"};
  options.tables = schema_tables();
  options.stop_on_destroy = true;
  auto created = LocalCluster::create(options);
  if (!created) return std::unexpected(created.error());
  cluster_ = std::make_unique<LocalCluster>(std::move(*created));
  return cluster_->start();
}

std::vector<std::string> Trial::move_arguments(int target) const {
  return {"move",
          "--shards",
          (cluster_->directory() / "shards.json").string(),
          "--topology",
          cluster_->topology_address(),
          "--buckets",
          fmt::format("0-{}", arguments_.buckets - 1),
          "--to",
          std::to_string(target),
          "--format",
          "json"};
}

// What the tool printed, or an error; killed: null.
Result<Json> Trial::run_tool(const std::string& program, const std::vector<std::string>& arguments,
                             const std::string& kill_at) {
  const fs::path out = directory_ / "move.json";
  const fs::path log = directory_ / "move.log";
  std::string command;
  for (const std::string& word : arguments) command += " '" + word + "'";
  command = fmt::format("exec {} {} > '{}'", cluster_->binary(program).string(), command, out.string());
  localcluster::Environment environment;
  if (!kill_at.empty()) environment.emplace_back("TIDEMARK_KILL_AT", kill_at);
  const Status done = localcluster::run_to_end({{"sh", "-c", command}, log, environment}, kMoveTimeout);
  if (!kill_at.empty() && !done) return Json();
  if (!done) return std::unexpected(done.error());
  std::ifstream file(out);
  const Json json = Json::parse(file, nullptr, false);
  if (json.is_discarded()) return fail(ErrorCode::kInternal, "the tool printed no JSON: " + out.string());
  return json;
}

Status Trial::move_once(uint32_t round) {
  const int target = 1 - owner_;
  workload_->stall_ms_since_last_asked();
  std::string place;
  if (arguments_.kill_every_step) {
    place = kill_places()[round % kill_places().size()];
    // Without a guardian: here the same command again is what goes on.
    auto alone = move_arguments(target);
    alone.push_back("--no-guardian");
    const auto killed = run_tool("tidemark-shards-killable", alone, place);
    if (!killed) return std::unexpected(killed.error());
    if (killed->is_null())
      ++kills_;
    else {
      fmt::print("round {:>3}: \"{}\" was not passed\n", round + 1, place);
      owner_ = target;
      return {};
    }
  }
  const auto start = std::chrono::steady_clock::now();
  // Killed before it began, or after it was over: the command again is a new move, or none.
  auto report = run_tool("tidemark-shards", move_arguments(target), "");
  if (!report && report.error().message.find("are on shard") == std::string::npos)
    return std::unexpected(report.error());
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  owner_ = target;
  stalls_ms_.push_back(workload_->stall_ms_since_last_asked());
  loads_.push_back(load_average());
  if (!report) return {};
  if (report->value("outcome", "") != "finished")
    return fail(ErrorCode::kInternal,
                "a move was " + report->value("outcome", "?") + ": " + report->value("reason", ""));
  if (!place.empty()) resume_ms_.push_back(took.count());
  const double blocked = report->value("blocked_ms", 0.0);
  if (blocked > 0 && place.empty()) blocked_ms_.push_back(blocked);
  for (const auto& ms : (*report)["taken_back_ms"]) taken_back_ms_.push_back(ms.get<double>());
  rehearsals_ms_.push_back(report->value("rehearsal_ms", 0.0));
  fence_timeouts_ += report->value("fence_timeouts", 0);
  const double copy_ms = report->value("copy_ms", 0.0);
  const double rate = copy_ms > 0 ? static_cast<double>(report->value("rows_copied", int64_t{0})) / copy_ms * 1e3 : 0;
  if (rate > 0) copy_rates_.push_back(rate);
  fmt::print(
      "round {:>3}: {}{:.0f} rows/s, blocked {:.1f} ms, taken back {}, stall {:.1f} ms, {:.0f} ms in all, load "
      "{:.1f}\n",
      round + 1, place.empty() ? "" : "killed at \"" + place + "\", resumed: ", rate, blocked,
      (*report)["taken_back_ms"].size(), stalls_ms_.back(), took.count(), loads_.back());
  std::fflush(stdout);
  return {};
}

// The tool goes on by itself when a server comes back; where it leaves with an error, the same command must go on.
Status Trial::move_through_crash(uint32_t round) {
  const int target = 1 - owner_;
  const std::string victim = fmt::format("s{}-primary", round / 2 % 2 == 0 ? owner_ : target);
  const auto delay = std::chrono::milliseconds(100 + (round * 211) % 1900);
  const auto arguments = move_arguments(target);
  const auto start = std::chrono::steady_clock::now();
  auto moving = std::async(std::launch::async, [&] { return run_tool("tidemark-shards", arguments, ""); });
  std::this_thread::sleep_for(delay);
  Status done = cluster_->pg_stop(victim, localcluster::StopMode::kImmediate);
  if (done) done = cluster_->start(victim);
  auto report = moving.get();
  if (!done) return done;
  int tries = 1;
  while (!report && tries < kCrashTries && report.error().message.find("are on shard") == std::string::npos) {
    std::this_thread::sleep_for(500ms);
    report = run_tool("tidemark-shards", arguments, "");
    ++tries;
  }
  if (!report && report.error().message.find("are on shard") == std::string::npos)
    return std::unexpected(report.error());
  ++kills_;
  owner_ = target;
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  resume_ms_.push_back(took.count());
  stalls_ms_.push_back(workload_->stall_ms_since_last_asked());
  loads_.push_back(load_average());
  fmt::print("round {:>3}: {} stopped after {} ms, {} tries, stall {:.0f} ms, {:.0f} ms in all\n", round + 1, victim,
             delay.count(), tries, stalls_ms_.back(), took.count());
  std::fflush(stdout);
  return {};
}

Status Trial::move_back_by_subscription(uint32_t round) {
  const int target = 1 - owner_;
  workload_->stall_ms_since_last_asked();
  const auto admin = [&](int shard) { return cluster_->admin_conninfo(fmt::format("s{}-primary", shard)); };
  const auto report = move_by_subscription({.source_admin = admin(owner_),
                                            .target_admin = admin(target),
                                            .source = owner_,
                                            .target = target,
                                            .bucket_lo = 0,
                                            .bucket_hi = static_cast<int>(arguments_.buckets) - 1,
                                            .tables = schema_tables()});
  if (!report) return std::unexpected(report.error());
  owner_ = target;
  native_blocked_ms_.push_back(report->blocked_ms);
  native_rates_.push_back(static_cast<double>(report->rows) / report->copy_ms * 1e3);
  native_stalls_ms_.push_back(workload_->stall_ms_since_last_asked());
  fmt::print("round {:>3}: by subscription {:.0f} rows/s, blocked {:.1f} ms, stall {:.1f} ms, {:.0f} ms in all\n",
             round + 1, native_rates_.back(), report->blocked_ms, native_stalls_ms_.back(), report->total_ms);
  std::fflush(stdout);
  return {};
}

// Slots, publications, origins and unfinished moves: there must be none.
Result<std::vector<std::string>> Trial::leftovers() const {
  std::vector<std::string> found;
  for (int shard = 0; shard < 2; ++shard) {
    const auto text =
        cluster_->psql(fmt::format("s{}-primary", shard),
                       "SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE slot_name LIKE 'mv%' UNION ALL "
                       "SELECT 'publication ' || pubname FROM pg_publication WHERE pubname LIKE 'mv%' UNION ALL "
                       "SELECT 'origin ' || roname FROM pg_replication_origin WHERE roname LIKE 'mv%' UNION ALL "
                       "SELECT 'move ' || move_id || ' ' || step FROM shard.move WHERE ended_at IS NULL");
    if (!text) return std::unexpected(text.error());
    if (!text->empty()) found.push_back(fmt::format("shard {}: {}", shard, *text));
  }
  return found;
}

Result<bool> Trial::close_books() {
  workload_->stop();
  const auto result = workload_->verify();
  if (!result) return std::unexpected(result.error());
  const auto left = leftovers();
  if (!left) return std::unexpected(left.error());
  const std::string owned =
      cluster_
          ->psql(fmt::format("s{}-primary", owner_),
                 fmt::format("SELECT count(*) FROM shard.bucket WHERE bucket < {} AND state = 'owned'",
                             arguments_.buckets))
          .value_or("?");
  const bool is_clean = result->is_clean() && left->empty() && owned == std::to_string(arguments_.buckets);
  Json json{{"rounds", rounds_done_},
            {"stopped_early", rounds_done_ < arguments_.rounds},
            {"buckets", arguments_.buckets},
            {"rows", arguments_.rows * 3},
            {"copy_rows_per_s", percentile(copy_rates_, 0.5)},
            {"blocked_ms",
             {{"median", percentile(blocked_ms_, 0.5)},
              {"p99", percentile(blocked_ms_, 0.99)},
              {"max", percentile(blocked_ms_, 1)},
              {"count", blocked_ms_.size()}}},
            {"stall_ms", {{"median", percentile(stalls_ms_, 0.5)}, {"p99", percentile(stalls_ms_, 0.99)}}},
            {"other_write_ms_p99", result->other_ms_p99},
            {"other_write_ms_p99_before", result->other_ms_p99_before},
            {"attempts_taken_back", taken_back_ms_.size()},
            {"taken_back_ms",
             {{"median", percentile(taken_back_ms_, 0.5)},
              {"p99", percentile(taken_back_ms_, 0.99)},
              {"max", percentile(taken_back_ms_, 1)}}},
            {"rehearsal_ms", {{"median", percentile(rehearsals_ms_, 0.5)}, {"p99", percentile(rehearsals_ms_, 0.99)}}},
            {"fence_timeouts", fence_timeouts_},
            {"kills", kills_},
            {"resume_ms", {{"median", percentile(resume_ms_, 0.5)}, {"max", percentile(resume_ms_, 1)}}},
            {"writes", result->writes},
            {"reads", result->reads},
            {"unknown_outcomes", result->unknown},
            {"lost", result->lost},
            {"duplicated", result->duplicated},
            {"stale_reads", result->stale_reads},
            {"both_own", result->both_own},
            {"looks", result->looks},
            {"left_over", *left},
            {"findings", result->findings},
            {"fsync", arguments_.fsync},
            {"load", {{"median", percentile(loads_, 0.5)}, {"max", percentile(loads_, 1)}}}};
  if (arguments_.beside_subscription)
    json["subscription"] = {
        {"copy_rows_per_s", percentile(native_rates_, 0.5)},
        {"blocked_ms",
         {{"median", percentile(native_blocked_ms_, 0.5)},
          {"p99", percentile(native_blocked_ms_, 0.99)},
          {"max", percentile(native_blocked_ms_, 1)}}},
        {"stall_ms", {{"median", percentile(native_stalls_ms_, 0.5)}, {"p99", percentile(native_stalls_ms_, 0.99)}}}};
  fmt::print("{}\n", json.dump(2));
  if (!arguments_.json.empty()) std::ofstream(arguments_.json) << json.dump(2) << "\n";
  return is_clean;
}

Result<bool> Trial::run() {
  Status done = start_cluster();
  if (!done) return std::unexpected(done.error());
  WorkloadOptions options = LedgerWorkload::options_for(*cluster_);
  options.bucket_lo = 0;
  options.bucket_hi = static_cast<int>(arguments_.buckets) - 1;
  options.writes_per_second = arguments_.writes;
  options.reads_per_second = arguments_.reads;
  workload_ = std::make_unique<LedgerWorkload>(options);
  done = workload_->fill(static_cast<int64_t>(arguments_.rows / arguments_.buckets));
  if (done) done = workload_->start();
  std::signal(SIGINT, note_signal);
  std::signal(SIGTERM, note_signal);
  if (done) std::this_thread::sleep_for(kQuietBefore);
  workload_->moves_begin();
  for (uint32_t round = 0; done && round < arguments_.rounds && stop_signal == 0; ++round) {
    done = arguments_.crash_servers ? move_through_crash(round) : move_once(round);
    if (done && arguments_.beside_subscription) done = move_back_by_subscription(round);
    std::fflush(stdout);
    ++rounds_done_;
  }
  if (!done) {
    fmt::print(stderr, "see {}\n", (directory_ / "move.log").string());
    return std::unexpected(done.error());
  }
  const auto is_clean = close_books();
  workload_.reset();
  cluster_.reset();
  if (is_clean && *is_clean && arguments_.directory.empty()) fs::remove_all(directory_);
  return is_clean;
}

}  // namespace

Result<bool> run_bucket_move(const BucketMoveArguments& arguments) {
  return Trial(arguments).run();
}

}  // namespace tidemark::trials
