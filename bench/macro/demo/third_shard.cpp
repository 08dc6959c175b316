#include "bench/macro/demo/third_shard.h"

#include <fmt/format.h>

#include <csignal>
#include <fstream>

#include "base/parse.h"

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr const char* kRun = "then";
constexpr seconds kShopEnds{15};
constexpr milliseconds kWatchInterval{1000};
constexpr milliseconds kPoll{200};
constexpr const char* kBucketsPerMove = "256";

// Orders and sessions come and go under the load; these rows stay as many.
constexpr const char* kStaying = "catalog.product";

constexpr const char* kProtected =
    "SELECT DISTINCT t.tgrelid::regclass::text FROM pg_trigger t WHERE t.tgname = 'tidemark_fence' ORDER BY 1";

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

Result<ThirdShardFigures> ThirdShard::run() {
  figures_.shard = id_;
  Status done = start_server();
  if (done) done = play();
  if (shop_) {
    const Status ended = end_shop();
    if (done) done = ended;
  }
  if (server_) {
    const Status stopped = server_->stop_all();
    if (done) done = stopped;
  }
  if (!done) return std::unexpected(done.error());
  return figures_;
}

// A database server of its own, empty; its description beside those of the others.
Status ThirdShard::start_server() {
  progress_.say(fmt::format("a new database server, to become shard {}", id_));
  localcluster::Options options;
  options.directory = config_.directory / "one-more";
  std::error_code ignored;
  std::filesystem::remove_all(options.directory, ignored);
  options.shards = 1;
  options.replicas = 0;
  options.nodes = 0;
  options.with_invalidator = false;
  options.run_shards_init = false;
  options.fsync = true;
  auto server = localcluster::LocalCluster::create(options);
  if (!server) return std::unexpected(server.error());
  server_.emplace(std::move(*server));
  if (const Status started = server_->start(); !started) return started;
  const auto process = server_->process("s0-primary");
  if (!process) return std::unexpected(process.error());
  std::ifstream described(cluster_.local().directory() / "shards.json");
  nlohmann::json all = nlohmann::json::parse(described, nullptr, false);
  if (!all.is_object()) return fail(ErrorCode::kInternal, "the description of the shards is gone");
  const nlohmann::json primary = {
      {"name", fmt::format("s{}-primary", id_)}, {"role", "primary"}, {"conninfo", process->conninfo}};
  all["shards"].push_back(
      {{"id", id_}, {"admin", server_->admin_conninfo("s0-primary")}, {"servers", nlohmann::json::array({primary})}});
  std::ofstream file(shards_file());
  file << all.dump(2) << '\n';
  if (!file.flush()) return fail(ErrorCode::kUnavailable, "cannot write " + shards_file());
  return {};
}

Status ThirdShard::play() {
  auto shop =
      cluster_.start_shop({"--warmup", "1", "--seconds", "3600", "--seed", std::to_string(config_.seed + 7)}, kRun);
  if (!shop) return std::unexpected(shop.error());
  shop_.emplace(std::move(*shop));
  Status done = count_rows(figures_.rows_before);
  if (done) done = add();
  if (done) done = rebalance({}, figures_.to);
  if (done) done = count_rows(figures_.rows_between);
  if (done) done = rebalance({"--weight", fmt::format("{}=0", id_)}, figures_.away);
  if (done) done = count_rows(figures_.rows_after);
  if (done) done = remove();
  return done;
}

Status ThirdShard::add() {
  progress_.say(fmt::format("tidemark-shards add-shard --id {}", id_));
  std::vector<std::string> arguments{"add-shard", "--id", std::to_string(id_), "--passwords-dir",
                                     (cluster_.local().directory() / "secrets").string()};
  for (const auto& schema : cluster_.schema_files()) {
    arguments.emplace_back("--schema");
    arguments.push_back(schema.string());
  }
  const auto printed = run_tool(std::move(arguments), false);
  if (!printed) return std::unexpected(printed.error());
  is_added_ = true;
  for (const auto line : split(*printed, '\n'))
    if (!line.empty()) progress_.say(fmt::format("    {}", line));
  return {};
}

