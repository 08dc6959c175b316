// tidemark-shards add-shard and remove-shard: a shard joins without a bucket, and leaves without one.
//
// add-shard makes the new database what the others are: schema files, protected tables, reference tables with their
// rows, migrations that the others have run, roles with the same passwords, publication and slot; then it compares and
// writes the shard into the topology. Buckets come later, by moves. Every step may be run again.
// remove-shard refuses while the shard owns a bucket, takes part in a move or holds rows; it corrects the forward
// addresses that lead to it, hands on what it was the original of, and takes it out of the topology.
#pragma once

#include <string>
#include <vector>

#include "base/io/options.h"
#include "base/result.h"

namespace tidemark::shards {

struct AddShardArguments {
  uint32_t id = 0;
  std::string shards_file;
  std::string topology;
  std::vector<std::string> schema_files;
  std::string directory;  // of migrations; may be empty
  std::string passfile;
  std::string passwords_dir;
  std::string format = "table";
  bool is_dry_run = false;
};
void declare(io::Options& verb, AddShardArguments& arguments);
Status run_add_shard(const AddShardArguments& arguments);

struct RemoveShardArguments {
  uint32_t id = 0;
  std::string shards_file;
  std::string topology;
  std::string format = "table";
  bool is_dry_run = false;
};
void declare(io::Options& verb, RemoveShardArguments& arguments);
Status run_remove_shard(const RemoveShardArguments& arguments);

}  // namespace tidemark::shards
