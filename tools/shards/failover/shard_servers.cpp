#include "tools/shards/failover/shard_servers.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <memory>

#include "base/parse.h"
#include "tools/shards/shard_setup.h"

namespace tidemark::shards {
namespace {

using shardrouter::PromotionFacts;
using shardrouter::PromotionServer;

// CASE keeps a replica from what only a primary may call, and the other way round.
constexpr const char* kFacts =
    "SELECT s.r, CASE WHEN s.r THEN 0 ELSE tidemark.current_timeline() END, coalesce(e.e, 0), "
    "CASE WHEN s.r THEN false ELSE coalesce(e.retired_timeline = tidemark.current_timeline(), false) END, "
    "CASE WHEN s.r THEN false ELSE e.timeline = tidemark.current_timeline() END, "
    "CASE WHEN s.r THEN greatest(coalesce(pg_last_wal_receive_lsn(), '0/0'), coalesce(pg_last_wal_replay_lsn(), "
    "'0/0')) "
    "  ELSE pg_current_wal_flush_lsn() END, "
    "CASE WHEN s.r THEN pg_get_wal_replay_pause_state() <> 'not paused' ELSE false END, "
    "CASE WHEN s.r THEN NULL ELSE coalesce((SELECT switch_lsn FROM shard.timeline t WHERE t.timeline = "
    "  tidemark.current_timeline()), shard.switch_lsn(tidemark.current_timeline(), e.timeline)) END, "
    "CASE WHEN s.r THEN current_setting('primary_conninfo') END, "
    "(SELECT count(*) FROM pg_stat_activity a WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() "
    "  AND a.xact_start < e.retired_at) "
    "FROM (SELECT pg_is_in_recovery() AS r) s LEFT JOIN tidemark.epoch e ON true";

using Parsed = std::map<std::string, std::string>;

Result<Parsed> parse_conninfo(const std::string& text) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(PQconninfoParse(text.c_str(), &message),
                                                                               PQconninfoFree);
  if (!options) {
    std::string reason = message != nullptr ? message : "no memory";
    PQfreemem(message);
    return fail(ErrorCode::kInvalidArgument, "conninfo cannot be read: " + reason);
  }
  Parsed values;
  for (const PQconninfoOption* one = options.get(); one->keyword != nullptr; ++one)
    if (one->val != nullptr) values[one->keyword] = one->val;
  return values;
}

std::string quoted_value(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string place_of(const Parsed& values) {
  const auto get = [&](const char* key, const char* otherwise) {
    const auto found = values.find(key);
    return found == values.end() ? std::string(otherwise) : found->second;
  };
  return get("host", get("hostaddr", "").c_str()) + ":" + get("port", "5432");
}

}  // namespace

std::string owner_conninfo(const AdminShard& shard, const ShardServer& server) {
  return shard.admin + " " + server.conninfo;  // of two values for one word the later counts
}

Result<std::string> retarget_conninfo(const std::string& primary_conninfo, const std::string& target) {
  auto values = parse_conninfo(primary_conninfo);
  if (!values) return std::unexpected(values.error());
  const auto wanted = parse_conninfo(target);
  if (!wanted) return std::unexpected(wanted.error());
  for (const char* key : {"host", "hostaddr", "port"}) {
    values->erase(key);
    if (const auto found = wanted->find(key); found != wanted->end()) (*values)[key] = found->second;
  }
  std::string text;
  for (const auto& [key, value] : *values) text += (text.empty() ? "" : " ") + key + "=" + quoted_value(value);
  return text;
}

Result<std::string> place_of_conninfo(const std::string& conninfo) {
  const auto values = parse_conninfo(conninfo);
  if (!values) return std::unexpected(values.error());
  return place_of(*values);
}

ShardServers::ShardServers(AdminShard shard, std::vector<AdminShard> others)
    : shard_(std::move(shard)), others_(std::move(others)) {}

const ShardServer* ShardServers::find(const std::string& server) const {
  const auto found = std::ranges::find(shard_.shard.servers, server, &ShardServer::name);
  return found == shard_.shard.servers.end() ? nullptr : &*found;
}

Result<PgSession*> ShardServers::session(const std::string& server) {
  if (const auto known = sessions_.find(server); known != sessions_.end()) return &known->second;
  const ShardServer* described = find(server);
  if (described == nullptr) return fail(ErrorCode::kNotFound, "the shard has no server " + server);
  auto opened = PgSession::connect(server, owner_conninfo(shard_, *described));
  if (!opened) return std::unexpected(opened.error());
  return &sessions_.emplace(server, std::move(*opened)).first->second;
}

Result<PromotionServer> ShardServers::look_at(const ShardServer& server) {
  const auto asked = session(server.name);
  if (!asked) return std::unexpected(asked.error());
  const auto set = (*asked)->query(kFacts);
  if (!set) {
    sessions_.erase(server.name);
    return std::unexpected(set.error());
  }
  const auto& cells = set->rows.at(0);
  const auto is_true = [&](size_t i) { return cells[i] == "t"; };
  const auto lsn = [&](size_t i) { return Lsn::parse(cells[i].value_or("0/0")).value_or(Lsn{}); };
  PromotionServer found;
  found.name = server.name;
  found.is_reachable = true;
  found.is_in_recovery = is_true(0);
  found.timeline = static_cast<uint32_t>(parse_u64(cells[1].value_or("0")).value_or(0));
  found.db_epoch = static_cast<DbEpoch>(parse_u64(cells[2].value_or("0")).value_or(0));
  found.is_retired = is_true(3);
  found.is_open = is_true(4);
  found.position = lsn(5);
  found.is_replay_paused = is_true(6);
  found.switch_lsn = lsn(7);
  if (found.is_in_recovery) found.follows = name_of_target(cells[8].value_or(""));
  found.writers = parse_u64(cells[9].value_or("0")).value_or(0);
  const auto stale = stale_buckets(**asked);
  if (!stale) return std::unexpected(stale.error());
  found.stale_buckets = stale->size();
  return found;
}

std::string ShardServers::name_of_target(const std::string& primary_conninfo) const {
  const auto target = parse_conninfo(primary_conninfo);
  if (!target) return {};
  for (const ShardServer& server : shard_.shard.servers) {
    const auto place = parse_conninfo(server.conninfo);
    if (place && place_of(*place) == place_of(*target)) return server.name;
  }
  return {};
}

Result<PromotionFacts> ShardServers::look(const Topology& topology) {
  const Shard* known = topology.find_shard(shard_.shard.id);
  if (known == nullptr)
    return fail(ErrorCode::kFailedPrecondition, fmt::format("shard {} is not in the topology", shard_.shard.id));
  PromotionFacts facts;
  problems_.clear();
  const std::string primary = known->primary() != nullptr ? known->primary()->name : "";
  for (const ShardServer& server : shard_.shard.servers) {
    auto found = look_at(server);
    if (!found) {
      problems_[server.name] = found.error().message;
      found = PromotionServer{};
      found->name = server.name;
    }
    found->is_primary_in_topology = server.name == primary;
    facts.servers.push_back(std::move(*found));
  }
  return facts;
}

void ShardServers::read_other_owners() {
  owned_elsewhere_.emplace();
  for (const AdminShard& other : others_) {
    auto session = PgSession::connect(fmt::format("shard {}", other.shard.id), other.admin);
    const auto rows = session ? read_bucket_rows(*session)
                              : Result<std::vector<shardrouter::BucketRow>>(std::unexpected(session.error()));
    if (!rows) {
      problems_[fmt::format("shard {}", other.shard.id)] =
          "which buckets it owns is not known: " + rows.error().message;
      continue;
    }
    for (const auto& row : *rows)
      if (row.state == shardrouter::BucketState::kOwned)
        (*owned_elsewhere_)[row.bucket] = {row.bucket, row.epoch, other.shard.id};
  }
}

Result<std::vector<ShardServers::StaleBucket>> ShardServers::stale_buckets(PgSession& session) {
  if (!owned_elsewhere_) read_other_owners();
  const auto rows = read_bucket_rows(session);
  if (!rows) return std::unexpected(rows.error());
  std::vector<StaleBucket> stale;
  for (const auto& row : *rows) {
    const auto other = owned_elsewhere_->find(row.bucket);
    if (row.state == shardrouter::BucketState::kOwned && other != owned_elsewhere_->end() &&
        other->second.epoch > row.epoch)
      stale.push_back(other->second);
  }
  return stale;
}

}  // namespace tidemark::shards
