// What stands against a move, said before anything is changed.
//
// The facts are read by the tool; here they are judged. Each refusal names the thing, says why it matters and what to
// do. Threads: pure function. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tidemark::shardrouter {

struct ServerFacts {
  std::string name;  // "shard 0"
  int version = 0;   // server_version_num
  bool is_primary = true;
  bool is_superuser = true;
  bool is_direct = true;  // not through a pooler that hands out other people's sessions
  bool knows_moves = true;
  std::string wal_level = "logical";
  int free_slots = 0;
  int free_origins = 0;
  int free_walsenders = 0;
  std::vector<std::string> old_transactions;  // would hold up the slot
  std::vector<std::string> prepared_transactions;
  std::vector<std::string> running_ddl;      // on a moved table
  std::vector<std::string> absent_standbys;  // in the topology, not streaming
  int64_t free_bytes = -1;                   // of its disk, -1: not known
};

struct TableFacts {
  std::string name;
  bool is_at_target = true;
  bool is_ordinary = true;  // no partition, no parent of any
  bool is_logged = true;
  bool has_bucket_in_key = true;
  char identity = 'd';  // n: none
  bool has_bucket_in_identity = true;
  std::vector<std::string> source_columns, target_columns;  // "name type not-null generated", ascending
  std::vector<std::string> unique_without_bucket;           // unique and exclusion constraints
  std::vector<std::string> keys_across_buckets;  // foreign keys to bucket tables that do not pair the buckets
  std::vector<std::string> always_triggers;      // at the target: would fire while rows are applied
  std::vector<std::string> missing_references;   // rows of unmoved tables that the target lacks
  bool has_deferrable_key = false;
};

struct PreflightFacts {
  ServerFacts source, target;
  std::vector<TableFacts> tables;
  int64_t rows = 0;
  int64_t bytes = 0;
};

std::vector<std::string> preflight_refusals(const PreflightFacts& facts);

}  // namespace tidemark::shardrouter
