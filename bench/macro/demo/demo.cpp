#include "bench/macro/demo/demo.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/macro/demo/demo_cluster.h"
#include "bench/macro/demo/fault_script.h"
#include "bench/macro/demo/figures.h"
#include "bench/macro/demo/judge.h"
#include "bench/macro/demo/judge_customers.h"
#include "bench/macro/demo/plants.h"
#include "bench/macro/demo/third_shard.h"
#include "bench/macro/io/http_get.h"

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kExitWrong = 3;
constexpr seconds kCommitsTimeout{30};
constexpr const char* kRun = "run";
constexpr const char* kBypass = "bypass";

std::string in_seconds(Duration duration) {
  return fmt::format("{}", static_cast<double>(duration.count()) / 1e6);
}

class Demo {
 public:
  explicit Demo(const DemoConfig& config) : config_(config), cluster_(config, progress_) {}

  Result<int> run() {
    Status status = cluster_.start();
    if (status) status = cluster_.fill();
    if (status) status = load();
    if (status) status = load_without_cache();
    if (status) status = reach_verdict();
    if (status && config_.then == "add-shard") status = add_a_shard();
    if (!config_.keep || !status) {
      cluster_.drop_commit_reader();
      if (cluster_.is_started()) {
        progress_.say("stopping the cluster");
        if (auto stopped = cluster_.stop(); status && !stopped) status = stopped;
      }
    }
    if (!status) return std::unexpected(status.error());
    fmt::print("\n{}\n{}  {}\n", summary_.to_table(), added_ ? added_->to_table() : "",
               (config_.directory / "summary.json").string());
    if (config_.keep) fmt::print("\n{}", cluster_.lines_to_try());
    const bool is_right = summary_.violations().empty() && (!added_ || added_->violations().empty());
    return is_right ? 0 : kExitWrong;
  }

 private:
  // Warm-up and measured run, with everything that happens meanwhile.
  Status load() {
    if (auto status = cluster_.plant(); !status) return status;
    auto slots = cluster_.slots_of(DemoCluster::kNode);
    if (!slots) return std::unexpected(slots.error());
    writer_ = cluster_.start_row_writer();
    auto shop = cluster_.start_shop({"--warmup", in_seconds(config_.warmup), "--seconds", in_seconds(config_.seconds),
                                     "--cold", in_seconds(config_.cold), "--seed", std::to_string(config_.seed)},
                                    kRun);
    if (!shop) return std::unexpected(shop.error());
    std::unique_ptr<FaultScript> faults;
    while (!shop->is_ended()) {
      if (config_.is_interrupted()) return interrupted();
      const auto line = shop->read_line(milliseconds(500));
      if (!line) continue;
      const auto second = nlohmann::json::parse(*line, nullptr, false);
      if (!second.is_object()) continue;
      show(second);
      if (faults == nullptr && second.value("phase", "") == "run") {
        if (auto status = take_counters(before_); !status) return status;
        lag_.begin_stretch(before_.nodes);
        faults = start_faults(std::move(*slots));
      }
    }
    if (config_.is_interrupted()) return interrupted();  // the shop hears Ctrl-C too, and ends early
    const auto exit_code = shop->wait(seconds(10));
    if (faults != nullptr) faults_ = faults->finish();
    writer_->stop();
    if (!exit_code) return std::unexpected(exit_code.error());
    if (*exit_code != 0)
      return fail(ErrorCode::kInternal, fmt::format("tidemark-shop ended with {}; see {}", *exit_code,
                                                    (config_.directory / "shop-run.log").string()));
    if (!faults_.status) return faults_.status;
    if (auto status = take_counters(after_); !status) return status;
    auto report = cluster_.shop_report(kRun);
    if (!report) return std::unexpected(report.error());
    summary_.shop = std::move(*report);
    return {};
  }

  std::unique_ptr<FaultScript> start_faults(std::vector<bool> slots) {
    return FaultScript::start(
        cluster_.local(),
        {.run_length = config_.seconds,
         .node = DemoCluster::kNode,
         .replica = DemoCluster::kReplica,
         .relay = cluster_.has_customers() ? DemoCluster::kRelay : "",
         .crashes_primary = config_.plant == Plant::kLost,
         .node_slots = std::move(slots),
         .before_kill = [this](const std::string& process) { remember_killed(process); },
         .before_crash = [this] { return stop_writing_the_log(cluster_.local(), DemoCluster::kPrimary); },
         .after_start = [this](const std::string& process) { remember_started(process); },
         .is_saga_under_way = [this] { return cluster_.shop_database().is_saga_under_way(); },
         .on_event = [this](const std::string& text) { events_.put(text); }});
  }

