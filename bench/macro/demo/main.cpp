// tidemark-demo: from nothing to a verdict over a running system, on this machine.
//
// Exit codes: 0 all as promised, 1 it could not be done, 2 wrong usage, 3 something was stale, lost, wrong or failed
// without excuse.
#include <fmt/format.h>

#include <csignal>
#include <cstdlib>

#include "base/io/options.h"
#include "bench/macro/demo/demo.h"

namespace {

using namespace tidemark;
using namespace tidemark::bench;

struct Texts {
  std::string directory = "build/demo";
  std::string source = ".";
  std::string plant = "none";
  double seconds = 60, warmup = 10, bypass = 5, outage_seconds = 10;
};

Duration from_seconds(double seconds) {
  return Duration(static_cast<int64_t>(seconds * 1e6));
}

Plant plant_of(const std::string& name) {
  return name == "stale"      ? Plant::kStale
         : name == "lost"     ? Plant::kLost
         : name == "oversell" ? Plant::kOversell
                              : Plant::kNone;
}

void declare(io::Options& options, DemoConfig& config, Texts& texts) {
  options.text("dir", texts.directory, "where the cluster's files, logs and summary.json go");
  options.text("source", texts.source, "the repository's root");
  options.text("packages", config.packages, "a package index file; without it `apt-cache dumpavail` is read");
  options.real("seconds", texts.seconds, "length of the measured run");
  options.real("warmup", texts.warmup, "seconds of warm-up before it");
  options.real("bypass", texts.bypass, "seconds of the run without cache after it");
  options.duration("deadline", config.deadline, "of each call of the shop");
  options.number("seed", config.seed, {}, "same seed, same catalogue prices and same requests");
  options.number("shards", config.shards, {.min = 1, .max = 16}, "Postgres shards, each a primary and a replica");
  options.number("relays", config.relays, {.min = 1, .max = 16}, "relays that drive the orders on");
  options.real("visit-share", config.visit_share,
               "share of arrivals that are customers, who sign in and order; 0: none come");
  options.real("rate", config.rate, "requests per second");
  options.real("writer-rate", config.writer_rate, "rows per second that psql changes behind the service's back");
  options.flag("keep", config.keep, "leave everything running and print what to try; end it with: tools/demo stop");
  options.choice("then", config.then, {"add-shard"},
                 "after the verdict, on the running system: one more shard joins, gets its share of the buckets, and "
                 "leaves again, while the shop goes on");
  options.choice(
      "plant", texts.plant, {"none", "stale", "lost", "oversell"},
      "make it wrong on purpose, to see that it is noticed: stale = the invalidator sends no invalidations; lost = "
      "Postgres acknowledges commits before they are on disk, and crashes; oversell = the database reserves without "
      "looking "
      "at the stock");
  options.choice("outage", config.outage, {"primary", "replica", "invalidator", "node", "all"},
                 "instead of the demo: stop this part under load for --outage-seconds and report what the users saw");
  options.real("outage-seconds", texts.outage_seconds, "how long a part is stopped");
}

volatile std::sig_atomic_t interruptions = 0;

// The first asks for an orderly end; the second ends at once, and `tools/demo stop` ends what was left.
void on_interrupt(int signal) {
  interruptions = interruptions + 1;
  if (interruptions > 1) std::_Exit(128 + signal);
}

Result<int> run(const DemoConfig& config, bool is_stop) {
  if (is_stop) {
    if (auto status = stop_demo(config.directory); !status) return std::unexpected(status.error());
    fmt::print("stopped\n");
    return io::kExitOk;
  }
  if (config.warmup < std::chrono::seconds(1) || config.bypass < std::chrono::seconds(1) ||
      config.outage_length < std::chrono::seconds(1)) {
    return fail(ErrorCode::kInvalidArgument, "--warmup, --bypass and --outage-seconds must be at least 1");
  }
  if (config.rate <= 0 || config.writer_rate <= 0)
    return fail(ErrorCode::kInvalidArgument, "--rate and --writer-rate must be above 0");
  if (config.seconds < std::chrono::seconds(10))
    return fail(ErrorCode::kInvalidArgument, "--seconds must be at least 10: the faults need that long");
  return config.outage.empty() ? run_demo(config) : run_outages(config);
}

}  // namespace

int main(int argc, char** argv) {
  DemoConfig config;
  Texts texts;
  std::string verb;
  io::Options options("tidemark-demo", "A whole cluster under load, with faults, and a verdict over every answer.");
  declare(options, config, texts);
  options.positional("verb", verb, false, "`stop` ends a demo that was left running with --keep");
  if (const auto exit_code = options.parse(argc, argv)) return *exit_code;
  if (!verb.empty() && verb != "stop") {
    fmt::print(stderr, "tidemark-demo: unknown verb '{}'; there is only `stop`\n", verb);
    return io::kExitUsage;
  }
  config.directory = std::filesystem::absolute(texts.directory);
  config.source = std::filesystem::absolute(texts.source);
  config.seconds = from_seconds(texts.seconds);
  config.warmup = from_seconds(texts.warmup);
  config.bypass = from_seconds(texts.bypass);
  config.outage_length = from_seconds(texts.outage_seconds);
  config.plant = plant_of(texts.plant);
  config.is_interrupted = [] { return interruptions > 0; };
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  const auto exit_code = run(config, verb == "stop");
  if (exit_code) return *exit_code;
  fmt::print(stderr, "tidemark-demo: {}\n", exit_code.error().to_string());
  return exit_code.error().code == ErrorCode::kInvalidArgument ? io::kExitUsage : io::kExitFailure;
}
