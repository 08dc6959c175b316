#include "bench/macro/demo/demo_cluster.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "bench/macro/goods.h"
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
  options.schema_files = {config_.source / "services/catalog/schema.sql"};
  options.tables = {"catalog.product"};
  options.families_of_services = true;
  if (config_.plant == Plant::kStale) options.invalidator_arguments = {"--plant-mute-invalidations"};
  return options;
}

// Commits are acknowledged before they are on disk, and stay in memory for up to ten seconds: a crash loses them. What
// a battery-less controller or a careless setting does; the fault script then crashes the server.
Status DemoCluster::make_commits_volatile() {
  for (const char* sql :
       {"ALTER SYSTEM SET synchronous_commit = off", "ALTER SYSTEM SET wal_writer_delay = '10s'",
        "ALTER SYSTEM SET full_page_writes = off",  // small records: many commits in the unwritten page
        "SELECT pg_reload_conf()"}) {
    if (auto done = cluster_->psql(kPrimary, sql); !done) return std::unexpected(done.error());
  }
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
    if (extension == ".log" || extension == ".json" || extension == ".answers")
      std::filesystem::remove(entry.path(), error);
  }
  return {};
}

Status DemoCluster::start() {
  auto index = read_package_index(config_.packages);  // first: without it there is nothing to start for
  if (!index) return std::unexpected(index.error());
  index_ = std::move(*index);
  if (auto status = clear_directory(); !status) return status;
  progress_.say(fmt::format(
      "starting {} shards (each primary and replica, fsync on), 3 cache nodes, invalidator and catalog service",
      config_.shards));
  auto cluster = localcluster::LocalCluster::create(cluster_options());
  if (!cluster) return std::unexpected(cluster.error());
  cluster_.emplace(std::move(*cluster));
  if (auto status = cluster_->start(); !status) return status;
  if (auto status = read_bucket_owners(); !status) return status;
  auto commits = ShardCommits::create({.conninfos = admin_conninfos(),
                                       .tables = {{.content_columns = product_content_columns()}},
                                       .shard_of = [this](Bucket bucket) { return shard_of(bucket); }});
  if (!commits) return std::unexpected(commits.error());
  commits_.emplace(std::move(*commits));
  return {};
}

std::vector<std::string> DemoCluster::admin_conninfos() const {
  std::vector<std::string> conninfos;
  for (size_t shard = 0; shard < config_.shards; ++shard)
    conninfos.push_back(cluster_->admin_conninfo(primary_of(shard)));
  return conninfos;
}

// The demo moves no buckets: what the topology says at the start holds to the end.
Status DemoCluster::read_bucket_owners() {
  const auto topology = load_topology();
  if (!topology) return std::unexpected(topology.error());
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
  auto imported = import_packages(catalog_target(), packages,
                                  {.seed = config_.seed, .hot_stock = Goods::kHotStock, .on_progress = show});
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
  return settle();
}

// The load begins when every node has heard of every commit of the import: what is measured is the system at work, not
// the tail of the import.
Status DemoCluster::settle() {
  std::vector<double> goals;  // positions in the log, by shard
  for (size_t shard = 0; shard < config_.shards; ++shard) {
    const auto text = cluster_->psql(primary_of(shard), "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint");
    if (!text) return std::unexpected(text.error());
    const auto goal = parse_i64(std::string_view(*text).substr(0, text->find('\n')));
    if (!goal) return fail(ErrorCode::kCorrupt, fmt::format("Postgres gave the position '{}'", *text));
    goals.push_back(static_cast<double>(*goal));
  }
  const auto deadline = std::chrono::steady_clock::now() + kSettleTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    if (const auto settled = has_settled(goals); settled && *settled) return {};
    progress_.show("waiting until every node has heard of every imported row");
    std::this_thread::sleep_for(kSettleInterval);
  }
  return fail(ErrorCode::kDeadlineExceeded,
              fmt::format("the nodes have not heard of the whole import after {} s", kSettleTimeout.count()));
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

std::string DemoCluster::catalog_target() const {
  const auto catalog = cluster_->process("catalog");
  return fmt::format("127.0.0.1:{}", catalog && !catalog->ports.empty() ? catalog->ports.front() : 0);
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

Result<ChildProcess> DemoCluster::start_shop(const std::vector<std::string>& extra, const std::string& name) {
  std::vector<std::string> arguments = {cluster_->binary("tidemark-shop").string(),
                                        "--target",
                                        catalog_target(),
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
                       catalog_target(), sku);
  lines += fmt::format("  {} status --topology {}\n", tools, cluster_->topology_address());
  return lines;
}

}  // namespace tidemark::bench
