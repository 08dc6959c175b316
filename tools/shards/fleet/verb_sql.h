// tidemark-shards sql: one statement on the shard that owns a bucket.
//
//   tidemark-shards sql --topology file:T --passfile F --key 42 "SELECT * FROM shop.item WHERE bucket = :bucket"
//
// The bucket is given as --bucket B, by a key (--key 'order:{tag}:7' or a natural key: what stands between the braces,
// or all of it) or by a row id (--row-id N). ":bucket" in the statement becomes its number. Reads run as tidemark_admin
// in a read-only transaction; --write runs as tidemark_app behind shard.guard, so a bucket that has moved is never
// written at its old place. A map that is out of date heals itself by the refusal. The shard is named on stderr.
#pragma once

#include <string>

#include "base/io/options.h"
#include "base/result.h"

namespace tidemark::shards {

struct SqlArguments {
  std::string topology;
  std::string passfile;
  std::string key;
  std::string bucket;
  std::string row_id;
  std::string statement;
  std::string format = "table";
  std::string timeout = "30s";
  bool may_write = false;
  bool has_replica_wish = false;  // read at a replica
};
void declare(io::Options& verb, SqlArguments& arguments);
Status run_sql(const SqlArguments& arguments);

}  // namespace tidemark::shards
