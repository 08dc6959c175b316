#include "tools/shards/opened_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "shardrouter/sql/schema/shard_schema.h"
#include "tools/shards/failover/shard_servers.h"
#include "tools/shards/shard_setup.h"

namespace tidemark::shards {

using shardrouter::BucketRow;

std::vector<std::string> role_names() {
  return {std::string(shardrouter::kAppRole), std::string(shardrouter::kInvalidatorRole),
          std::string(shardrouter::kAdminRole)};
}

Result<std::vector<OpenedShard>> open_shards(const std::vector<AdminShard>& shards) {
  std::vector<OpenedShard> opened;
  for (const AdminShard& shard : shards) {
    auto session = connect_owner(shard);
    if (!session) return std::unexpected(session.error());
    const Status fit = check_server(*session);
    if (!fit) return std::unexpected(fit.error().with_context(fmt::format("shard {}", shard.shard.id)));
    opened.push_back({shard, std::move(*session), 0});
  }
  return opened;
}

Result<PgSession> connect_primary(const AdminShard& shard) {
  const std::string name = fmt::format("shard {}", shard.shard.id);
  auto first = PgSession::connect(name, shard.admin);
  const auto is_primary = [](PgSession& session) {
    const auto answer = session.value(
        "SELECT CASE WHEN pg_is_in_recovery() THEN false ELSE NOT coalesce((SELECT retired_timeline = "
        "tidemark.current_timeline() FROM tidemark.epoch), false) END");
    return answer && *answer == "t";
  };
  if (first && is_primary(*first)) return first;
  for (const ShardServer& server : shard.shard.servers) {
    auto other = PgSession::connect(name, owner_conninfo(shard, server));
    if (other && is_primary(*other)) return other;
  }
  return first;  // with its own error, or for its caller to judge
}

Result<std::vector<OpenedShard>> connect_shards(const std::vector<AdminShard>& shards) {
  std::vector<OpenedShard> opened;
  for (const AdminShard& shard : shards) {
    auto session = connect_primary(shard);
    if (!session) return std::unexpected(session.error());
    const auto made = session->value("SELECT to_regclass('shard.reference_table') IS NOT NULL");
    if (!made) return std::unexpected(made.error());
    if (*made != "t")
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("shard {}: its schema is missing or old: run tidemark-shards init", shard.shard.id));
    const auto identity = session->value("SELECT shard FROM shard.identity");
    if (!identity) return std::unexpected(identity.error());
    if (*identity != std::to_string(shard.shard.id))
      return fail(ErrorCode::kFailedPrecondition, fmt::format("this database is shard {}, the shards file calls it "
                                                              "shard {}: correct the file",
                                                              *identity, shard.shard.id));
    opened.push_back({shard, std::move(*session), 0});
  }
  return opened;
}

Status complete_passwords(std::vector<OpenedShard>& opened, Passwords& passwords, bool new_passwords) {
  for (OpenedShard& one : opened) {
    const auto roles = roles_with_password(one.session);
    if (!roles) return std::unexpected(roles.error());
    for (const std::string& role : *roles)
      if (!passwords.is_known(role) && !new_passwords)
        return fail(
            ErrorCode::kFailedPrecondition,
            fmt::format(
                "shard {}: role {} has a password that the given file does not hold: give the file of the first "
                "init, or --new-passwords to replace it",
                one.id(), role));
  }
  for (const std::string& role : role_names())
    if (new_passwords || !passwords.is_known(role)) passwords.generate(role);
  return passwords.save();
}

Result<std::vector<BucketOwner>> settle_buckets(std::vector<OpenedShard>& opened) {
  std::map<ShardId, std::vector<BucketRow>> rows;
  for (OpenedShard& one : opened) {
    auto read = read_bucket_rows(one.session);
    if (!read) return std::unexpected(read.error());
    rows[one.id()] = std::move(*read);
  }
  auto ownership = shardrouter::derive_ownership(rows);
  if (!ownership) return std::unexpected(ownership.error());
  for (OpenedShard& one : opened) {
    const auto& missing = ownership->missing[one.id()];
    if (missing.empty()) continue;
    const Status inserted = insert_bucket_rows(one.session, missing);
    if (!inserted) return std::unexpected(inserted.error());
  }
  return std::move(ownership->map);
}

Status check_all_given(const Topology& topology, const std::vector<AdminShard>& described) {
  for (const Shard& known : topology.shards)
    if (std::ranges::none_of(described, [&](const AdminShard& one) { return one.shard.id == known.id; }))
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("the topology has a shard {} that the shards file does not name: add it", known.id));
  return {};
}

Result<std::vector<std::string>> protected_tables(PgSession& session) {
  const auto set = session.query(
      "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN "
      "pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname = 'tidemark_fence' ORDER BY 1");
  if (!set) return std::unexpected(set.error());
  std::vector<std::string> tables;
  for (const auto& row : set->rows) tables.push_back(row[0].value_or(""));
  return tables;
}

}  // namespace tidemark::shards
