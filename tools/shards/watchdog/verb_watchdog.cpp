#include "tools/shards/watchdog/verb_watchdog.h"

#include <csignal>
#include <cstdlib>

#include "base/io/admin_http.h"
#include "base/io/log.h"
#include "base/io/ready_file.h"
#include "tools/shards/watchdog/watchdog.h"

namespace tidemark::shards {
namespace {

volatile std::sig_atomic_t stop_signal = 0;

// The second signal ends the process at once.
void note_signal(int signal) {
  if (stop_signal != 0) std::_Exit(128 + signal);
  stop_signal = signal;
}

shardrouter::AbandonedPolicy policy_of(const std::string& text) {
  if (text == "go-on") return shardrouter::AbandonedPolicy::kGoOn;
  return text == "leave" ? shardrouter::AbandonedPolicy::kLeave : shardrouter::AbandonedPolicy::kGiveUp;
}

io::Readiness readiness_of(const Watchdog& watchdog) {
  return {.reasons_against = watchdog.unanswered()};
}

}  // namespace

void declare(io::Options& verb, WatchdogArguments& given) {
  verb.text("shards", given.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
  verb.text("topology", given.topology, "topology store, file:DIR");
  verb.choice("abandoned", given.abandoned, {"give-up", "go-on", "leave"},
              "what becomes of a move that nobody drives and that is not fenced yet");
  verb.duration("abandoned-after", given.abandoned_after, "how long nobody was heard of before it is abandoned");
  verb.number("metrics-port", given.metrics_port, {.max = 65535}, "port of /metrics, /healthz, /readyz; 0 = any");
  verb.text("ready-file", given.ready_file, "written when it watches");
  verb.require("shards");
  verb.require("topology");
}

int run_watchdog(const WatchdogArguments& given) {
  const auto log = io::Log::to_stderr("tidemark-shards-watchdog", io::LogLevel::kInfo);
  const auto complain = [&log](const Error& error) {
    log.error("cannot start", {{"error", error.to_string()}});
    return io::kExitFailure;
  };
  WatchdogOptions options{.shards_file = given.shards_file, .topology = given.topology, .limits = {}};
  options.limits.abandoned = policy_of(given.abandoned);
  options.limits.abandoned_after = given.abandoned_after;
  auto started = Watchdog::start(std::move(options), log);
  if (!started) return complain(started.error());
  const Watchdog& watchdog = **started;
  auto admin = io::AdminHttp::start({.port = given.metrics_port,
                                     .readiness = [&watchdog] { return readiness_of(watchdog); },
                                     .sources = {[&watchdog] { return watchdog.metrics(); }},
                                     .collectables = {}});
  if (!admin) return complain(admin.error());
  std::signal(SIGTERM, note_signal);
  std::signal(SIGINT, note_signal);
  const Status written = io::write_ready_file(given.ready_file, {{"metrics_port", int64_t{(*admin)->port()}}});
  if (!written) return complain(written.error());
  log.info("watching", {{"topology", given.topology}, {"metrics_port", (*admin)->port()}});
  (*started)->run([] { return stop_signal != 0; });
  log.info("stopped; a move that was driven here is anybody's now");
  std::_Exit(io::kExitOk);  // drivers may be under way: they hold nothing that others could not take over
}

}  // namespace tidemark::shards
