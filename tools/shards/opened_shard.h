// The shards of a shards file with a session of their owner on each primary, and what is decided over all of them.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"
#include "tools/shards/passwords.h"
#include "tools/shards/pg_session.h"
#include "tools/shards/shards_file.h"

namespace tidemark::shards {

struct OpenedShard {
  AdminShard description;
  PgSession session;
  int64_t db_epoch = 0;

  ShardId id() const { return description.shard.id; }
};

// Connects; makes a database that does not exist; refuses a server that is not fit.
Result<std::vector<OpenedShard>> open_shards(const std::vector<AdminShard>& shards);
// The owner's session at whoever is the shard's primary now: where `admin` leads, or, after a fail-over, another of its
// servers.
Result<PgSession> connect_primary(const AdminShard& shard);
// Only connects, to databases that tidemark-shards init has made; refuses one that is another shard.
Result<std::vector<OpenedShard>> connect_shards(const std::vector<AdminShard>& shards);

std::vector<std::string> role_names();

// A password that is in the database but not in the files would be replaced, and running programs locked out: refused
// unless `new_passwords`. Generates what is missing and saves.
Status complete_passwords(std::vector<OpenedShard>& opened, Passwords& passwords, bool new_passwords);

// The bucket map as the shards' own rows say; rows that a shard lacks are inserted.
Result<std::vector<BucketOwner>> settle_buckets(std::vector<OpenedShard>& opened);

// Every shard of the topology must be among the described ones.
Status check_all_given(const Topology& topology, const std::vector<AdminShard>& described);

// "catalog.product", …: the tables whose rows belong to buckets, protected on this shard.
Result<std::vector<std::string>> protected_tables(PgSession& session);

}  // namespace tidemark::shards