  // What a process had counted is lost with it. On the script's thread; read after its finish().
  void remember_killed(const std::string& name) {
    const auto process = cluster_.local().process(name);
    auto metrics = process ? read_metrics(process->metrics_port) : std::unexpected(process.error());
    if (!metrics) return;
    killed_[name] = std::move(*metrics);
    if (name == DemoCluster::kNode) lag_.end_stretch({{name, killed_[name]}});
    if (name == DemoCluster::kInvalidator) change_stretch(lag_, lag_without_invalidator_);
  }

  // While the invalidator is away, and until the nodes have caught up, lag is a figure of its own.
  void remember_started(const std::string& name) {
    if (name != DemoCluster::kInvalidator) return;
    if (const Status settled = cluster_.settle(); !settled)
      events_.put(fmt::format("after the start of {}: {}", name, settled.error().to_string()));
    change_stretch(lag_without_invalidator_, lag_);
  }
  void change_stretch(LagReadings& from, LagReadings& to) {
    const auto now = cluster_.read_counters();
    if (!now) return events_.put(fmt::format("the lag is not complete: {}", now.error().to_string()));
    from.end_stretch(now->nodes);
    to.begin_stretch(now->nodes);
  }

  void show(const nlohmann::json& second) {
    for (const std::string& event : events_.take()) progress_.say(event);
    progress_.show(fmt::format(
        "{:>4} s {:<6} {:>6} requests/s  hit ratio {:5.1f} %  p99 {:6.2f} ms  errors {}  commits {}",
        second.value("second", 0), second.value("phase", ""), second.value("requests", 0),
        100 * second.value("hit_ratio", 0.0), p99_of(second), second.value("errors", 0), cluster_.commits().commits()));
  }

  static double p99_of(const nlohmann::json& second) {
    const auto latency = second.value("latency_ms", nlohmann::json::object());
    return latency.contains("all") ? latency["all"].value("p99", 0.0) : 0;
  }

  Status take_counters(Counters& counters) {
    auto read = cluster_.read_counters();
    if (!read) return std::unexpected(read.error());
    counters = std::move(*read);
    return {};
  }

  // The same mix, but every read goes straight to the database: what the cache saves.
  Status load_without_cache() {
    progress_.say(fmt::format("the same load without the cache, {} s", config_.bypass / seconds(1)));
    auto shop = cluster_.start_shop(
        {"--warmup", "1", "--seconds", in_seconds(config_.bypass), "--seed", std::to_string(config_.seed)}, kBypass,
        true);
    if (!shop) return std::unexpected(shop.error());
    Counters begin, end;
    bool has_begun = false;
    while (!shop->is_ended()) {
      if (config_.is_interrupted()) return interrupted();
      const auto line = shop->read_line(milliseconds(500));
      if (!line) continue;
      const auto second = nlohmann::json::parse(*line, nullptr, false);
      if (!second.is_object()) continue;
      show(second);
      if (has_begun) continue;
      has_begun = true;
      if (auto status = take_counters(begin); !status) return status;
    }
    if (config_.is_interrupted()) return interrupted();
    if (const auto exit_code = shop->wait(seconds(10)); !exit_code || *exit_code != 0) {
      return fail(ErrorCode::kInternal,
                  fmt::format("tidemark-shop failed; see {}", (config_.directory / "shop-bypass.log").string()));
    }
    if (auto status = take_counters(end); !status) return status;
    auto report = cluster_.shop_report(kBypass);
    if (!report) return std::unexpected(report.error());
    // The first second of the warm-up lies before `begin`, its requests too.
    const uint64_t requests = report->value("requests", uint64_t{0});
    const double reads = database_reads(begin, end);
    const double scale = requests == 0 ? 0 : browsing_requests(summary_.shop) / static_cast<double>(requests);
    summary_.db_reads_bypass = static_cast<uint64_t>(std::llround(reads * scale));
    summary_.details["bypass"] = {{"requests", requests},
                                  {"db_reads", reads},
                                  {"pg_rows_read", end.rows_read() - begin.rows_read()},
                                  {"latency_ms", (*report)["latency_ms"]}};
    return {};
  }

