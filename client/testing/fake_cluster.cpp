#include "client/testing/fake_cluster.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "base/parse.h"
#include "base/testing/fake_resp_server.h"
#include "client/testing/fake_shard_pool.h"
#include "client/testing/scripted_node.h"

namespace tidemark::testing {
namespace {

namespace asio = boost::asio;
using shardrouter::ResultSet;
using shardrouter::ShardPool;
using shardrouter::Statement;
using Texts = std::vector<std::string>;

bool has(const Statement& statement, std::string_view part) {
  return statement.sql.find(part) != std::string::npos;
}

// The items of {"a","b\"c"}, or of {1,2}.
Texts array_items(std::string_view literal) {
  Texts items;
  std::string item;
  bool is_quoted = false;
  for (size_t i = 1; i + 1 < literal.size(); ++i) {
    const char c = literal[i];
    if (c == '\\' && i + 2 < literal.size()) {
      item += literal[++i];
    } else if (c == '"') {
      is_quoted = !is_quoted;
    } else if (c == ',' && !is_quoted) {
      items.push_back(std::exchange(item, {}));
    } else {
      item += c;
    }
  }
  if (literal.size() > 2) items.push_back(std::move(item));
  return items;
}

ResultSet one_row_of(std::vector<std::pair<std::string, std::optional<std::string>>> cells) {
  ResultSet set;
  set.rows.emplace_back();
  for (auto& [column, text] : cells) {
    set.columns.push_back(std::move(column));
    set.rows[0].push_back(std::move(text));
  }
  return set;
}

std::shared_ptr<const Topology> topology_of(uint16_t port) {
  auto topology = std::make_shared<Topology>();
  topology->version = 1;
  topology->slots_version = 1;
  topology->nodes.push_back({"n1", "127.0.0.1", {port}, 0, 1});
  topology->groups.push_back({"g1", 1, {"n1"}, 1.0});
  topology->slot_groups.assign(kSlotCount, 0);
  topology->shards.push_back({0, {{"s0-primary", ShardServer::Role::kPrimary, ""}}});
  topology->buckets.assign(kBucketCount, BucketOwner{0, ScriptedNode::kBucketEpoch});
  return topology;
}

}  // namespace

// Everything behind one lock; the loop's thread takes it for each request, tests for each step.
class FakeCluster::World {
 public:
  World() : work_(context_.get_executor()) {
    start_node();
    const auto topology = topology_of(server_->port());
    cache_ = client::CacheClient::create(context_, topology, {});
    client::DatabaseOptions options;
    options.make_pool = [this](const Shard&) {
      return std::make_shared<FakeShardPool>(context_, [this](const FakeShardPool::Run& run) { return query(run); });
    };
    database_ = client::Database::create(context_, topology, std::move(options));
    loop_ = std::thread([this] { context_.run(); });
  }
  ~World() {
    on_loop([this] {
      cache_->close();
      database_->close();
      server_.reset();
    });
    work_.reset();
    context_.stop();
    loop_.join();
  }

