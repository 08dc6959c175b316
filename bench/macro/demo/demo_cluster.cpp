#include "bench/macro/demo/demo_cluster.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "bench/macro/demo/plants.h"
#include "bench/macro/goods.h"
#include "bench/macro/io/session_key.h"
#include "bench/macro/product_content.h"

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;

std::string in_milliseconds(Duration duration) {
  return fmt::format("{}ms", duration.count() / 1000);
}

std::string list(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += fmt::format("\n    {}", text);
  return all;
}

}  // namespace

localcluster::Options DemoCluster::cluster_options() const {
  localcluster::Options options;
  options.directory = config_.directory / "cluster";
  options.shards = config_.shards;
  options.fsync = true;
  options.with_catalog = true;
  options.schema_files = schema_files();
  options.tables = {"catalog.product"};
  if (has_customers()) {
    options.with_sessions = options.with_orders = true;
    options.relays = config_.relays;
    options.tables.insert(options.tables.end(), {"session.session", "shop.orders"});
  }
  options.families_of_services = true;
  if (config_.plant == Plant::kStale) options.invalidator_arguments = {"--plant-mute-invalidations"};
  return options;
}

std::vector<std::filesystem::path> DemoCluster::schema_files() const {
  std::vector<std::filesystem::path> files{config_.source / "services/catalog/schema.sql"};
  if (!has_customers()) return files;
  files.push_back(config_.source / "services/session/schema.sql");
  files.push_back(config_.source / "services/order/schema.sql");
  return files;
}

Status DemoCluster::plant() {
  if (config_.plant == Plant::kLost) return make_commits_volatile(*cluster_, kPrimary);
  if (config_.plant == Plant::kOversell) return forget_to_look_at_the_stock(*cluster_, primaries());
  return {};
}

// What an earlier demo left is removed, unless it still runs. Only what a demo writes: DIR/cluster and its own files.
Status DemoCluster::clear_directory() {
  const auto left = config_.directory / "cluster";
  if (const auto earlier = localcluster::LocalCluster::attach(left)) {
    const auto processes = earlier->processes();
    if (std::ranges::any_of(processes, &localcluster::ProcessInfo::is_running)) {
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("a demo still runs in {}: end it with `tools/demo stop`, or choose another --dir",
                              config_.directory.string()));
    }
  }
  std::error_code error;
  std::filesystem::remove_all(left, error);
  if (error) return fail(ErrorCode::kUnavailable, fmt::format("cannot remove {}: {}", left.string(), error.message()));
  for (const auto& entry : std::filesystem::directory_iterator(config_.directory, error)) {
    const auto extension = entry.path().extension();
    if (extension == ".log" || extension == ".json" || extension == ".answers" || extension == ".events")
      std::filesystem::remove(entry.path(), error);
  }
  return {};
}

Status DemoCluster::start() {
  auto index = read_package_index(config_.packages);  // first: without it there is nothing to start for
  if (!index) return std::unexpected(index.error());
  index_ = std::move(*index);
  if (auto status = clear_directory(); !status) return status;
  progress_.say(fmt::format("starting {} shards (each primary and replica, fsync on), 3 cache nodes, invalidator, {}",
                            config_.shards, has_customers() ? "catalog, sessions, orders and relays" : "catalog"));
  auto cluster = localcluster::LocalCluster::create(cluster_options());
  if (!cluster) return std::unexpected(cluster.error());
  cluster_.emplace(std::move(*cluster));
  if (auto status = cluster_->start(); !status) return status;
  if (auto status = read_bucket_owners(); !status) return status;
  auto commits = ShardCommits::create({.conninfos = admin_conninfos(),
                                       .tables = oracle_tables(),
                                       .shard_of = [this](Bucket bucket) { return shard_of(bucket); }});
  if (!commits) return std::unexpected(commits.error());
  commits_.emplace(std::move(*commits));
  shop_database_.emplace(*cluster_, primaries());
  return {};
}

std::vector<CommitStream::Table> DemoCluster::oracle_tables() const {
  std::vector<CommitStream::Table> tables = {{.content_columns = product_content_columns()}};
  if (!has_customers()) return tables;
  tables.push_back({.name = "shop.orders", .key_column = "id", .state_column = "state", .key_prefix = "order:"});
  tables.push_back(
      {.name = "session.session", .key_column = "token_digest", .key_prefix = std::string(kSessionKeyPrefix)});
  return tables;
}

std::vector<std::string> DemoCluster::primaries() const {
  std::vector<std::string> names;
  for (size_t shard = 0; shard < config_.shards; ++shard) names.push_back(primary_of(shard));
  return names;
}

std::vector<std::string> DemoCluster::admin_conninfos() const {
  std::vector<std::string> conninfos;
  for (const std::string& primary : primaries()) conninfos.push_back(cluster_->admin_conninfo(primary));
  return conninfos;
}

