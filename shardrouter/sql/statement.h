// SQL as values: what the pools run and what they give back. Everything travels as text; NULL is nullopt.
#pragma once

#include <cstdint>
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
//
// kRead: the sender knows that nothing in it writes, whatever its statements look like; it is counted as a read, and an
// interrupted one is kUnavailable, never kOutcomeUnknown.
struct Pipeline {
  enum class Kind : uint8_t { kAny, kRead };
  std::vector<std::vector<Statement>> groups{};
  Kind kind = Kind::kAny;
};

}  // namespace tidemark::shardrouter