Status ThirdShard::rebalance(const std::vector<std::string>& more, ThirdShardFigures::Rebalance& figures) {
  std::vector<std::string> arguments{"rebalance", "--window",           "2s",           "--format",
                                     "json",      "--buckets-per-move", kBucketsPerMove};
  std::string told;
  for (const std::string& word : more) told += " " + word;
  progress_.say("tidemark-shards rebalance" + told);
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto start = Clock::now();
  const auto printed = run_tool(std::move(arguments), true);
  if (!printed) return std::unexpected(printed.error());
  figures.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  // One object after the other, each spread over lines.
  std::string object;
  for (const auto line : split(*printed, '\n')) {
    object += std::string(line) + "\n";
    if (line != "}") continue;
    const auto move = nlohmann::json::parse(object, nullptr, false);
    object.clear();
    if (!move.is_object()) return fail(ErrorCode::kInternal, "rebalance printed no JSON");
    ++figures.moves;
    figures.rows += move.value("rows_copied", uint64_t{0});
    figures.blocked_ms_max = std::max(figures.blocked_ms_max, move.value("blocked_ms", 0.0));
    figures.attempts_taken_back += move["taken_back_ms"].size();
  }
  const auto buckets = server_->psql("s0-primary", "SELECT count(*) FROM shard.bucket WHERE state = 'owned'");
  if (!buckets) return std::unexpected(buckets.error());
  figures.buckets = parse_u64(first_line(*buckets)).value_or(0);
  progress_.say(
      fmt::format("    {} moves, {} rows in {:.1f} s; buckets without a writable owner for {:.1f} ms at most; "
                  "shard {} owns {} buckets",
                  figures.moves, figures.rows, figures.seconds, figures.blocked_ms_max, id_, figures.buckets));
  return {};
}

Status ThirdShard::remove() {
  progress_.say(fmt::format("tidemark-shards remove-shard --id {}", id_));
  const auto printed = run_tool({"remove-shard", "--id", std::to_string(id_)}, false);
  if (!printed) return std::unexpected(printed.error());
  for (const auto line : split(*printed, '\n'))
    if (!line.empty()) progress_.say(fmt::format("    {}", line));
  return cluster_.read_bucket_owners();
}

Status ThirdShard::count_rows(std::map<std::string, uint64_t>& rows) {
  const auto tables = cluster_.local().psql(DemoCluster::kPrimary, kProtected);
  if (!tables) return std::unexpected(tables.error());
  for (uint32_t shard = 0; shard <= id_; ++shard) {
    const bool is_new = shard == id_;
    if (is_new && !is_added_) break;
    for (const auto table : split(*tables, '\n')) {
      if (table.empty()) continue;
      const auto& where = is_new ? *server_ : cluster_.local();
      const std::string name = is_new ? "s0-primary" : fmt::format("s{}-primary", shard);
      const auto counted = where.psql(
          name, fmt::format("SELECT count(*), count(*) FILTER (WHERE b.state <> 'owned') FROM {} t JOIN shard.bucket b "
                            "USING (bucket)",
                            table));
      if (!counted) return std::unexpected(counted.error());
      const auto cells = split(first_line(*counted), '|');
      if (table == kStaying) rows[std::string(table)] += parse_u64(cells.front()).value_or(0);
      figures_.misplaced += parse_u64(cells.back()).value_or(0);
    }
  }
  return {};
}

Status ThirdShard::end_shop() {
  shop_->signal(SIGINT);
  const auto give_up = Clock::now() + kShopEnds;
  while (!shop_->is_ended() && Clock::now() < give_up) show_shop();
  const auto exit_code = shop_->wait(kShopEnds);
  if (!exit_code) return std::unexpected(exit_code.error());
  const auto report = cluster_.shop_report(kRun);
  if (!report) return std::unexpected(report.error());
  figures_.requests = report->value("requests", uint64_t{0});
  for (const auto& [kind, count] : report->value("errors", nlohmann::json::object()).items())
    if (count.is_number()) figures_.errors += count.get<uint64_t>();
  figures_.hit_ratio = report->value("hit_ratio", 0.0);
  return {};
}

