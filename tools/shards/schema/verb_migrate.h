// tidemark-shards migrate status|expand|backfill|contract|undo: the schema of all shards, one migration after the
// other.
//
// Exit codes: 0 done, or nothing to do; 1 stopped on the way (run it again: it goes on); 2 a wrong command line;
// 3 refused, nothing more was done.
#pragma once

#include <cstdint>
#include <string>

#include "base/io/options.h"
#include "base/result.h"

namespace tidemark::shards {

inline constexpr int kExitRefused = 3;

struct MigrateArguments {
  std::string what;
  std::string shards_file;
  std::string topology;
  std::string directory;
  std::string migration;
  std::string format = "table";
  bool is_dry_run = false;
  uint32_t rows_per_batch = 500;
  double rows_per_second = 0;
  double busy_share = 0.5;
  uint64_t lag_bytes_max = 64 << 20;
};
void declare(io::Options& verb, MigrateArguments& arguments);
int run_migrate(const MigrateArguments& arguments);

}  // namespace tidemark::shards