  Status reach_verdict() {
    progress_.say("reading the commit order to its end and judging every answer");
    if (cluster_.has_customers()) {
      if (auto status = cluster_.shop_database().await_sagas(); !status) return status;
    }
    auto commits = cluster_.commits().finish(kCommitsTimeout);
    if (!commits) return std::unexpected(commits.error());
    auto status = judge_products(*commits);
    if (status && cluster_.has_customers()) status = judge_shop(*commits);
    if (!status) return status;
    summary_.misplaced_rows = cluster_.commits().misplaced();
    summary_.reads_by_server = reads_by_server(config_.shards, before_, after_);
    summary_.db_reads = static_cast<uint64_t>(std::llround(database_reads(before_, after_)));
    lag_.end_stretch(after_.nodes);
    summary_.lag = lag_.figures();
    summary_.lag_without_invalidator = lag_without_invalidator_.figures();
    summary_.seed = config_.seed;
    summary_.details["import"] = cluster_.import_details();
    summary_.details["faults"] = faults_.events;
    summary_.details["pg_rows_read"] = after_.rows_read() - before_.rows_read();
    summary_.details["psql"] = {{"acknowledged", writer_->acknowledged().size()}, {"failed", writer_->failed()}};
    return write_summary();
  }

  Status add_a_shard() {
    cluster_.drop_commit_reader();  // rows that are moved are no commits of the shop
    auto figures = ThirdShard(config_, cluster_, progress_).run();
    if (!figures) return std::unexpected(figures.error());
    added_ = std::move(*figures);
    summary_.details["add_shard"] = added_->to_json();
    return write_summary();
  }

  Status judge_products(const std::vector<RowCommit>& commits) {
    for (const char* name : {kRun, kBypass}) {
      DemoSummary part;
      auto status = judge({.commits = &commits,
                           .other_writes = writer_->acknowledged(),
                           .imported = cluster_.imported(),
                           .answers = cluster_.answers_file(name),
                           .names = &cluster_.names(),
                           .windows = faults_.windows},
                          part);
      if (!status) return status;
      if (name == std::string_view(kRun)) {
        take_judgement(std::move(part));
      } else {
        summary_.details["bypass"]["answers_checked"] = part.tally.checked;
        summary_.details["bypass"]["stale_beyond_bound"] = part.tally.count(Verdict::kStale);
      }
    }
    return {};
  }

  Status judge_shop(const std::vector<RowCommit>& commits) {
    const auto state = cluster_.shop_database().read();
    if (!state) return std::unexpected(state.error());
    auto status = judge_customers(
        {.events = cluster_.events_file(kRun), .commits = &commits, .state = &*state, .windows = faults_.windows},
        summary_);
    if (!status) return status;
    ShopFigures& figures = *summary_.shop_figures;
    count_order_statements(before_, killed_, after_, figures);
    figures.retries = summary_.shop.value("retries", uint64_t{0});
    figures.given_up = summary_.shop.value("given_up", uint64_t{0});
    return {};
  }

  void take_judgement(DemoSummary part) {
    summary_.tally = std::move(part.tally);
    summary_.lost = part.lost;
    summary_.acknowledged = part.acknowledged;
    summary_.commits = part.commits;
    summary_.lost_examples = std::move(part.lost_examples);
    summary_.errors_in_window = std::move(part.errors_in_window);
    summary_.errors_outside_window = std::move(part.errors_outside_window);
    summary_.errors_warmup = std::move(part.errors_warmup);
    summary_.errors_other_slots = part.errors_other_slots;
  }

  Status write_summary() const {
    const auto path = config_.directory / "summary.json";
    std::ofstream file(path);
    file << summary_.to_json().dump(2) << '\n';
    if (!file.flush()) return fail(ErrorCode::kUnavailable, fmt::format("cannot write {}", path.string()));
    return {};
  }

  const DemoConfig& config_;
  ProgressLine progress_;
  DemoCluster cluster_;
  std::unique_ptr<RowWriter> writer_;
  FaultScript::Outcome faults_;
  EventQueue events_;
  Counters before_, after_;
  std::map<std::string, MetricsText> killed_;
  LagReadings lag_, lag_without_invalidator_;
  DemoSummary summary_;
  std::optional<ThirdShardFigures> added_;
};

}  // namespace

Result<int> run_demo(const DemoConfig& config) {
  return Demo(config).run();
}

Status stop_demo(const std::filesystem::path& directory) {
  auto cluster = localcluster::LocalCluster::attach(directory / "cluster");
  if (!cluster) return std::unexpected(cluster.error());
  return cluster->stop_all();
}

}  // namespace tidemark::bench