// While answers are judged no bucket moves: what the topology says at the start holds to the end.
Status DemoCluster::read_bucket_owners() {
  const auto topology = load_topology();
  if (!topology) return std::unexpected(topology.error());
  shard_of_bucket_.clear();
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    const auto owner = topology->owner_of_bucket(static_cast<Bucket>(bucket));
    if (!owner) return fail(ErrorCode::kCorrupt, fmt::format("the topology names no shard for bucket {}", bucket));
    shard_of_bucket_.push_back(owner->shard);
  }
  return {};
}

Result<Topology> DemoCluster::load_topology() const {
  const auto store = io::open_topology_store(cluster_->topology_address());
  if (!store) return std::unexpected(store.error());
  return store->load();
}

Status DemoCluster::fill() {
  const std::vector<Package>& packages = index_.packages();
  progress_.say(fmt::format("the package index: {} packages in {} stanzas, {} duplicates, {} malformed{}",
                            packages.size(), index_.stanzas(), index_.duplicates(), index_.malformed(),
                            list(index_.malformed_examples())));
  const auto show = [&](uint64_t sent) {
    progress_.show(fmt::format("importing: {} of {} sent, {} committed", sent, packages.size(), commits_->commits()));
  };
  auto imported = import_packages(target_of("catalog"), packages,
                                  {.seed = config_.seed,
                                   .hot_stock = config_.plant == Plant::kOversell ? kHotStockOfPlant : Goods::kHotStock,
                                   .on_progress = show});
  if (!imported) return std::unexpected(imported.error());
  progress_.say(fmt::format("imported {} packages in {:.1f} s ({:.0f}/s), {} rejected{}", imported->stored,
                            imported->seconds, static_cast<double>(imported->stored) / imported->seconds,
                            imported->rejected, list(imported->rejections)));
  for (const Package& package : packages) names_.push_back(package.name);
  imported_count_ = names_.size();
  for (uint32_t i = 0; i < config_.seasonal_count; ++i) names_.push_back(fmt::format("tidemark-seasonal-{}", i));
  import_details_ = {{"packages", packages.size()},
                     {"stanzas", index_.stanzas()},
                     {"duplicates", index_.duplicates()},
                     {"malformed", index_.malformed()},
                     {"malformed_examples", index_.malformed_examples()},
                     {"stored", imported->stored},
                     {"rejected", imported->rejected},
                     {"rejections", imported->rejections},
                     {"seconds", imported->seconds}};
  if (imported->rejected > 0) {
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("the service rejected {} packages of the index", imported->rejected));
  }
  std::ofstream file(config_.directory / "skus.txt");
  for (const std::string& name : names_) file << name << '\n';
  if (!file.flush())
    return fail(ErrorCode::kUnavailable, fmt::format("cannot write {}/skus.txt", config_.directory.string()));
  if (has_customers()) {
    if (auto status = remember_stock(); !status) return status;
  }
  // The load begins when every node has heard of every commit of the import: what is measured is the system at work,
  // not the tail of the import.
  return settle([this] { progress_.show("waiting until every node has heard of every imported row"); });
}

Result<std::vector<double>> DemoCluster::log_positions() const {
  std::vector<double> positions;
  for (const std::string& primary : primaries()) {
    const auto text = cluster_->psql(primary, "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint");
    if (!text) return std::unexpected(text.error());
    const auto position = parse_i64(std::string_view(*text).substr(0, text->find('\n')));
    if (!position) return fail(ErrorCode::kCorrupt, fmt::format("Postgres gave the position '{}'", *text));
    positions.push_back(static_cast<double>(*position));
  }
  return positions;
}

Status DemoCluster::settle(const std::function<void()>& on_wait) const {
  const auto goals = log_positions();
  if (!goals) return std::unexpected(goals.error());
  const auto deadline = std::chrono::steady_clock::now() + kSettleTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    if (const auto settled = has_settled(*goals); settled && *settled) return {};
    if (on_wait) on_wait();
    std::this_thread::sleep_for(kSettleInterval);
  }
  return fail(ErrorCode::kDeadlineExceeded,
              fmt::format("the nodes have not heard of every commit after {} s", kSettleTimeout.count()));
}

Result<bool> DemoCluster::has_settled(const std::vector<double>& goals) const {
  const auto counters = read_counters();
  if (!counters) return std::unexpected(counters.error());
  for (size_t shard = 0; shard < goals.size(); ++shard) {
    const std::string label = std::to_string(shard);
    for (const auto& [name, metrics] : counters->nodes)
      if (metrics.lowest("tidemark_cache_tide_mark_lsn", {{"shard", label}}).value_or(0) < goals[shard]) return false;
  }
  return true;
}

std::vector<std::string> DemoCluster::imported() const {
  return {names_.begin(), names_.begin() + static_cast<std::ptrdiff_t>(imported_count_)};
}

std::string DemoCluster::target_of(const std::string& service) const {
  const auto process = cluster_->process(service);
  return fmt::format("127.0.0.1:{}", process && !process->ports.empty() ? process->ports.front() : 0);
}

// Before anybody orders.
Status DemoCluster::remember_stock() {
  const Goods goods(static_cast<uint32_t>(imported_count_));
  std::vector<std::string> skus;
  for (uint32_t place = 0; place < goods.count(); ++place) skus.push_back(names_[goods.product_at(place)]);
  return shop_database_->remember_stock(skus);
}