Result<ChildProcess> ThirdShard::start_tool(std::vector<std::string> arguments) const {
  std::vector<std::string> all{cluster_.local().binary("tidemark-shards").string()};
  all.insert(all.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  for (const std::string& word :
       {std::string("--shards"), shards_file(), std::string("--topology"), cluster_.local().topology_address()})
    all.push_back(word);
  return ChildProcess::start(
      {.arguments = std::move(all), .environment = {}, .error_log = config_.directory / "shards-tool.log"});
}

Result<std::string> ThirdShard::run_tool(std::vector<std::string> arguments, bool watches) {
  const std::string verb = arguments.front();
  auto tool = start_tool(std::move(arguments));
  if (!tool) return std::unexpected(tool.error());
  std::string printed;
  const auto give_up = Clock::now() + kJobTimeout;
  auto next_look = Clock::now() + kWatchInterval;
  while (!tool->is_ended()) {
    if (config_.is_interrupted()) return interrupted();
    if (Clock::now() > give_up)
      return fail(ErrorCode::kDeadlineExceeded, "tidemark-shards " + verb + " takes too long");
    if (const auto line = tool->read_line(kPoll)) printed += *line + "\n";
    show_shop();
    if (!watches || Clock::now() < next_look) continue;
    show_moves();
    next_look = Clock::now() + kWatchInterval;
  }
  const auto exit_code = tool->wait(seconds(10));
  if (!exit_code) return std::unexpected(exit_code.error());
  if (*exit_code != 0)
    return fail(ErrorCode::kInternal, fmt::format("tidemark-shards {} ended with {}; see {}", verb, *exit_code,
                                                  (config_.directory / "shards-tool.log").string()));
  return printed;
}

// What `tidemark-shards watch` says of the move under way, beside what the shop says.
void ThirdShard::show_moves() {
  auto watch = start_tool({"watch", "--once"});
  if (!watch) return;
  std::string line;
  while (!watch->is_ended())
    if (const auto read = watch->read_line(kPoll)) line = *read;
  (void)watch->wait(seconds(10));
  progress_.show(fmt::format("{}  |  {}", line, shop_line_));
}

void ThirdShard::show_shop() {
  while (const auto line = shop_->read_line(milliseconds(0))) {
    const auto second = nlohmann::json::parse(*line, nullptr, false);
    if (!second.is_object()) continue;
    shop_line_ = fmt::format("{} requests/s, hit ratio {:.1f} %, errors {}", second.value("requests", 0),
                             100 * second.value("hit_ratio", 0.0), second.value("errors", 0));
  }
}

std::vector<std::string> ThirdShardFigures::violations() const {
  std::vector<std::string> all;
  if (rows_before != rows_between || rows_before != rows_after) all.emplace_back("rows were lost or doubled by moves");
  if (misplaced > 0) all.push_back(fmt::format("{} rows are on a shard that does not own their bucket", misplaced));
  if (to.buckets == 0) all.emplace_back("the new shard got no bucket");
  if (away.buckets != 0) all.emplace_back("the new shard kept buckets");
  return all;
}

nlohmann::json ThirdShardFigures::to_json() const {
  const auto of = [](const Rebalance& one) {
    return nlohmann::json{{"moves", one.moves},
                          {"rows", one.rows},
                          {"seconds", one.seconds},
                          {"buckets_on_it", one.buckets},
                          {"blocked_ms_max", one.blocked_ms_max},
                          {"attempts_taken_back", one.attempts_taken_back}};
  };
  return {{"shard", shard},
          {"to", of(to)},
          {"away", of(away)},
          {"rows_before", rows_before},
          {"rows_between", rows_between},
          {"rows_after", rows_after},
          {"misplaced", misplaced},
          {"requests", requests},
          {"errors", errors},
          {"hit_ratio", hit_ratio},
          {"violations", violations()}};
}

std::string ThirdShardFigures::to_table() const {
  std::string text = fmt::format("  a shard {} more, and away again, under load\n", shard);
  for (const auto& [what, one] : {std::pair{"to it", &to}, {"away from it", &away}})
    text += fmt::format("    {:<13} {} moves, {} rows in {:.1f} s, blocked {:.1f} ms at most, {} attempts taken back\n",
                        what, one->moves, one->rows, one->seconds, one->blocked_ms_max, one->attempts_taken_back);
  text +=
      fmt::format("    shop          {} requests, hit ratio {:.1f} %, {} errors\n", requests, 100 * hit_ratio, errors);
  for (const auto& [table, rows] : rows_after)
    text += fmt::format("    {}  {} rows before, {} between, {} after, {} misplaced\n", table,
                        rows_before.contains(table) ? rows_before.at(table) : 0,
                        rows_between.contains(table) ? rows_between.at(table) : 0, rows, misplaced);
  for (const std::string& violation : violations()) text += fmt::format("    WRONG: {}\n", violation);
  return text;
}

}  // namespace tidemark::bench
