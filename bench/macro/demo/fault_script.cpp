#include "bench/macro/demo/fault_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/io/system_clock.h"

namespace tidemark::bench {
namespace {

using std::chrono::steady_clock;

class Script final : public FaultScript {
 public:
  Script(localcluster::LocalCluster& cluster, Options options)
      : cluster_(cluster), options_(std::move(options)), begin_(steady_clock::now()), thread_([this] { run(); }) {}
  ~Script() override { stop(); }

  Outcome finish() override {
    thread_.join();
    return std::move(outcome_);
  }

 private:
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      is_stopped_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void run() {
    if (!sleep_until(begin_ + options_.run_length / 4)) return;
    kill_node();
    if (!sleep_until(std::max(begin_ + options_.run_length * 6 / 10, steady_clock::now()))) return;
    pause_replica();
    if (!options_.crashes_primary || !sleep_until(begin_ + options_.run_length * 8 / 10)) return;
    crash_primary();
  }

  // A fault of a short run is shorter, so that it ends within the run.
  Duration fault_length() const { return std::min<Duration>(kFaultLength, options_.run_length / 5); }

  void kill_node() {
    if (options_.before_kill) options_.before_kill();
    FaultWindow window{io::unix_now_us(), 0, options_.node_slots};
    check(cluster_.kill(options_.node), fmt::format("kill {}", options_.node));
    event(fmt::format("{} was killed (SIGKILL)", options_.node), window.begin_us);
    sleep_until(steady_clock::now() + fault_length());
    const int64_t started_us = io::unix_now_us();
    check(cluster_.start(options_.node), fmt::format("start {}", options_.node));
    const int64_t ready_us = io::unix_now_us();
    event(fmt::format("{} is ready again, {} ms after its start", options_.node, (ready_us - started_us) / 1000),
          ready_us);
    window.end_us = ready_us + std::chrono::microseconds(kWindowTail).count();
    outcome_.windows.push_back(std::move(window));
  }

  void pause_replica() {
    check(cluster_.pause_replay(options_.replica), "pause replay");
    event(fmt::format("{} stopped replaying", options_.replica), io::unix_now_us());
    sleep_until(steady_clock::now() + fault_length());
    check(cluster_.resume_replay(options_.replica), "resume replay");
    event(fmt::format("{} replays again", options_.replica), io::unix_now_us());
  }

  void crash_primary() {
    FaultWindow window{io::unix_now_us(), 0, {}};
    check(cluster_.pg_stop(options_.primary, localcluster::StopMode::kImmediate), "crash the primary");
    check(cluster_.pg_start(options_.primary), "start the primary");
    window.end_us = io::unix_now_us() + std::chrono::microseconds(kCrashTail).count();
    event(fmt::format("{} crashed and was started again", options_.primary), window.begin_us);
    outcome_.windows.push_back(std::move(window));
  }

  bool sleep_until(steady_clock::time_point instant) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_until(lock, instant, [this] { return is_stopped_; });
  }

  void check(Status status, const std::string& what) {
    if (!status) outcome_.status = std::unexpected(status.error().with_context(what));
  }

  void event(const std::string& text, int64_t at_us) {
    const double second = std::chrono::duration<double>(steady_clock::now() - begin_).count();
    outcome_.events.push_back({{"second", second}, {"at_us", at_us}, {"what", text}});
    if (options_.on_event) options_.on_event(fmt::format("{:5.1f} s  {}", second, text));
  }

  localcluster::LocalCluster& cluster_;
  Options options_;
  steady_clock::time_point begin_;
  Outcome outcome_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_stopped_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<FaultScript> FaultScript::start(localcluster::LocalCluster& cluster, Options options) {
  return std::make_unique<Script>(cluster, std::move(options));
}

}  // namespace tidemark::bench
