// FILE of `tidemark-shards init`: which shards there are, and how their owner reaches them.
//
//   {"shards": [{"id": 0,
//                "admin": "host=/run/s0 dbname=tidemark user=postgres",      a superuser at the primary
//                "servers": [{"name": "s0-primary",  "role": "primary", "conninfo": "host=/run/s0 dbname=tidemark"},
//                            {"name": "s0-replica1", "role": "replica", "conninfo": "host=/run/s0r
//                            dbname=tidemark"}]}]}
//
// A server's conninfo goes into the topology, where everybody reads it: user, passwords and passfile are refused
// there, and URIs, which can carry them. `admin` may name a passfile, but no password.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark::shards {

struct AdminShard {
  Shard shard;
  std::string admin;  // conninfo
};

Result<std::vector<AdminShard>> read_shards_file(const std::filesystem::path& path);
Result<std::vector<AdminShard>> parse_shards_file(std::string_view json);
Result<std::string> read_text_file(const std::filesystem::path& path);

}  // namespace tidemark::shards