Result<std::vector<bool>> DemoCluster::slots_of(const std::string& node) const {
  const auto topology = load_topology();
  if (!topology) return std::unexpected(topology.error());
  std::vector<bool> slots(kSlotCount);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const Node* owner = topology->primary_of_slot(static_cast<Slot>(slot));
    slots[slot] = owner != nullptr && owner->id == node;
  }
  return slots;
}

Result<ChildProcess> DemoCluster::start_shop(const std::vector<std::string>& extra, const std::string& name,
                                             bool bypasses_cache) {
  std::vector<std::string> arguments = {cluster_->binary("tidemark-shop").string(),
                                        "--target",
                                        target_of("catalog"),
                                        "--skus",
                                        (config_.directory / "skus.txt").string(),
                                        "--rare",
                                        std::to_string(config_.seasonal_count),
                                        "--rate",
                                        fmt::format("{}", config_.rate),
                                        "--deadline",
                                        in_milliseconds(config_.deadline),
                                        "--answers",
                                        answers_file(name).string(),
                                        "--json",
                                        (config_.directory / ("shop-" + name + ".json")).string(),
                                        "--progress"};
  const auto add = [&](std::initializer_list<std::string> more) { arguments.insert(arguments.end(), more); };
  if (bypasses_cache) add({"--bypass-cache"});
  if (has_customers() && !bypasses_cache) {
    add({"--session-target", target_of("session"), "--order-target", target_of("order"), "--events",
         events_file(name).string(), "--order-deadline", in_milliseconds(config_.order_deadline), "--visit-share",
         fmt::format("{}", config_.visit_share)});
  }
  if (!bypasses_cache) {
    add({"--section-share", fmt::format("{}", config_.section_share), "--search-share",
         fmt::format("{}", config_.search_share)});
  }
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  return ChildProcess::start({.arguments = std::move(arguments),
                              .environment = {},
                              .error_log = config_.directory / ("shop-" + name + ".log")});
}

Result<nlohmann::json> DemoCluster::shop_report(const std::string& name) const {
  const auto path = config_.directory / ("shop-" + name + ".json");
  std::ifstream file(path);
  auto report = nlohmann::json::parse(file, nullptr, false);
  if (!report.is_object()) return fail(ErrorCode::kCorrupt, fmt::format("{} holds no report", path.string()));
  return report;
}

std::unique_ptr<RowWriter> DemoCluster::start_row_writer() {
  return RowWriter::start({.conninfos = admin_conninfos(),
                           .shard_of = [this](Bucket bucket) { return shard_of(bucket); },
                           .log = config_.directory / "psql.log",
                           .names = &names_,
                           .seasonal_count = config_.seasonal_count,
                           .rate = config_.writer_rate * (config_.plant == Plant::kLost ? 5 : 1),  // more to lose
                           .seed = config_.seed + 1,
                           .shop_seed = config_.seed});
}

std::string DemoCluster::lines_to_try() const {
  const auto node = cluster_->process("n1");
  const std::string sku = std::ranges::find(names_, "bash") != names_.end() ? "bash" : names_.front();
  const std::string tools = cluster_->binary("tidemarkctl").string();
  std::string lines = "everything is still running; try, then end it with `tools/demo stop`:\n";
  lines += fmt::format("  redis-cli -c -p {} CLUSTER NODES\n", node && !node->ports.empty() ? node->ports.front() : 0);
  lines += fmt::format("  redis-cli -c -p {} VERIFY 'product:{{{}}}'\n",
                       node && !node->ports.empty() ? node->ports.front() : 0, sku);
  lines += fmt::format("  psql '{}' -c \"UPDATE catalog.product SET stock = 42 WHERE sku = '{}'\"\n",
                       cluster_->admin_conninfo(primary_of(shard_of(bucket_of_natural_key(sku)))), sku);
  lines += fmt::format("  {} call {} tidemark.catalog.v1.Catalog/GetProduct '{{\"sku\": \"{}\"}}'\n", tools,
                       target_of("catalog"), sku);
  if (has_customers()) {
    const Goods goods(static_cast<uint32_t>(imported_count_));
    const std::string& good = names_[goods.product_at(goods.count() - 1)];
    lines += fmt::format("  {} call {} tidemark.session.v1.Sessions/CreateSession '{{}}'   # a new customer: its id\n",
                         tools, target_of("session"));
    lines += fmt::format(
        "  {} call {} tidemark.order.v1.Orders/PlaceOrder '{{\"customer_id\": \"CUSTOMER_ID\", \"idempotency_key\": "
        "\"one\", \"lines\": [{{\"sku\": \"{}\", \"quantity\": \"1\"}}]}}'\n",
        tools, target_of("order"), good);
    lines += fmt::format("  {} call {} tidemark.order.v1.Orders/ListOrders '{{\"customer_id\": \"CUSTOMER_ID\"}}'\n",
                         tools, target_of("order"));
  }
  lines += fmt::format("  {} status --topology {}\n", tools, cluster_->topology_address());
  return lines;
}

}  // namespace tidemark::bench