  // Runs on the loop's thread and waits: sockets are touched nowhere else.
  void on_loop(std::function<void()> work) {
    std::promise<void> done;
    asio::post(context_, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  void start_node() {
    server_ =
        std::make_unique<FakeRespServer>(context_, [this](const Texts& request) { return answer(request); }, port_);
    port_ = server_->port();
  }
  void stop_node() {
    server_.reset();
    const std::lock_guard lock(mutex_);
    node_.clear();
    is_joined_ = false;
  }
  void rejoin() {
    const std::lock_guard lock(mutex_);
    is_joined_ = true;
    delivered_ = wal_.end();
  }

  void commit(std::vector<ScriptedWal::Change> changes, Texts other_keys = {}) {
    const std::lock_guard lock(mutex_);
    commit_locked(std::move(changes), std::move(other_keys));
  }

  // Under the lock: what is not held moves on to the present.
  void settle() {
    if (!is_replay_held_) replayed_ = wal_.end();
    if (is_stream_held_ || !is_joined_) return;
    for (const auto& commit : wal_.commits()) {
      if (commit.end > delivered_) node_.apply(commit);
    }
    delivered_ = wal_.end();
    node_.fence(clock_.now());
  }

  std::mutex mutex_;
  ManualClock clock_;
  ScriptedWal wal_;
  ScriptedNode node_;
  std::vector<Source> sources_;
  OnWrite on_write_;
  bool is_stream_held_ = false, is_replay_held_ = false, is_replica_used_ = false, is_joined_ = true;
  Lsn delivered_, replayed_;
  std::optional<Error> primary_error_, replica_error_;
  size_t loads_ = 0;
  std::vector<Texts> requests_;

  std::shared_ptr<client::CacheClient> cache_;
  std::shared_ptr<client::Database> database_;

 private:
  void commit_locked(std::vector<ScriptedWal::Change> changes, Texts other_keys) {
    wal_.commit(std::move(changes), std::move(other_keys));
    settle();
  }

  std::string answer(const Texts& request) {
    const std::lock_guard lock(mutex_);
    settle();
    requests_.push_back(request);
    return node_.answer(request, clock_.now());
  }

  FakeShardPool::Results query(const FakeShardPool::Run& run) {
    const std::lock_guard lock(mutex_);
    settle();
    const bool is_replica = run.target == ShardPool::Target::kReplica;
    if (is_replica && (!is_replica_used_ || replayed_ < run.at_least)) {
      return fail(ErrorCode::kFailedPrecondition, "no replica has replayed that far");
    }
    if (const auto& error = is_replica ? replica_error_ : primary_error_) return std::unexpected(*error);
    Writing writing;
    std::vector<ResultSet> results;
    for (const auto& group : run.pipeline.groups) {
      for (const Statement& statement : group) {
        auto result = statement_result(statement, is_replica, writing);
        if (!result) return std::unexpected(result.error());
        results.push_back(std::move(*result));
      }
    }
    return results;
  }

  struct Writing {
    std::vector<ScriptedWal::Change> changes;
    Texts other_keys;
  };

  Result<ResultSet> statement_result(const Statement& statement, bool is_replica, Writing& writing) {
    const Lsn position = is_replica ? replayed_ : wal_.end();
    const std::string here = position.to_string();
    if (has(statement, "AS standby")) {
      const Xid next = wal_.next_xid();
      return one_row_of({{"standby", is_replica ? "t" : "f"},
                         {"replayed", here},
                         {"xmax", std::to_string(next)},
                         {"age", std::to_string(static_cast<int32_t>(static_cast<uint32_t>(next) - 3))}});
    }
    if (has(statement, "AS upper")) return one_row_of({{"upper", here}, {"replayed", here}, {"xid", std::nullopt}});
    if (has(statement, "AS inserted"))
      return one_row_of({{"e", std::to_string(ScriptedNode::kDbEpoch)}, {"inserted", here}});
    if (has(statement, "tm_snapshot")) return load(statement, position);
    if (has(statement, "shard.guard(")) return one_row_of({{"guard", std::to_string(ScriptedNode::kDbEpoch)}});
    if (has(statement, "pg_current_xact_id()")) return one_row_of({{"xid", std::to_string(wal_.next_xid())}});
    if (has(statement, "pg_logical_emit_message")) return emit(statement, writing);
    if (has(statement, "SELECT pg_current_wal_insert_lsn()")) return one_row_of({{"lsn", here}});
    if (statement.sql.starts_with("BEGIN")) return ResultSet{{}, {}, "BEGIN", 0};
    if (statement.sql.starts_with("COMMIT")) {
      if (!writing.changes.empty() || !writing.other_keys.empty()) {
        commit_locked(std::exchange(writing.changes, {}), std::exchange(writing.other_keys, {}));
      }
      return ResultSet{{}, {}, "COMMIT", 0};
    }
    if (!on_write_) {
      return fail(
          ErrorCode::kInvalidArgument,
          "the make-believe shard does not know this statement; give on_write a function that does: " + statement.sql);
    }
    auto done = on_write_(statement);
    if (!done) return std::unexpected(done.error());
    for (auto& change : done->changes) writing.changes.push_back(std::move(change));
    return std::move(done->result);
  }

  // Messages of prefix cache.inval name further keys, one a line.
  static Result<ResultSet> emit(const Statement& statement, Writing& writing) {
    if (has(statement, "cache.inval") && !statement.params.empty() && statement.params.back()) {
      for (std::string_view key : split(*statement.params.back(), '\n')) writing.other_keys.emplace_back(key);
    }
    return one_row_of({{"emitted", "t"}});
  }

  Result<ResultSet> load(const Statement& statement, Lsn position) {
    ++loads_;
    for (const Source& source : sources_) {
      const bool is_batch = !source.batch_sql.empty() && has(statement, source.batch_sql);
      if (is_batch || has(statement, source.sql)) return load_from(source, statement, is_batch, position);
    }
    return fail(ErrorCode::kInvalidArgument,
                "the make-believe shard does not know this load; give its RowSource to serve(): " + statement.sql);
  }

  Result<ResultSet> load_from(const Source& source, const Statement& statement, bool is_batch, Lsn position) {
    std::vector<Texts> columns;  // buckets, then one per part
    for (const auto& param : statement.params) {
      columns.push_back(is_batch ? array_items(param.value_or("")) : Texts{param.value_or("")});
    }
    ResultSet set;
    set.columns = {"tm_e", "tm_bucket", "tm_state", "tm_epoch", "tm_forward", "tm_snapshot", "tm_found", "bucket"};
    const std::string next = std::to_string(wal_.next_xid());
    for (size_t k = 0; k < columns[0].size(); ++k) {
      std::vector<std::string_view> parts;
      for (size_t i = 1; i < columns.size(); ++i) parts.emplace_back(columns[i].at(k));
      auto key = source.pattern.render(parts);
      if (!key) return std::unexpected(key.error());
      const std::vector<std::optional<std::string>> proof = {
          std::to_string(ScriptedNode::kDbEpoch),     columns[0][k], "owned",
          std::to_string(ScriptedNode::kBucketEpoch), std::nullopt,  next + ":" + next + ":"};
      const auto rows = wal_.rows_at(*key, position);
      for (const FakeRow& row : rows) append(set, proof, columns[0][k], row);
      if (rows.empty()) set.rows.push_back(proof);
    }
    for (auto& row : set.rows) row.resize(set.columns.size());
    return set;
  }

  static void append(ResultSet& set, std::vector<std::optional<std::string>> cells, const std::string& bucket,
                     const FakeRow& row) {
    cells.emplace_back("t");
    cells.emplace_back(bucket);
    for (const auto& [column, text] : row) {
      auto at = std::find(set.columns.begin(), set.columns.end(), column);
      const auto index = static_cast<size_t>(at - set.columns.begin());
      if (at == set.columns.end()) set.columns.push_back(column);
      if (cells.size() <= index) cells.resize(index + 1);
      cells[index] = text;
    }
    set.rows.push_back(std::move(cells));
  }

  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::unique_ptr<FakeRespServer> server_;
  uint16_t port_ = 0;
  std::thread loop_;
};

FakeCluster::FakeCluster() : world_(std::make_unique<World>()) {}
FakeCluster::~FakeCluster() = default;

const std::shared_ptr<client::CacheClient>& FakeCluster::cache() const {
  return world_->cache_;
}
const std::shared_ptr<client::Database>& FakeCluster::database() const {
  return world_->database_;
}
ManualClock& FakeCluster::clock() {
  return world_->clock_;
}

void FakeCluster::add_source(Source source) {
  const std::lock_guard lock(world_->mutex_);
  world_->sources_.push_back(std::move(source));
}
std::vector<FakeRow> FakeCluster::rows_of(const std::string& key) const {
  const std::lock_guard lock(world_->mutex_);
  return world_->wal_.rows_at(key, world_->wal_.end());
}
bool FakeCluster::holds(const std::string& key) const {
  const std::lock_guard lock(world_->mutex_);
  world_->settle();
  return world_->node_.holds(key);
}
void FakeCluster::on_write(OnWrite handler) {
  const std::lock_guard lock(world_->mutex_);
  world_->on_write_ = std::move(handler);
}
void FakeCluster::commit(std::vector<ScriptedWal::Change> changes) {
  world_->commit(std::move(changes));
}

void FakeCluster::hold_stream(bool is_held) {
  const std::lock_guard lock(world_->mutex_);
  world_->settle();  // up to now
  world_->is_stream_held_ = is_held;
  world_->settle();
}
void FakeCluster::hold_replay(bool is_held) {
  const std::lock_guard lock(world_->mutex_);
  world_->settle();
  world_->is_replay_held_ = is_held;
  world_->settle();
}
void FakeCluster::use_replica(bool is_used) {
  const std::lock_guard lock(world_->mutex_);
  world_->is_replica_used_ = is_used;
}

void FakeCluster::stop_node() {
  world_->on_loop([this] { world_->stop_node(); });
}
void FakeCluster::start_node() {
  world_->on_loop([this] {
    world_->start_node();
    world_->rejoin();
  });
}
void FakeCluster::fail_primary(std::optional<Error> error) {
  const std::lock_guard lock(world_->mutex_);
  world_->primary_error_ = std::move(error);
}
void FakeCluster::fail_replica(std::optional<Error> error) {
  const std::lock_guard lock(world_->mutex_);
  world_->replica_error_ = std::move(error);
}

size_t FakeCluster::loads() const {
  const std::lock_guard lock(world_->mutex_);
  return world_->loads_;
}
std::vector<std::vector<std::string>> FakeCluster::requests(std::string_view command) const {
  const std::lock_guard lock(world_->mutex_);
  std::vector<Texts> found;
  for (const Texts& request : world_->requests_) {
    if (request[0] == command) found.push_back(request);
  }
  return found;
}

}  // namespace tidemark::testing
