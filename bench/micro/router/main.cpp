// router_bench: what one read costs the client, through the router and the repository and without them.
//
// Starts a Postgres and a cache node of its own (tools/localcluster), fills a table, and lets contestants take turns:
//
//   point read   libpq in pipeline mode, libpqxx; the pool; Database::async_query (which also asks the shard, before
//   and
//                after the row, whether it owns the bucket), and libpq with those same three statements
//   repository   a hit against GET over a plain socket, a miss (load and fill) against plain SQL
#include <fmt/format.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/io/options.h"
#include "base/io/system_clock.h"
#include "base/io/topology_store_file.h"
#include "bench/macro/random.h"
#include "bench/micro/router/contest.h"
#include "bench/micro/router/rivals.h"
#include "client/io/families_file.h"
#include "client/repository.h"
#include "shardrouter/sql/routed_read.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {
namespace {

namespace asio = boost::asio;
using localcluster::LocalCluster;
using shardrouter::ResultSet;
using shardrouter::Statement;

constexpr std::string_view kRowSql = "SELECT value FROM item WHERE bucket = $1::int AND id = $2";
constexpr Duration kTimeout = std::chrono::seconds(10);

struct ItemById : client::KeyFamily<"item:{<id>}", std::string, std::string> {
  static constexpr std::string_view kName = "item";
  static constexpr std::string_view kTable = "public.item";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"id"};
};
using Items = client::Repository<ItemById>;

struct Config {
  uint32_t rounds = 15, reads = 2000, depth = 32, keys = 5'000, miss_keys = 200'000;
  std::string json;
};

std::string id_of(int64_t key) {
  return fmt::format("i{}", key);
}
std::vector<std::string> params_of(int64_t key) {
  const std::string id = id_of(key);
  return {std::to_string(bucket_of_natural_key(id)), id};
}

// Servers and the client under test, on one loop.
class Lab {
 public:
  Status open(const Config& config);
  ~Lab();

  asio::io_context& context() { return context_; }
  const std::shared_ptr<client::Database>& database() { return database_; }
  Items& items() { return *items_; }
  std::string conninfo() const { return cluster_->admin_conninfo("s0-primary"); }
  uint16_t node_port() const { return cluster_->process("n1")->ports.at(0); }

  // Runs `start(key, done)` for each read, at most `depth` under way.
  using Start = std::function<void(int64_t key, std::function<void(Status)> done)>;
  Status drive(size_t reads, size_t depth, const NextKey& next, const Start& start);

 private:
  std::unique_ptr<LocalCluster> cluster_;
  std::filesystem::path directory_;
  asio::io_context context_{1};
  std::shared_ptr<client::CacheClient> cache_;
  std::shared_ptr<client::Database> database_;
  std::unique_ptr<Items> items_;
};

