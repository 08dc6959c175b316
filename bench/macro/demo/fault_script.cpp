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
    if (!await_part(0.15)) return;
    kill_node();
    if (!await_part(0.35)) return;
    pause_replica();
    if (!await_part(0.55)) return;
    kill_and_start(options_.invalidator, "was killed (SIGKILL)");
    if (!await_part(0.75)) return;
    if (options_.crashes_primary) return crash_primary();
    if (!options_.relay.empty()) kill_relay();
  }

  // False: to be stopped.
  bool await_part(double part) {
    const auto begin = begin_ + std::chrono::duration_cast<Duration>(options_.run_length * part);
    return sleep_until(std::max<steady_clock::time_point>(begin, steady_clock::now()));
  }

  // A fault of a short run is shorter, so that it ends within the run.
  Duration fault_length() const { return std::min<Duration>(kFaultLength, options_.run_length / 8); }

  // When it was killed and when it was ready again, Unix microseconds.
  std::pair<int64_t, int64_t> kill_and_start(const std::string& process, const std::string& what) {
    if (options_.before_kill) options_.before_kill(process);
    const int64_t killed_us = io::unix_now_us();
    check(cluster_.kill(process), fmt::format("kill {}", process));
    event(fmt::format("{} {}", process, what), killed_us);
    sleep_until(steady_clock::now() + fault_length());
    const int64_t started_us = io::unix_now_us();
    check(cluster_.start(process), fmt::format("start {}", process));
    const int64_t ready_us = io::unix_now_us();
    event(fmt::format("{} is ready again, {} ms after its start", process, (ready_us - started_us) / 1000), ready_us);
    if (options_.after_start) options_.after_start(process);
    return {killed_us, ready_us};
  }

  void kill_node() {
    const auto [killed_us, ready_us] = kill_and_start(options_.node, "was killed (SIGKILL)");
    outcome_.windows.push_back(
        {killed_us, ready_us + std::chrono::microseconds(kWindowTail).count(), options_.node_slots});
  }

  // Asleep it can end no saga: what is under way when it is killed stays so, unless another relay takes it.
  void kill_relay() {
    check(cluster_.pause(options_.relay), fmt::format("stop {}", options_.relay));
    const auto give_up = steady_clock::now() + kSagaWait;
    bool is_under_way = false;
    while (!is_under_way && options_.is_saga_under_way && steady_clock::now() < give_up) {
      is_under_way = options_.is_saga_under_way();
    }
    kill_and_start(options_.relay, is_under_way ? "was killed with sagas under way (SIGKILL)" : "was killed (SIGKILL)");
  }

  void pause_replica() {
    check(cluster_.pause_replay(options_.replica), "pause replay");
    event(fmt::format("{} stopped replaying", options_.replica), io::unix_now_us());
    sleep_until(steady_clock::now() + fault_length());
    check(cluster_.resume_replay(options_.replica), "resume replay");
    event(fmt::format("{} replays again", options_.replica), io::unix_now_us());
  }

  void crash_primary() {
    if (options_.before_crash) check(options_.before_crash(), "before the crash");
    sleep_until(steady_clock::now() + kVolatileTime);
    FaultWindow window{io::unix_now_us(), 0, {}};
    check(cluster_.kill(options_.primary), "crash the primary");
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
