// The verbs of tidemark-shards; one file each. A verb prints its own result and returns the exit code.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace tidemark::shards {

struct InitArguments {
  std::string shards_file;
  std::string topology;  // "file:DIR"
  std::vector<std::string> schema_files;
  std::vector<std::string> tables;
  std::vector<std::string> references;
  std::string families_file;
  std::string passfile;
  std::string passwords_dir;
  bool new_passwords = false;
  std::string format = "table";
};
Status run_init(const InitArguments& arguments);

struct StatusArguments {
  std::string topology;
  std::string passfile;  // of tidemark_admin
  std::string format = "table";
};
Result<bool> run_status(const StatusArguments& arguments);  // false: something is wrong, and said

}  // namespace tidemark::shards
