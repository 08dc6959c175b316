// SQL as values: what the pools run and what they give back. Everything travels as text; NULL is nullopt.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tidemark::shardrouter {

struct Statement {
  std::string sql;  // with $1, $2, …; prepared once per connection, by its text
  std::vector<std::optional<std::string>> params{};
};

struct ResultSet {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::string command_tag;  // "UPDATE 1"
  int64_t rows_affected = 0;
};

// A pipeline: groups of statements, written at once. Each group ends with a Sync, so a group without BEGIN is one
// implicit transaction of its own, and what follows a failed statement in its group is skipped.
struct Pipeline {
  std::vector<std::vector<Statement>> groups;
};

}  // namespace tidemark::shardrouter
