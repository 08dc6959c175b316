// tidemark-shards references: makes the copies of the reference tables equal to their originals.
#pragma once

#include <string>

#include "base/io/options.h"
#include "base/result.h"

namespace tidemark::shards {

struct ReferencesArguments {
  std::string shards_file;
  std::string format = "table";
  bool is_dry_run = false;
};
void declare(io::Options& verb, ReferencesArguments& arguments);
Status run_references(const ReferencesArguments& arguments);

}  // namespace tidemark::shards
