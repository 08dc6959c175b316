// tidemark-shop: an open-loop load on the catalog, session and order services that writes down every answer it gets.
//
// Exit codes: 0 the run was done (its errors are in the report), 1 it could not be done, 2 wrong usage.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/io/options.h"
#include "bench/macro/io/answer_log_file.h"
#include "bench/macro/shop/shop_client.h"
#include "bench/macro/shop/shop_run.h"

namespace {

using namespace tidemark;
using namespace tidemark::bench;

constexpr Duration kConnectTimeout = std::chrono::seconds(10);

struct Config {
  std::string target = "127.0.0.1:50051";
  std::string session_target, order_target;
  std::string skus;
  std::string answers;
  std::string events;
  std::string json = "-";
  uint64_t answers_max = 50'000'000;
  uint64_t seed = 1;
  uint32_t rare = 0;
  uint32_t in_flight_max = 2000;
  uint32_t batch_size = 20;
  uint32_t channels = 1;
  double rate = 1000, zipf = 1.0, batch_share = 0.05, set_price_share = 0.01, set_stock_share = 0.01, rare_share = 0.01;
  double section_share = 0, search_share = 0, visit_share = 0;
  uint32_t customers = 200;
  double seconds = 60, warmup = 5, cold = 2;
  Duration deadline = std::chrono::milliseconds(500);
  Duration order_deadline = std::chrono::seconds(2);
  bool progress = false;
  bool bypass_cache = false;
};

Duration from_seconds(double seconds) {
  return Duration(static_cast<int64_t>(seconds * 1e6));
}

void declare(io::Options& options, Config& config) {
  options.text("target", config.target, "the catalog service, HOST:PORT");
  options.text("session-target", config.session_target, "the session service, HOST:PORT; needed for visits");
  options.text("order-target", config.order_target, "the order service, HOST:PORT; needed for visits");
  options.text("skus", config.skus, "file of product names, one a line");
  options.number("rare", config.rare, {.max = 1'000'000},
                 "the last N names of that file may not exist; they are asked for seldom");
  options.real("rate", config.rate, "requests per second");
  options.real("seconds", config.seconds, "length of the measured part");
  options.real("warmup", config.warmup, "seconds of warm-up before it");
  options.real("cold", config.cold, "first seconds of the warm-up, whose hit ratio is given apart");
  options.number("seed", config.seed, {}, "same seed, same requests");
  options.real("zipf", config.zipf, "exponent of the popularity law");
  options.real("batch-share", config.batch_share, "share of BatchGetProducts");
  options.number("batch-size", config.batch_size, {.min = 1, .max = 1000}, "products of a batch");
  options.real("set-price-share", config.set_price_share, "share of SetPrice");
  options.real("set-stock-share", config.set_stock_share, "share of SetStock");
  options.real("rare-share", config.rare_share, "share of questions for names that may not exist");
  options.real("section-share", config.section_share, "share of ListSection, of a section seen before");
  options.real("search-share", config.search_share, "share of SearchProducts");
  options.real("visit-share", config.visit_share,
               "share of visits by customers: sign in, order, look, cancel, sign out; one visit is several calls");
  options.number("customers", config.customers, {.min = 1, .max = 100'000}, "how many customers there are");
  options.duration("deadline", config.deadline, "of each call, but for orders");
  options.duration("order-deadline", config.order_deadline, "of each call to the order service");
  options.number("in-flight-max", config.in_flight_max, {.min = 1, .max = 100'000},
                 "calls under way at once; more are not sent and count as RESOURCE_EXHAUSTED");
  options.number("channels", config.channels, {.min = 1, .max = 64}, "connections to the service");
  options.text("answers", config.answers, "write every row's answer there (binary; tidemark-demo reads it)");
  options.text("events", config.events, "write every customer's call there (JSON lines)");
  options.number("answers-max", config.answers_max, {.min = 1}, "records in each of these files at most");
  options.text("json", config.json, "write the report there; - = standard output");
  options.flag("bypass-cache", config.bypass_cache, "reads go straight to the database");
  options.flag("progress", config.progress, "a JSON line each second on standard output");
}

Result<std::vector<std::string>> read_names(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(ErrorCode::kInvalidArgument, fmt::format("--skus: cannot read '{}'", path));
  std::vector<std::string> names;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) names.push_back(line);
  }
  return names;
}

Status check(const Config& config, size_t names) {
  if (names <= config.rare) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--skus holds {} names, --rare sets {} of them aside: none is left", names, config.rare));
  }
  if (config.rate <= 0 || config.rate > 1e6) return fail(ErrorCode::kInvalidArgument, "--rate must be in (0, 1000000]");
  if (config.seconds <= 0 || config.warmup < 0 || config.cold < 0 || config.seconds + config.warmup > 1e6) {
    return fail(ErrorCode::kInvalidArgument,
                "--seconds must be above 0, --warmup and --cold at least 0, all below 1000000");
  }
  if (config.zipf <= 0 || config.zipf > 10) return fail(ErrorCode::kInvalidArgument, "--zipf must be in (0, 10]");
  for (const double share : {config.batch_share, config.set_price_share, config.set_stock_share, config.rare_share,
                             config.section_share, config.search_share, config.visit_share}) {
    if (share < 0 || share > 1) return fail(ErrorCode::kInvalidArgument, "a share must be in [0, 1]");
  }
  if (config.batch_share + config.set_price_share + config.set_stock_share + config.section_share +
          config.search_share + config.visit_share >
      1) {
    return fail(ErrorCode::kInvalidArgument, "the shares of batches, writes, lists and visits exceed 1 together");
  }
  if (config.visit_share > 0 && (config.session_target.empty() || config.order_target.empty()))
    return fail(ErrorCode::kInvalidArgument, "--visit-share needs --session-target and --order-target");
  return {};
}

volatile std::sig_atomic_t stop_requested = 0;

ShopRun::Options run_options(const Config& config, uint32_t names) {
  ShopRun::Options options;
  options.rate = config.rate;
  options.warmup = from_seconds(config.warmup);
  options.seconds = from_seconds(config.seconds);
  options.cold = from_seconds(config.cold);
  options.in_flight_max = config.in_flight_max;
  options.mix = {.seed = config.seed,
                 .product_count = names,
                 .rare_count = config.rare,
                 .zipf_s = config.zipf,
                 .batch_share = config.batch_share,
                 .set_price_share = config.set_price_share,
                 .set_stock_share = config.set_stock_share,
                 .rare_share = config.rare_share,
                 .section_share = config.section_share,
                 .search_share = config.search_share,
                 .visit_share = config.visit_share,
                 .batch_size = config.batch_size};
  options.should_stop = [] { return stop_requested != 0; };
  if (config.progress) {
    options.on_progress = [](const nlohmann::json& line) {
      fmt::print("{}\n", line.dump());
      std::fflush(stdout);
    };
  }
  return options;
}

Status write_report(const std::string& path, const nlohmann::json& report) {
  if (path == "-") {
    fmt::print("{}\n", report.dump(2));
    return {};
  }
  std::ofstream file(path);
  file << report.dump(2) << '\n';
  if (!file.flush()) return fail(ErrorCode::kUnavailable, fmt::format("--json: cannot write '{}'", path));
  return {};
}

Status run(const Config& config) {
  const auto names = read_names(config.skus);
  if (!names) return std::unexpected(names.error());
  if (auto status = check(config, names->size()); !status) return status;
  std::optional<AnswerLogWriter> answers;
  if (!config.answers.empty()) {
    auto created = AnswerLogWriter::create(config.answers, config.answers_max);
    if (!created) return std::unexpected(created.error());
    answers.emplace(std::move(*created));
  }
  std::optional<EventLogWriter> events;
  if (!config.events.empty()) {
    auto created = EventLogWriter::create(config.events, config.answers_max);
    if (!created) return std::unexpected(created.error());
    events.emplace(std::move(*created));
  }
  Mailbox mailbox;
  const auto client =
      ShopClient::create({config.target, config.deadline, config.channels, config.bypass_cache}, *names, mailbox);
  if (!client->wait_until_connected(kConnectTimeout)) {
    return fail(ErrorCode::kUnavailable, fmt::format("no catalog service answers at {} (--target)", config.target));
  }
  std::unique_ptr<CustomerClient> customer_client;
  std::optional<Customers> customers;
  if (config.visit_share > 0) {
    customer_client = CustomerClient::create({.session_target = config.session_target,
                                              .order_target = config.order_target,
                                              .session_deadline = config.deadline,
                                              .order_deadline = config.order_deadline},
                                             mailbox);
    if (!customer_client->wait_until_connected(kConnectTimeout))
      return fail(ErrorCode::kUnavailable, fmt::format("no session or order service answers at {} and {}",
                                                       config.session_target, config.order_target));
    customers.emplace(Customers::Options{.seed = config.seed, .count = config.customers}, *names,
                      Goods(static_cast<uint32_t>(names->size()) - config.rare));
  }
  ShopRun shop(run_options(config, static_cast<uint32_t>(names->size())),
               {.client = *client,
                .mailbox = mailbox,
                .names = *names,
                .customer_client = customer_client.get(),
                .customers = customers ? &*customers : nullptr,
                .answers = answers ? &*answers : nullptr,
                .events = events ? &*events : nullptr});
  shop.run();
  if (answers) {
    if (auto status = answers->close(); !status) return status;
  }
  if (events) {
    if (auto status = events->close(); !status) return status;
  }
  return write_report(config.json, shop.report());
}

}  // namespace

int main(int argc, char** argv) {
  Config config;
  io::Options options("tidemark-shop",
                      "An open-loop load on the catalog, session and order services that writes down every answer.");
  declare(options, config);
  options.require("skus");
  if (const auto exit_code = options.parse(argc, argv)) return *exit_code;
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGTERM, [](int) { stop_requested = 1; });
  std::signal(SIGINT, [](int) { stop_requested = 1; });
  if (const auto status = run(config); !status) {
    fmt::print(stderr, "tidemark-shop: {}\n", status.error().to_string());
    return status.error().code == ErrorCode::kInvalidArgument ? io::kExitUsage : io::kExitFailure;
  }
  return io::kExitOk;
}