Lab::~Lab() {
  if (cache_) cache_->close();
  if (database_) database_->close();
  context_.restart();
  context_.run_for(std::chrono::milliseconds(200));
  cluster_.reset();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

Status Lab::open(const Config& config) {
  std::string directory = (std::filesystem::temp_directory_path() / "tidemark-router-bench-XXXXXX").string();
  if (::mkdtemp(directory.data()) == nullptr) return fail(ErrorCode::kUnavailable, directory + ": cannot be made");
  directory_ = directory;
  std::ofstream(directory + "/items.sql")
      << "CREATE TABLE IF NOT EXISTS public.item (bucket int NOT NULL, id text COLLATE \"C\" NOT NULL, "
         "value text NOT NULL, PRIMARY KEY (bucket, id));";
  if (Status written = client::write_families_file(directory + "/families.json", client::families_of<ItemById>());
      !written)
    return written;
  localcluster::Options options;
  options.directory = directory + "/cluster";
  options.replicas = 0;
  options.nodes = 1;
  options.schema_files = {directory + "/items.sql"};
  options.tables = {"public.item"};
  options.families_file = directory + "/families.json";
  options.stop_on_destroy = true;
  auto created = LocalCluster::create(options);
  if (!created) return std::unexpected(created.error());
  cluster_ = std::make_unique<LocalCluster>(std::move(*created));
  if (Status started = cluster_->start(); !started) return started;

  auto store = io::open_topology_store(cluster_->topology_address());
  if (!store) return std::unexpected(store.error());
  auto loaded = store->load();
  if (!loaded) return std::unexpected(loaded.error());
  auto topology = std::make_shared<const Topology>(std::move(*loaded));
  cache_ = client::CacheClient::create(context_, topology, {});
  client::DatabaseOptions database;
  database.pool.passfile = cluster_->passfile("tidemark_app").string();
  database_ = client::Database::create(context_, topology, database);
  client::RowSource<ItemById> source;
  source.sql = "SELECT bucket, id, value FROM item WHERE bucket = $1::int AND id = $2";
  source.batch_sql =
      "SELECT i.bucket, i.id, i.value FROM item i JOIN unnest($1::int[], $2::text[]) AS k(bucket, id) "
      "USING (bucket, id)";
  source.from_rows = client::one_row<std::string>([](const client::Row& row) -> Result<std::string> {
    auto value = row.text("value");
    if (!value) return std::unexpected(value.error());
    return std::string(*value);
  });
  // On a busy machine an answer of the node may take its time; a bypass would be another contestant.
  client::RepositoryOptions repository;
  repository.node_timeout = kTimeout;
  items_ = std::make_unique<Items>(cache_, database_, source, repository);

  // Rows are copied in as the superuser; the fence looks at each.
  std::string rows;
  for (int64_t key = 0; key < config.keys + config.miss_keys; ++key) {
    const auto params = params_of(key);
    rows += fmt::format("{}({},'{}','{}')", rows.empty() ? "" : ",", params[0], params[1], std::string(100, 'v'));
    if (rows.size() < 60'000 && key + 1 < config.keys + config.miss_keys) continue;
    if (auto done =
            cluster_->psql("s0-primary", "SET session_replication_role = replica; INSERT INTO item VALUES " + rows);
        !done)
      return std::unexpected(done.error());
    rows.clear();
  }
  if (auto done = cluster_->psql("s0-primary", "VACUUM ANALYZE item"); !done) return std::unexpected(done.error());
  return {};
}

Status Lab::drive(size_t reads, size_t depth, const NextKey& next, const Start& start) {
  size_t begun = 0;
  size_t ended = 0;
  Status first_error{};
  std::function<void()> begin = [&] {
    ++begun;
    start(next(), [&](Status status) {
      ++ended;
      if (!status && first_error) first_error = status;
      if (begun < reads && first_error) begin();
    });
  };
  while (begun < std::min(reads, depth)) begin();
  const Instant give_up = io::steady_now() + std::chrono::seconds(60);
  while (ended < begun) {
    context_.restart();
    context_.run_one();
    if (io::steady_now() > give_up) return fail(ErrorCode::kDeadlineExceeded, "a slice took longer than a minute");
  }
  return first_error;
}

std::vector<RivalStatement> guarded_statements() {
  const auto pipeline = shardrouter::make_routed_read({0}, {{std::string(kRowSql), {}}});
  const auto bucket_of = [](int64_t key) { return std::vector<std::string>{params_of(key)[0]}; };
  const auto& group = pipeline->groups[0];
  return {{group[0].sql, bucket_of}, {std::string(kRowSql), params_of}, {group[2].sql, bucket_of}};
}

// Until every get of these keys is a hit.
Status fill_cache(Lab& lab, const Config& config) {
  constexpr int kPassesMax = 50;
  size_t hits = 0;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    int64_t key = 0;
    hits = 0;
    Status done = lab.drive(
        config.keys, config.depth, [&] { return key++; },
        [&](int64_t one, std::function<void(Status)> on_done) {
          lab.items().async_get({id_of(one)}, {.timeout = kTimeout},
                                [&, on_done = std::move(on_done)](Items::Answer answer) {
                                  if (answer && answer->origin() == client::Origin::kNode) ++hits;
                                  on_done(answer ? Status{} : std::unexpected(answer.error()));
                                });
        });
    if (!done) return done;
    if (hits == config.keys) return {};
  }
  return fail(ErrorCode::kUnavailable, fmt::format("only {} of {} keys can be kept in the cache", hits, config.keys));
}

Result<std::vector<Contestant>> make_contestants(Lab& lab, const Config& config, const NextKey& next) {
  std::vector<Contestant> all;
  const auto add_rival = [&](std::string name, std::string against, Result<std::unique_ptr<Rival>> rival,
                             const NextKey& keys) -> Status {
    if (!rival) return std::unexpected(rival.error());
    auto shared = std::shared_ptr<Rival>(std::move(*rival));
    all.push_back({std::move(name), std::move(against),
                   [shared, depth = config.depth, keys](size_t reads) { return shared->read(reads, depth, keys); },
                   config.reads});
    return {};
  };
  const auto add_ours = [&](std::string name, std::string against, const NextKey& keys, Lab::Start start) {
    all.push_back({std::move(name), std::move(against),
                   [&lab, depth = config.depth, keys, start = std::move(start)](size_t reads) {
                     return lab.drive(reads, depth, keys, start);
                   },
                   config.reads});
  };
  const std::string conninfo = lab.conninfo();
  const RivalStatement row{std::string(kRowSql), params_of};
  const std::string kLibpq = fmt::format("libpq pipeline, 1 connection, depth {}", config.depth);
  const std::string kLibpqMany = "libpq pipeline, 8 connections, 1 each";
  const std::string kGuarded = "libpq pipeline, with the router's checks";
  if (Status done = add_rival(kLibpq, "", open_libpq_pipeline(conninfo, {row}, 0, 1), next); !done)
    return std::unexpected(done.error());
  auto eight = open_libpq_pipeline(conninfo, {row}, 0, 8);
  if (!eight) return std::unexpected(eight.error());
  all.push_back({kLibpqMany, kLibpq,
                 [shared = std::shared_ptr<Rival>(std::move(*eight)), next](size_t reads) {
                   return shared->read(reads, 8, next);
                 },
                 config.reads});
  if (Status done = add_rival(kGuarded, kLibpq, open_libpq_pipeline(conninfo, guarded_statements(), 1, 1), next); !done)
    return std::unexpected(done.error());
  if (Status done =
          add_rival("libpqxx nontransaction", kLibpq, open_libpqxx(conninfo, row, PqxxMode::kNontransaction), next);
      !done)
    return std::unexpected(done.error());
  if (Status done = add_rival("libpqxx transaction", kLibpq, open_libpqxx(conninfo, row, PqxxMode::kTransaction), next);
      !done)
    return std::unexpected(done.error());

  add_ours("router: pool alone", kLibpq, next, [&lab](int64_t key, std::function<void(Status)> done) {
    const auto params = params_of(key);
    shardrouter::Pipeline pipeline{.kind = shardrouter::Pipeline::Kind::kRead};
    pipeline.groups.push_back({Statement{std::string(kRowSql), {params[0], params[1]}}});
    lab.database()->pool(0)->run(
        shardrouter::ShardPool::Target::kPrimary, {}, std::move(pipeline), kTimeout,
        [done = std::move(done)](Result<std::vector<ResultSet>> results) {
          if (!results) return done(std::unexpected(results.error()));
          done(results->at(0).rows.size() == 1 ? Status{} : fail(ErrorCode::kInternal, "no row"));
        });
  });
  add_ours("router: Database::async_query", kLibpq, next, [&lab](int64_t key, std::function<void(Status)> done) {
    const auto params = params_of(key);
    lab.database()->async_query(
        {bucket_of_natural_key(id_of(key))}, std::vector<Statement>{{std::string(kRowSql), {params[0], params[1]}}},
        {.timeout = kTimeout}, [done = std::move(done)](Result<client::Queried> answer) {
          if (!answer) return done(std::unexpected(answer.error()));
          done(answer->results[0].rows.size() == 1 ? Status{} : fail(ErrorCode::kInternal, "no row"));
        });
  });

  // The node is asked for keys of its own making by GET: the repository's keys may be read that way too.
  const std::string kGet = fmt::format("plain GET, depth {}", config.depth);
  // On a busy machine a node is now and then too far behind to promise anything: those few are counted, not hidden.
  const auto get_item = [&lab](client::Origin origin) {
    struct Tally {
      size_t asked = 0, elsewhere = 0;
    };
    return [&lab, origin, tally = std::make_shared<Tally>()](int64_t key, std::function<void(Status)> done) {
      lab.items().async_get(
          {id_of(key)}, {.timeout = kTimeout}, [done = std::move(done), origin, tally](Items::Answer answer) {
            if (!answer) return done(std::unexpected(answer.error()));
            ++tally->asked;
            if (answer->origin() != origin) ++tally->elsewhere;
            if (answer->is_absent() || tally->elsewhere > 20 + tally->asked / 50)
              return done(
                  fail(ErrorCode::kInternal, fmt::format("{} of {} answers were not of the {}", tally->elsewhere,
                                                         tally->asked, client::to_string(origin))));
            done(Status{});
          });
    };
  };
  if (Status filled = fill_cache(lab, config); !filled) return std::unexpected(filled.error());
  if (Status done =
          add_rival(kGet, "", open_resp(lab.node_port(), [](int64_t key) { return *ItemById::key(id_of(key)); }), next);
      !done)
    return std::unexpected(done.error());
  add_ours("repository: hit", kGet, next, get_item(client::Origin::kNode));
  auto fresh = std::make_shared<int64_t>(config.keys);
  add_ours(
      "repository: miss, load and fill", kLibpq, [fresh] { return (*fresh)++; }, get_item(client::Origin::kPrimary));
  return all;
}

Status run(const Config& config) {
  Lab lab;
  if (Status opened = lab.open(config); !opened) return opened;
  auto random = std::make_shared<Random>(1);
  const NextKey next = [random, keys = config.keys] { return static_cast<int64_t>(random->below(keys)); };
  auto contestants = make_contestants(lab, config, next);
  if (!contestants) return std::unexpected(contestants.error());
  if (Status done = run_contest(*contestants, config.rounds); !done) return done;
  fmt::print("{}", to_table(*contestants));
  if (!config.json.empty()) std::ofstream(config.json) << to_json(*contestants);
  return {};
}

}  // namespace
}  // namespace tidemark::bench

int main(int argc, char** argv) {
  using namespace tidemark;
  bench::Config config;
  io::Options options("router_bench",
                      "Client CPU of one read: router against libpq and libpqxx, repository against GET.");
  options.number("rounds", config.rounds, {.min = 1, .max = 1000}, "slices of each contestant");
  options.number("reads", config.reads, {.min = 10, .max = 100'000}, "reads in one slice");
  options.number("depth", config.depth, {.min = 1, .max = 1024}, "reads under way at once");
  options.number("keys", config.keys, {.min = 100, .max = 1'000'000}, "rows that are read again and again");
  options.text("json", config.json, "a file for the figures");
  if (const auto exit_code = options.parse(argc, argv)) return *exit_code;
  config.miss_keys = (config.rounds + 1) * config.reads;
  std::signal(SIGPIPE, SIG_IGN);
  const Status done = bench::run(config);
  if (done) return io::kExitOk;
  fmt::print(stderr, "router_bench: {}\n", done.error().to_string());
  return io::kExitFailure;
}
