// tidemark-shards promote: makes a replica the primary of its shard, or ends a promotion that somebody began.
//
//   promote 0                    the most advanced replica (or the server that was promoted already)
//   promote 0 --to s0-replica2   this one
//   promote 0 --dry-run          says what it would do
//   promote 0 --force            the old primary does not answer, and is known to be stopped
//   promote 0 --cancel           takes back what was done, as long as nothing was promoted
//
// Each step is printed as it is done. It may be run again after any end: the servers themselves say how far it got
// (shardrouter/failover/promote_machine.h). Exit code 0: the shard has the primary that was asked for, and the topology
// says so; what is left for people is printed. 1: refused or failed, with the reason. Old primaries are not rewound:
// that is pg_rewind, by hand.
#pragma once

#include <string>

#include "base/io/options.h"
#include "base/result.h"

namespace tidemark::shards {

struct PromoteArguments {
  std::string shard;
  std::string shards_file;
  std::string topology;
  std::string to;
  std::string format = "table";
  bool is_forced = false;
  bool is_dry_run = false;
  bool cancels = false;
};
void declare(io::Options& verb, PromoteArguments& arguments);
Status run_promote(const PromoteArguments& arguments);

}  // namespace tidemark::shards
