#include "base/topology/primary_watch.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/parse.h"

namespace tidemark {

// CASE keeps a replica from the functions that only a primary may call.
const std::string_view kServerReportSql =
    "SELECT s.r::text, CASE WHEN s.r THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text, "
    "CASE WHEN s.r THEN 0 ELSE tidemark.current_timeline() END::text, coalesce(e.e, 0)::text, "
    "(CASE WHEN s.r THEN false ELSE coalesce(e.retired_timeline = tidemark.current_timeline(), false) END)::text, "
    "c.system_identifier::text "
    "FROM (SELECT pg_is_in_recovery() AS r) s LEFT JOIN tidemark.epoch e ON true, pg_control_system() c";

Result<ServerReport> read_server_report(const std::vector<std::optional<std::string>>& row) {
  const auto bad = [] { return fail(ErrorCode::kInternal, "a server described itself in a way that cannot be read"); };
  if (row.size() != kServerReportColumns || !row[0] || !row[2] || !row[3] || !row[4] || !row[5]) return bad();
  ServerReport report;
  report.is_in_recovery = row[0] == "true";
  const auto position = row[1] ? Lsn::parse(*row[1]) : std::optional<Lsn>(Lsn{});  // NULL: nothing was replayed yet
  const auto timeline = parse_u64(*row[2]);
  const auto epoch = parse_u64(*row[3]);
  if (!position || !timeline || *timeline > std::numeric_limits<uint32_t>::max() || !epoch ||
      *epoch > std::numeric_limits<DbEpoch>::max())
    return bad();
  report.position = *position;
  report.timeline = static_cast<uint32_t>(*timeline);
  report.db_epoch = static_cast<DbEpoch>(*epoch);
  report.is_retired = row[4] == "true";
  report.system_id = *row[5];
  return report;
}

void PrimaryWatch::set_servers(const Shard& shard) {
  shard_ = shard.id;
  std::map<std::string, Server, std::less<>> next;
  for (const ShardServer& server : shard.servers) {
    const auto known = servers_.find(server.name);
    Server& one = next[server.name];
    if (known != servers_.end()) one = std::move(known->second);
    one.hint = server.role;
  }
  servers_ = std::move(next);
  if (primary_ && !servers_.contains(*primary_)) primary_.reset();
  decide();
}

void PrimaryWatch::on_report(std::string_view server, ServerReport report) {
  const auto found = servers_.find(server);
  if (found == servers_.end()) return;
  if (system_id_.empty()) system_id_ = report.system_id;
  found->second.last = std::move(report);
  found->second.is_silent = false;
  const ServerReport& last = *found->second.last;
  if (last.system_id == system_id_) {
    db_epoch_floor_ = std::max(db_epoch_floor_, last.db_epoch);
    if (!last.is_in_recovery) timeline_ = std::max(timeline_, last.timeline);
  }
  decide();
}

void PrimaryWatch::on_silence(std::string_view server) {
  const auto found = servers_.find(server);
  if (found == servers_.end()) return;
  found->second.is_silent = true;
  decide();
}

void PrimaryWatch::note_db_epoch(DbEpoch db_epoch) {
  if (db_epoch <= db_epoch_floor_) return;
  db_epoch_floor_ = db_epoch;
  decide();
}

// A server that was just promoted has the db_epoch of its predecessor until it is opened; that it is new, its timeline
// says. The timeline is in the db_epoch's upper half (shard.sql).
bool PrimaryWatch::may_be_primary(const Server& server) const {
  if (!server.last) return false;
  const ServerReport& last = *server.last;
  if (last.is_in_recovery || last.is_retired || last.system_id != system_id_) return false;
  if (last.timeline < timeline_) return false;
  return last.db_epoch >= db_epoch_floor_ || last.timeline >= db_epoch_floor_ >> 16;
}

void PrimaryWatch::decide() {
  const Server* current = primary_ ? find(*primary_) : nullptr;
  // One that was never heard is believed to be what the topology says, until another one says that it is.
  bool stays = current != nullptr && (may_be_primary(*current) || (!current->last && timeline_ == 0));
  std::optional<std::string> next = stays ? primary_ : std::nullopt;
  const bool is_heard = stays && current->last;
  for (const auto& [name, server] : servers_) {
    if (is_heard || server.is_silent || !may_be_primary(server)) continue;
    const Server* best = next ? find(*next) : nullptr;
    if (best == nullptr || !best->last ||
        std::pair(server.last->timeline, server.last->db_epoch) > std::pair(best->last->timeline, best->last->db_epoch))
      next = name;
  }
  if (!next && timeline_ == 0) {
    for (const auto& [name, server] : servers_)
      if (server.hint == ShardServer::Role::kPrimary && !server.last) next = name;
  }
  if (next == primary_) return;
  if (next) ++changes_;
  primary_ = std::move(next);
}

std::string PrimaryWatch::why_none() const {
  std::string text = "shard " + std::to_string(shard_) + " has no primary now: ";
  if (servers_.empty()) return text + "the topology names no server";
  std::string separator;
  for (const auto& [name, server] : servers_) {
    text += separator + name;
    separator = ", ";
    if (!server.last)
      text += server.is_silent ? " does not answer" : " was not heard yet";
    else if (server.last->system_id != system_id_)
      text += " is of another database cluster";
    else if (server.last->is_in_recovery)
      text += server.is_silent ? " does not answer and was a replica" : " is a replica";
    else if (server.last->is_retired || server.last->timeline < timeline_)
      text += " was retired (timeline " + std::to_string(server.last->timeline) + ")";
    else
      text += " does not answer";
  }
  return text;
}

std::vector<std::string> PrimaryWatch::superseded() const {
  std::vector<std::string> names;
  for (const auto& [name, server] : servers_) {
    if (server.is_silent || !server.last || server.last->is_in_recovery || server.last->is_retired) continue;
    if (server.last->system_id == system_id_ && server.last->timeline < timeline_) names.push_back(name);
  }
  return names;
}

bool PrimaryWatch::is_current_replica(std::string_view name) const {
  const Server* server = find(name);
  if (server == nullptr || !server->last || server->is_silent || !server->last->is_in_recovery) return false;
  return server->last->system_id == system_id_ && server->last->db_epoch >> 16 >= db_epoch_floor_ >> 16;
}

bool PrimaryWatch::is_stranger(std::string_view name) const {
  const Server* server = find(name);
  return server != nullptr && server->last && server->last->system_id != system_id_;
}

const PrimaryWatch::Server* PrimaryWatch::find(std::string_view name) const {
  const auto found = servers_.find(name);
  return found == servers_.end() ? nullptr : &found->second;
}

}  // namespace tidemark
