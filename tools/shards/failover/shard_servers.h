// The servers of one shard, each with a session of the owner, and what PromoteMachine wants to know of them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "shardrouter/failover/promote_machine.h"
#include "tools/shards/pg_session.h"
#include "tools/shards/shards_file.h"

namespace tidemark::shards {

// What the owner's conninfo of the shard is at one of its servers: user and the like from `admin`, the place from
// there.
std::string owner_conninfo(const AdminShard& shard, const ShardServer& server);
// A replica's primary_conninfo with another server as its target; kInvalidArgument: one of them cannot be read.
Result<std::string> retarget_conninfo(const std::string& primary_conninfo, const std::string& target);

// "host:port", as pg_stat_wal_receiver names a sender.
Result<std::string> place_of_conninfo(const std::string& conninfo);

class ShardServers {
 public:
  // `others`: the rest of the shards file; buckets that they own at a later epoch are stale here.
  ShardServers(AdminShard shard, std::vector<AdminShard> others);

  // Asks every server. Those that cannot be asked are not reachable, and why stands in problems().
  Result<shardrouter::PromotionFacts> look(const Topology& topology);
  const std::map<std::string, std::string>& problems() const { return problems_; }

  Result<PgSession*> session(const std::string& server);
  const AdminShard& description() const { return shard_; }
  const ShardServer* find(const std::string& server) const;

  // Buckets that `server` claims and another shard owns at a later epoch: (bucket, epoch there, shard).
  struct StaleBucket {
    Bucket bucket = 0;
    BucketEpoch epoch = 0;
    ShardId owner = 0;
  };
  Result<std::vector<StaleBucket>> stale_buckets(PgSession& session);

 private:
  Result<shardrouter::PromotionServer> look_at(const ShardServer& server);
  void read_other_owners();
  std::string name_of_target(const std::string& primary_conninfo) const;

  AdminShard shard_;
  std::vector<AdminShard> others_;
  std::map<std::string, PgSession> sessions_;
  std::map<std::string, std::string> problems_;
  std::optional<std::map<Bucket, StaleBucket>> owned_elsewhere_;
};

}  // namespace tidemark::shards
