// The cluster as demo and outage matrix use it: started, filled with the catalogue, observed, and a shop to load it.
//
// Threads: one. The oracle's slots exist from before the import on, so that the commit order is complete.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/topology/topology.h"
#include "bench/macro/demo/catalogue.h"
#include "bench/macro/demo/counters.h"
#include "bench/macro/demo/demo_config.h"
#include "bench/macro/demo/shard_commits.h"
#include "bench/macro/demo/shop_database.h"
#include "bench/macro/io/child_process.h"
#include "bench/macro/io/progress_line.h"
#include "bench/macro/io/row_writer.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {

inline std::unexpected<Error> interrupted() {
  return fail(ErrorCode::kUnavailable, "interrupted; there is no verdict");
}

class DemoCluster {
 public:
  // What is stopped in faults and outages.
  static constexpr const char* kPrimary = "s0-primary";
  static constexpr const char* kReplica = "s0-replica1";
  static constexpr const char* kNode = "n2";
  static constexpr const char* kInvalidator = "invalidator";
  static constexpr const char* kRelay = "relay1";
  static constexpr int64_t kHotStockOfPlant = 3;  // --plant oversell: sold out within seconds
  static constexpr std::chrono::seconds kSettleTimeout{60};
  static constexpr std::chrono::milliseconds kSettleInterval{200};

  DemoCluster(const DemoConfig& config, ProgressLine& progress) : config_(config), progress_(progress) {}

  Status start();               // processes, the oracle's slots
  Status fill();                // the import; names() and imported() afterwards
  Status plant();               // --plant lost, oversell
  Status read_bucket_owners();  // again, once buckets have moved
  std::vector<std::filesystem::path> schema_files() const;
  Status stop() { return cluster_->stop_all(); }
  bool is_started() const { return cluster_.has_value(); }

  localcluster::LocalCluster& local() { return *cluster_; }
  ShardCommits& commits() { return *commits_; }
  void drop_commit_reader() { commits_.reset(); }
  const std::vector<std::string>& names() const { return names_; }  // the packages, then the seasonal ones
  std::vector<std::string> imported() const;
  const nlohmann::json& import_details() const { return import_details_; }
  std::string target_of(const std::string& service) const;  // host:port
  bool has_customers() const { return config_.visit_share > 0; }
  size_t shard_of(Bucket bucket) const { return shard_of_bucket_.at(bucket); }
  Result<std::vector<bool>> slots_of(const std::string& node) const;

  // With customers, if the demo has any, unless it bypasses the cache: the other services cannot.
  Result<ChildProcess> start_shop(const std::vector<std::string>& extra, const std::string& name,
                                  bool bypasses_cache = false);
  std::filesystem::path events_file(const std::string& name) const { return config_.directory / (name + ".events"); }
  std::filesystem::path answers_file(const std::string& name) const { return config_.directory / (name + ".answers"); }
  Result<nlohmann::json> shop_report(const std::string& name) const;
  std::unique_ptr<RowWriter> start_row_writer();
  ShopDatabase& shop_database() { return *shop_database_; }

  // Until every node has heard of every commit there is now; asked each kSettleInterval.
  Status settle(const std::function<void()>& on_wait = {}) const;
  Result<Counters> read_counters() const { return bench::read_counters(*cluster_); }
  std::string lines_to_try() const;  // redis-cli, psql, tidemarkctl

 private:
  localcluster::Options cluster_options() const;
  Status clear_directory();
  std::string primary_of(size_t shard) const { return fmt::format("s{}-primary", shard); }
  std::vector<std::string> primaries() const;
  std::vector<CommitStream::Table> oracle_tables() const;
  Status remember_stock();
  Result<std::vector<double>> log_positions() const;  // by shard
  Result<bool> has_settled(const std::vector<double>& goals) const;
  std::vector<std::string> admin_conninfos() const;  // of the primaries, by shard
  Result<Topology> load_topology() const;

  const DemoConfig& config_;
  ProgressLine& progress_;
  std::optional<localcluster::LocalCluster> cluster_;
  std::optional<ShardCommits> commits_;
  std::optional<ShopDatabase> shop_database_;
  PackageIndex index_;
  std::vector<size_t> shard_of_bucket_;
  std::vector<std::string> names_;
  size_t imported_count_ = 0;
  nlohmann::json import_details_ = nlohmann::json::object();
};

}  // namespace tidemark::bench
