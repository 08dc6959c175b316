// The steps by which one shard becomes a Tidemark shard; each may be run again at any time.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "shardrouter/routing/ownership.h"
#include "tools/shards/passwords.h"
#include "tools/shards/pg_session.h"
#include "tools/shards/shards_file.h"

namespace tidemark::shards {

// Connects as the owner; makes the database if it does not exist yet.
Result<PgSession> connect_owner(const AdminShard& shard);

// Primary, PostgreSQL 15 or newer, wal_level = logical, a free replication slot, rights to create roles.
Status check_server(PgSession& session);

// shard.sql, the shard's identity, the application's own files and the protection and publication of its tables, in one
// transaction. `schema` holds (file name, text).
struct ApplicationSchema {
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::string> tables;
};
// One table whose rows belong to buckets: the fence, the publication, the grants. Within the caller's transaction.
Status adopt_table(PgSession& session, const std::string& table);
// One table with the same rows on every shard; `original` holds those that the others copy.
Status adopt_reference(PgSession& session, const std::string& table, ShardId original);
Status create_objects(PgSession& session, ShardId shard, const ApplicationSchema& schema);

// The logical slot `tidemark`; then the first db_epoch, if there is none. Returns the db_epoch.
Result<int64_t> open_for_writes(PgSession& session);

Status set_passwords(PgSession& session, const Passwords& passwords);
// The roles that have a password in the database already.
Result<std::vector<std::string>> roles_with_password(PgSession& session);

Result<std::vector<shardrouter::BucketRow>> read_bucket_rows(PgSession& session);
Status insert_bucket_rows(PgSession& session, const std::vector<shardrouter::BucketRow>& rows);

}  // namespace tidemark::shards
