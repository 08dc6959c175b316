#include "bench/macro/ryw/ryw_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "base/io/secrets.h"
#include "base/io/system_clock.h"
#include "base/parse.h"
#include "client/client.h"
#include "client/io/client_metrics.h"
#include "client/io/families_file.h"
#include "client/repository.h"
#include "client/session_token.h"

namespace tidemark::bench {
namespace {

using client::Repository;
using client::Session;
using client::TokenKey;
using io::steady_now;
using localcluster::LocalCluster;

struct VersionOfSku : client::KeyFamily<"ryw:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "ryw";
  static constexpr std::string_view kTable = "catalog.product";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
};
using Versions = Repository<VersionOfSku>;

constexpr const char* kSelect =
    "SELECT bucket, sku, row_version FROM catalog.product WHERE bucket = $1::int AND sku = $2";
constexpr const char* kInsert =
    "INSERT INTO catalog.product (bucket, sku) VALUES ($1::int, $2) ON CONFLICT (bucket, sku) DO NOTHING";
constexpr const char* kUpdate =
    "UPDATE catalog.product SET stock = stock + 1 WHERE bucket = $1::int AND sku = $2 RETURNING row_version";
constexpr int kUncachedEvery = 4;
constexpr std::string_view kReplica = "s0-replica1";

std::string sku_of(uint64_t index) {
  return fmt::format("ryw{}", index);
}

// One of the two services.
struct Service {
  std::unique_ptr<client::Client> client;
  std::unique_ptr<Versions> versions;
};

Result<Service> open_service(const LocalCluster& cluster, const std::string& name) {
  client::ClientOptions options;
  options.topology = cluster.topology_address();
  options.passfile = cluster.passfile("tidemark_app").string();
  options.name = name;
  auto opened = client::Client::open(std::move(options));
  if (!opened) return std::unexpected(opened.error().with_context(name));
  Service service;
  service.client = std::move(*opened);
  client::RowSource<VersionOfSku> source;
  source.sql = kSelect;
  source.from_rows = client::one_row<std::string>([](const client::Row& row) -> Result<std::string> {
    auto version = row.text("row_version");
    if (!version) return std::unexpected(version.error());
    return std::string(*version);
  });
  service.versions = std::make_unique<Versions>(service.client->cache(), service.client->database(), source);
  return service;
}

Status insert_skus(Service& service, const RywConfig& config) {
  for (uint64_t i = 0; i < config.skus; ++i) {
    const std::string sku = sku_of(i);
    auto bucket = Versions::bucket_of({sku});
    if (!bucket) return std::unexpected(bucket.error());
    auto written = service.versions->sync().update({sku}, {{kInsert, {std::to_string(*bucket), sku}}},
                                                   {.timeout = config.timeout});
    if (!written) return std::unexpected(written.error().with_context("insert " + sku));
  }
  return {};
}

// Stops and starts the replay until it is told to end.
class ReplayPauser {
 public:
  ReplayPauser(LocalCluster& cluster, Duration pause) : cluster_(cluster), pause_(pause) {}
  ~ReplayPauser() { end(); }

