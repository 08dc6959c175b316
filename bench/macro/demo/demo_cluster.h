// The cluster as demo and outage matrix use it: started, filled with the catalogue, observed, and a shop to load it.
//
// Threads: one. The oracle's slot exists from before the import on, so that the commit order is complete.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/macro/demo/catalogue.h"
#include "bench/macro/demo/demo_config.h"
#include "bench/macro/io/child_process.h"
#include "bench/macro/io/commit_reader.h"
#include "bench/macro/io/http_get.h"
#include "bench/macro/io/progress_line.h"
#include "bench/macro/io/row_writer.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {

inline std::unexpected<Error> interrupted() {
  return fail(ErrorCode::kUnavailable, "interrupted; there is no verdict");
}

// Counters of all programs at one moment.
struct Counters {
  std::map<std::string, MetricsText> nodes;
  MetricsText catalog;
  double pg_rows_read = 0;  // rows of catalog.product that Postgres read, primary and replica
};

class DemoCluster {
 public:
  static constexpr const char* kPrimary = "s0-primary";
  static constexpr const char* kReplica = "s0-replica1";
  static constexpr const char* kNode = "n2";  // the one that is killed
  static constexpr std::chrono::seconds kSettleTimeout{60};
  static constexpr std::chrono::milliseconds kSettleInterval{200};

  DemoCluster(const DemoConfig& config, ProgressLine& progress) : config_(config), progress_(progress) {}

  Status start();                  // processes, the oracle's slot
  Status fill();                   // the import; names() and imported() afterwards
  Status make_commits_volatile();  // --plant lost
  Status stop() { return cluster_->stop_all(); }
  bool is_started() const { return cluster_.has_value(); }

  localcluster::LocalCluster& local() { return *cluster_; }
  CommitReader& commits() { return *commits_; }
  void drop_commit_reader() { commits_.reset(); }
  const std::vector<std::string>& names() const { return names_; }  // the packages, then the seasonal ones
  std::vector<std::string> imported() const;
  const nlohmann::json& import_details() const { return import_details_; }
  std::string catalog_target() const;
  Result<std::vector<bool>> slots_of(const std::string& node) const;

  Result<ChildProcess> start_shop(const std::vector<std::string>& extra, const std::string& name);
  std::filesystem::path answers_file(const std::string& name) const { return config_.directory / (name + ".answers"); }
  Result<nlohmann::json> shop_report(const std::string& name) const;
  std::unique_ptr<RowWriter> start_row_writer();

  Result<Counters> read_counters() const;
  std::string lines_to_try() const;  // redis-cli, psql, tidemarkctl

 private:
  localcluster::Options cluster_options() const;
  std::filesystem::path families_file() const { return config_.directory / "families.json"; }
  Status clear_directory();
  Status settle();
  Status write_families();

  const DemoConfig& config_;
  ProgressLine& progress_;
  std::optional<localcluster::LocalCluster> cluster_;
  std::unique_ptr<CommitReader> commits_;
  PackageIndex index_;
  std::vector<std::string> names_;
  size_t imported_count_ = 0;
  nlohmann::json import_details_ = nlohmann::json::object();
};

}  // namespace tidemark::bench
