#include "tools/admin/shard_probe.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "base/parse.h"
#include "shardrouter/io/pg_connection.h"

namespace tidemark::admin {
namespace {

using shardrouter::PgConnection;
using shardrouter::Pipeline;
using shardrouter::ResultSet;
using Row = std::vector<std::optional<std::string>>;

// Both roles. $1: the primary's LSN or NULL.
constexpr const char* kServerSql =
    "SELECT NOT pg_is_in_recovery() AS is_primary, "
    "CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver) "
    "     ELSE tidemark.current_timeline() END AS timeline, "
    "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn, "
    "CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff($1::pg_lsn, pg_last_wal_replay_lsn())::bigint END AS "
    "lag_bytes, "
    "CASE WHEN pg_is_in_recovery() THEN (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) "
    "* 1000)::bigint END AS age_ms, "
    "CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() <> 'not paused' ELSE false END AS is_paused";
constexpr const char* kPrimarySql =
    "SELECT (SELECT e FROM tidemark.epoch), tidemark.incarnation_is_open(), "
    "(SELECT count(*) FROM shard.bucket WHERE state = 'owned')";
constexpr const char* kSlotsSql =
    "SELECT slot_name, slot_type = 'logical', active, coalesce(wal_status, ''), "
    "CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint END, "
    "coalesce(confirmed_flush_lsn::text, ''), "
    "CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::bigint "
    "END "
    "FROM pg_replication_slots WHERE NOT temporary ORDER BY slot_name";

std::optional<int64_t> number_of(const std::optional<std::string>& cell) {
  return cell ? parse_i64(*cell) : std::nullopt;
}

ServerMeasures measures_of(const Row& row) {
  ServerMeasures measures{.is_primary = row[0] == "t",
                          .timeline = number_of(row[1]),
                          .lsn = row[2].value_or(""),
                          .lag_bytes = number_of(row[3]),
                          .lag_ms = number_of(row[4]),
                          .is_replay_paused = row[5] == "t"};
  if (measures.lag_bytes) measures.lag_bytes = std::max<int64_t>(*measures.lag_bytes, 0);
  // The age of the newest commit is a lag only if something is missing after it.
  if (measures.lag_ms) measures.lag_ms = measures.lag_bytes == 0 ? 0 : std::max<int64_t>(*measures.lag_ms, 0);
  if (!measures.lag_bytes) measures.lag_ms.reset();
  return measures;
}

WalSlot slot_of(const Row& row) {
  return {.name = row[0].value_or(""),
          .is_logical = row[1] == "t",
          .is_active = row[2] == "t",
          .wal_status = row[3].value_or(""),
          .retained_bytes = number_of(row[4]),
          .confirmed_lsn = row[5].value_or(""),
          .lag_bytes = number_of(row[6])};
}

// One server: connects, waits to be asked, asks, keeps the answer or the error in its place.
class ServerAsker {
 public:
  ServerAsker(boost::asio::io_context& context, const ShardServer& server, const ShardProbeOptions& options,
              ShardState& shard, size_t index)
      : shard_(shard), index_(index) {
    state().measures = fail(ErrorCode::kDeadlineExceeded, "no answer in time");
    PgConnection::Options connection{.conninfo = server.conninfo, .keywords = {}, .connect_timeout = options.timeout};
    connection.keywords = {{"user", options.role}, {"application_name", "tidemarkctl"}};
    if (!options.passfile.empty()) connection.keywords.emplace_back("passfile", options.passfile);
    connection_ = PgConnection::create(context, std::move(connection));
  }
  ~ServerAsker() { connection_->close(); }

  void start(std::function<void()> on_answer) {
    on_answer_ = std::move(on_answer);
    connection_->connect([this](Status connected) {
      if (!connected) return end(connected.error());
      is_connected_ = true;
      if (wants_) ask();
    });
  }

  // Once; `primary_lsn` empty: unknown.
  void ask_now(std::string primary_lsn) {
    if (wants_) return;
    wants_ = true;
    primary_lsn_ = std::move(primary_lsn);
    if (is_connected_) ask();
  }

 private:
  ServerState& state() { return shard_.servers[index_]; }
  bool is_primary() { return state().role == ShardServer::Role::kPrimary; }

