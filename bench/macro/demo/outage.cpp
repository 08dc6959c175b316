#include <fmt/format.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/io/system_clock.h"
#include "bench/macro/demo/demo.h"
#include "bench/macro/demo/demo_cluster.h"
#include "bench/macro/demo/judge.h"
#include "bench/macro/io/answer_log_file.h"
#include "bench/macro/outage_report.h"

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kExitWrong = 3;
constexpr seconds kBefore{5};  // healthy load before the stop
constexpr seconds kAfter{15};  // load after the return: recovery and a healthy rest
constexpr std::array<const char*, 4> kParts = {"primary", "replica", "invalidator", "node"};

class Outages {
 public:
  explicit Outages(const DemoConfig& config) : config_(without_customers(config)), cluster_(config_, progress_) {}

  Result<int> run() {
    Status status = cluster_.start();
    if (status) status = cluster_.fill();
    if (status) writer_ = cluster_.start_row_writer();
    for (const char* part : kParts) {
      if (status && (config_.outage == "all" || config_.outage == part)) status = stop_part(part);
    }
    if (writer_) writer_->stop();
    if (status) status = judge_all();  // an interrupted matrix is not judged
    cluster_.drop_commit_reader();
    if (cluster_.is_started()) {
      const Status stopped = cluster_.stop();
      if (status) status = stopped;
    }
    if (!status) return std::unexpected(status.error());
    return print();
  }

 private:
  struct Outage {
    std::string part;
    int64_t stopped_us = 0, returned_us = 0;
    OutageReport report{OutageReport::Options{}};
  };

  // One run of the shop: healthy, the part stopped, healthy again.
  Status stop_part(const std::string& part) {
    progress_.say(fmt::format("outage of the {}: {} s under load", part, config_.outage_length / seconds(1)));
    const Duration length = kBefore + config_.outage_length + kAfter;
    auto shop = cluster_.start_shop({"--warmup", "5", "--seconds", fmt::format("{}", length / seconds(1)), "--seed",
                                     std::to_string(config_.seed + outages_.size())},
                                    "outage-" + part);
    if (!shop) return std::unexpected(shop.error());
    std::optional<std::thread> script;
    Outage outage{.part = part};
    Status scripted;
    while (!shop->is_ended() && !config_.is_interrupted()) {
      const auto line = shop->read_line(milliseconds(500));
      if (!line) continue;
      const auto second = nlohmann::json::parse(*line, nullptr, false);
      if (!second.is_object()) continue;
      progress_.show(fmt::format("{:>4} s {:<6} {:>6} requests/s  hit ratio {:5.1f} %  errors {}",
                                 second.value("second", 0), second.value("phase", ""), second.value("requests", 0),
                                 100 * second.value("hit_ratio", 0.0), second.value("errors", 0)));
      if (!script && second.value("phase", "") == "run") script.emplace([&] { scripted = play(outage); });
    }
    if (script) script->join();
    if (config_.is_interrupted()) return interrupted();
    if (!scripted) return scripted;
    const auto exit_code = shop->wait(seconds(10));
    if (!exit_code || *exit_code != 0) {
      return fail(ErrorCode::kInternal,
                  fmt::format("tidemark-shop failed; see {}/shop-outage-{}.log", config_.directory.string(), part));
    }
    outages_.push_back(std::move(outage));
    return {};
  }

  Status play(Outage& outage) {
    std::this_thread::sleep_for(kBefore);
    outage.stopped_us = io::unix_now_us();
    if (auto status = stop(outage.part); !status) return status;
    std::this_thread::sleep_for(config_.outage_length);
    const Status started = cluster_.local().start(name_of(outage.part));
    outage.returned_us = io::unix_now_us();
    return started;
  }

  static std::string name_of(const std::string& part) {
    if (part == "primary") return DemoCluster::kPrimary;
    if (part == "replica") return DemoCluster::kReplica;
    if (part == "node") return DemoCluster::kNode;
    return part;
  }

  Status stop(const std::string& part) {
    auto& local = cluster_.local();
    if (part == "primary" || part == "replica") return local.pg_stop(name_of(part), localcluster::StopMode::kFast);
    if (part == "node") return local.kill(name_of(part));
    return local.terminate(name_of(part));
  }

  Status judge_all() {
    progress_.say("reading the commit order to its end and judging every answer");
    auto commits = cluster_.commits().finish(seconds(30));
    if (!commits) return std::unexpected(commits.error());
    for (Outage& outage : outages_) {
      const auto answers = cluster_.answers_file("outage-" + outage.part);
      DemoSummary judged;
      auto status = judge({.commits = &*commits,
                           .other_writes = writer_->acknowledged(),
                           .imported = cluster_.imported(),
                           .answers = answers,
                           .names = &cluster_.names(),
                           .windows = {}},
                          judged);
      if (!status) return status;
      outage.report = OutageReport({outage.part, outage.stopped_us, outage.returned_us, config_.deadline});
      auto end = read_answer_log(answers, [&](const AnswerRecord& record) { outage.report.add(record); });
      if (!end) return std::unexpected(end.error());
      const uint64_t stale = judged.tally.count(Verdict::kStale);
      const uint64_t wrong = judged.tally.checked - judged.tally.count(Verdict::kFresh) - stale + judged.lost;
      outage.report.set_stale(stale, wrong);
      examples_.insert(examples_.end(), judged.tally.examples.begin(), judged.tally.examples.end());
    }
    return {};
  }

  Result<int> print() {
    nlohmann::json document = {
        {"seed", config_.seed}, {"rate", config_.rate}, {"outages", nlohmann::json::array()}, {"examples", examples_}};
    bool is_right = true;
    fmt::print("\n");
    for (const Outage& outage : outages_) {
      document["outages"].push_back(outage.report.to_json());
      is_right = is_right && outage.report.violations().empty();
      fmt::print("{}", outage.report.to_table());
    }
    for (const std::string& example : examples_) fmt::print("    {}\n", example);
    const auto path = config_.directory / "outages.json";
    std::ofstream file(path);
    file << document.dump(2) << '\n';
    if (!file.flush()) return fail(ErrorCode::kUnavailable, fmt::format("cannot write {}", path.string()));
    fmt::print("  {}\n", path.string());
    return is_right ? 0 : kExitWrong;
  }

  // What a stopped part does to reads is asked here; orders have their own tests.
  static DemoConfig without_customers(DemoConfig config) {
    config.visit_share = 0;
    return config;
  }

  const DemoConfig config_;
  ProgressLine progress_;
  DemoCluster cluster_;
  std::unique_ptr<RowWriter> writer_;
  std::vector<Outage> outages_;
  std::vector<std::string> examples_;
};

}  // namespace

Result<int> run_outages(const DemoConfig& config) {
  return Outages(config).run();
}

}  // namespace tidemark::bench
