// tidemark-shards doctor: looks for what is left over or does not fit, shard by shard and between them.
//
//   buckets         every bucket has one owner, and the topology says the same
//   tables          the same on every shard, fit to feed caches, without rows of buckets that are elsewhere
//   references      every copy equals its original
//   migrations      every shard has run the same ones
//   promotions      no promotion is half done, nobody follows an abandoned timeline
//   leftovers       slots, publications and origins of moves that have ended; unfinished indexes; readers long gone
//
// --clean removes leftovers that nobody uses, and nothing else. Exit code 1: something was found (and not cleaned).
#pragma once

#include <string>

#include "base/io/options.h"
#include "base/result.h"

namespace tidemark::shards {

struct DoctorArguments {
  std::string shards_file;
  std::string topology;
  std::string format = "table";
  bool cleans = false;
  bool is_dry_run = false;
};
void declare(io::Options& verb, DoctorArguments& arguments);
Result<bool> run_doctor(const DoctorArguments& arguments);  // true: nothing is wrong (any more)

}  // namespace tidemark::shards