  void ask() {
    std::optional<std::string> lsn = primary_lsn_.empty() ? std::nullopt : std::optional(primary_lsn_);
    Pipeline pipeline{.groups = {{{.sql = kServerSql, .params = {lsn}}}}};
    if (is_primary()) {
      pipeline.groups.push_back({{.sql = kPrimarySql}});
      pipeline.groups.push_back({{.sql = kSlotsSql}});
    }
    connection_->run(std::move(pipeline), [this](Result<std::vector<ResultSet>> sets) {
      if (!sets) return end(sets.error());
      take(*sets);
      on_answer_();
    });
  }

  void take(const std::vector<ResultSet>& sets) {
    if (sets.empty() || sets[0].rows.empty()) return;
    state().measures = measures_of(sets[0].rows[0]);
    if (!is_primary() || sets.size() < 3 || sets[1].rows.empty()) return;
    const Row& row = sets[1].rows[0];
    shard_.db_epoch = number_of(row[0]);
    shard_.is_open = row[1] == "t";
    shard_.buckets_owned = number_of(row[2]);
    for (const Row& slot : sets[2].rows) shard_.wal_slots.push_back(slot_of(slot));
  }

  void end(const Error& error) {
    state().measures = std::unexpected(error);
    on_answer_();
  }

  ShardState& shard_;
  size_t index_;
  std::shared_ptr<PgConnection> connection_;
  std::function<void()> on_answer_;
  bool is_connected_ = false, wants_ = false;
  std::string primary_lsn_;
};

class Probe final : public ShardProbe {
 public:
  Probe(boost::asio::io_context& context, const Topology& topology, const ShardProbeOptions& options,
        std::vector<ShardState>& shards)
      : shards_(shards), patience_(context, options.timeout / 2) {
    for (const Shard& shard : topology.shards) shards_.push_back(unasked(topology, shard));
    askers_.resize(shards_.size());
    for (size_t i = 0; i < shards_.size(); ++i) {
      for (size_t s = 0; s < topology.shards[i].servers.size(); ++s) {
        askers_[i].push_back(
            std::make_unique<ServerAsker>(context, topology.shards[i].servers[s], options, shards_[i], s));
      }
    }
    for (size_t i = 0; i < shards_.size(); ++i) start_shard(i);
    patience_.async_wait([this](boost::system::error_code error) {
      for (size_t i = 0; !error && i < shards_.size(); ++i) ask_replicas(i);
    });
  }

 private:
  static ShardState unasked(const Topology& topology, const Shard& shard) {
    ShardState state{
        .id = shard.id,
        .buckets = static_cast<uint32_t>(std::ranges::count(topology.buckets, shard.id, &BucketOwner::shard))};
    for (const ShardServer& server : shard.servers) state.servers.push_back({.name = server.name, .role = server.role});
    return state;
  }

  bool is_primary(size_t shard, size_t server) const {
    return shards_[shard].servers[server].role == ShardServer::Role::kPrimary;
  }

  void start_shard(size_t shard) {
    for (size_t server = 0; server < askers_[shard].size(); ++server) {
      const bool is_first = is_primary(shard, server);
      askers_[shard][server]->start([this, shard, is_first] {
        if (is_first) ask_replicas(shard);
      });
      if (is_first) askers_[shard][server]->ask_now({});
    }
  }

  void ask_replicas(size_t shard) {
    const ServerMeasures* primary = shards_[shard].primary();
    for (size_t server = 0; server < askers_[shard].size(); ++server) {
      if (!is_primary(shard, server))
        askers_[shard][server]->ask_now(primary == nullptr ? std::string() : primary->lsn);
    }
  }

  std::vector<ShardState>& shards_;
  boost::asio::steady_timer patience_;
  std::vector<std::vector<std::unique_ptr<ServerAsker>>> askers_;
};

}  // namespace

std::unique_ptr<ShardProbe> ShardProbe::start(boost::asio::io_context& context, const Topology& topology,
                                              const ShardProbeOptions& options, std::vector<ShardState>& shards) {
  return std::make_unique<Probe>(context, topology, options, shards);
}

}  // namespace tidemark::admin