  void begin() {
    thread_ = std::thread([this] { run(); });
  }
  Status end() {
    should_end_ = true;
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  bool is_paused() const { return is_paused_; }
  double paused_seconds() const { return paused_seconds_; }

 private:
  void run() {
    while (!should_end_ && status_) {
      wait(pause_);
      if (should_end_) break;
      status_ = cluster_.pause_replay(kReplica);
      if (!status_) break;
      const Instant begin = steady_now();
      is_paused_ = true;
      wait(pause_);
      is_paused_ = false;
      status_ = cluster_.resume_replay(kReplica);
      paused_seconds_ += static_cast<double>((steady_now() - begin).count()) / 1e6;
    }
  }
  void wait(Duration duration) const {
    const Instant end = steady_now() + duration;
    while (!should_end_ && steady_now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }

  LocalCluster& cluster_;
  Duration pause_;
  std::atomic<bool> should_end_ = false, is_paused_ = false;
  double paused_seconds_ = 0;
  Status status_{};
  std::thread thread_;
};

class Run {
 public:
  Run(const RywConfig& config, const TokenKey& key, Service& a, Service& b, const ReplayPauser& pauser)
      : config_(config), key_(key), services_{&a, &b}, pauser_(pauser) {}

  RywResult run() {
    const Instant begin = steady_now();
    std::vector<std::thread> threads;
    for (uint32_t worker = 0; worker < config_.workers; ++worker)
      threads.emplace_back([this, worker] { work(worker); });
    for (std::thread& thread : threads) thread.join();
    result_.seconds = static_cast<double>((steady_now() - begin).count()) / 1e6;
    return std::move(result_);
  }

 private:
  struct Visitor {
    uint64_t random = 0;
    std::string text;  // of its token: all that it carries
    std::string log;   // of the pair under way
  };

  void work(uint32_t worker) {
    Visitor visitor;
    visitor.random = 0x9E3779B97F4A7C15ull * (worker + 1);
    while (next_pair_.fetch_add(1) < config_.pairs) {
      visitor.random = visitor.random * 6364136223846793005ull + 1442695040888963407ull;
      const std::string sku = sku_of((visitor.random >> 33) % config_.skus);
      Service& writer = *services_[visitor.random >> 20 & 1];
      Service& other = *services_[(visitor.random >> 20 & 1) ^ 1];
      visitor.log = sku;
      one_pair(visitor, sku, writer, other);
    }
  }

  void one_pair(Visitor& visitor, const std::string& sku, Service& writer, Service& other) {
    auto written = write(visitor, writer, sku);
    if (!written) return;
    auto first = read(visitor, other, sku);
    auto second = first ? read(visitor, writer, sku) : std::nullopt;
    std::lock_guard lock(mutex_);
    ++result_.pairs;
    if (first && *first < *written) violation(result_.hidden_writes, visitor);
    if (second && *second < *written) violation(result_.hidden_writes, visitor);
    if (first && second && *second < *first) violation(result_.backwards, visitor);
  }

  std::shared_ptr<Session> begin(const Visitor& visitor) {
    if (!config_.with_token) return nullptr;
    auto session = Session::from_text(visitor.text, key_);
    if (session) return *session;
    error(session.error());
    return std::make_shared<Session>();
  }
  void end(Visitor& visitor, const std::shared_ptr<Session>& session) {
    if (!session) return;
    visitor.text = session->to_text(key_);
    std::lock_guard lock(mutex_);
    result_.token_bytes_max = std::max(result_.token_bytes_max, visitor.text.size());
  }

  std::optional<int64_t> write(Visitor& visitor, Service& service, const std::string& sku) {
    const auto session = begin(visitor);
    const auto bucket = Versions::bucket_of({sku});
    auto written = service.versions->sync().update({sku}, {{kUpdate, {std::to_string(*bucket), sku}}},
                                                   {.timeout = config_.timeout, .session = session});
    end(visitor, session);
    if (!written) return error(written.error());
    const auto& rows = written->results.at(0).rows;
    auto version = rows.empty() ? std::nullopt : parse_i64(rows[0].at(0).value_or(""));
    if (!version) return error({ErrorCode::kInternal, "the write gave no version of " + sku});
    visitor.log +=
        fmt::format(": wrote {} (shard {}, {})", *version, written->token.shard(), written->token.lsn().to_string());
    return version;
  }

  std::optional<int64_t> read(Visitor& visitor, Service& service, const std::string& sku) {
    const auto session = begin(visitor);
    visitor.random = visitor.random * 6364136223846793005ull + 1442695040888963407ull;
    const bool is_uncached = (visitor.random >> 33) % kUncachedEvery == 0;
    const bool was_paused = pauser_.is_paused();
    auto answer = service.versions->sync().get(
        {sku}, {.timeout = config_.timeout, .is_cache_bypassed = is_uncached, .session = session});
    end(visitor, session);
    if (!answer) return error(answer.error());
    auto version = answer->has_value() ? parse_i64(answer->value()) : std::optional<int64_t>(0);
    if (!version) return error({ErrorCode::kInternal, "not a version: " + answer->value()});
    visitor.log += fmt::format(", read {} from {}", *version, client::to_string(answer->origin()));
    std::lock_guard lock(mutex_);
    ++result_.reads;
    const auto origin = static_cast<size_t>(answer->origin());
    ++result_.by_origin.at(origin);
    if (was_paused) ++result_.by_origin_while_paused.at(origin);
    return version;
  }

  void violation(uint64_t& count, const Visitor& visitor) {
    ++count;
    if (result_.examples.size() < RywResult::kExamplesMax) result_.examples.push_back(visitor.log);
  }
  std::nullopt_t error(const Error& error) {
    std::lock_guard lock(mutex_);
    ++result_.errors;
    if (result_.examples.size() < RywResult::kExamplesMax) result_.examples.push_back(error.to_string());
    return std::nullopt;
  }

  const RywConfig& config_;
  const TokenKey& key_;
  std::array<Service*, 2> services_;
  const ReplayPauser& pauser_;
  std::atomic<uint64_t> next_pair_ = 0;
  std::mutex mutex_;
  RywResult result_;
};

Result<TokenKey> key_of(const LocalCluster& cluster) {
  auto secret = io::read_secret_file(cluster.token_key_file());
  if (!secret) return std::unexpected(secret.error());
  return TokenKey::of_bytes(std::move(*secret));
}

void add_session_metrics(RywResult& result, const Service& service) {
  const client::ClientMetrics& metrics = service.client->cache()->metrics();
  result.replica_tried += metrics.value("sessions", "replica_tried");
  result.replica_too_late += metrics.value("sessions", "replica_too_late");
  result.primary_waited += metrics.value("sessions", "primary_waited");
  result.unproven += metrics.value("sessions", "unproven");
}

}  // namespace

Status prepare_ryw(localcluster::Options& options, const std::string& source_directory) {
  const auto families = options.directory.parent_path() / "families.json";
  if (auto written = client::write_families_file(families, client::families_of<VersionOfSku>()); !written)
    return std::unexpected(written.error());
  options.families_file = families;
  options.schema_files = {std::filesystem::path(source_directory) / "services/catalog/schema.sql"};
  options.tables = {"catalog.product"};
  return {};
}

Result<RywResult> run_ryw(const RywConfig& config, LocalCluster& cluster) {
  auto key = key_of(cluster);
  if (!key) return std::unexpected(key.error());
  auto a = open_service(cluster, "ryw-a");
  if (!a) return std::unexpected(a.error());
  auto b = open_service(cluster, "ryw-b");
  if (!b) return std::unexpected(b.error());
  if (auto inserted = insert_skus(*a, config); !inserted) return std::unexpected(inserted.error());
  ReplayPauser pauser(cluster, config.pause);
  pauser.begin();
  RywResult result = Run(config, *key, *a, *b, pauser).run();
  if (auto paused = pauser.end(); !paused) return std::unexpected(paused.error().with_context("pausing the replay"));
  result.paused_seconds = pauser.paused_seconds();
  add_session_metrics(result, *a);
  add_session_metrics(result, *b);
  return result;
}

}  // namespace tidemark::bench
