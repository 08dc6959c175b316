#include "shardrouter/sql/sqlstate.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/parse.h"

namespace tidemark::shardrouter {
namespace {

struct Exact {
  std::string_view sqlstate;
  ErrorCode code;
};
constexpr std::array kExact{
    Exact{"SH001", ErrorCode::kFailedPrecondition},  // bucket not owned here, or another epoch
    Exact{"SH002", ErrorCode::kUnavailable},         // this server is a replica
    Exact{"SH003", ErrorCode::kInvalidArgument},     // a row's bucket cannot change
    Exact{"SH004", ErrorCode::kUnavailable},         // incarnation not open yet
    Exact{"SH007", ErrorCode::kUnavailable},         // this primary has a successor
    Exact{"SH005", ErrorCode::kInvalidArgument},     // TRUNCATE
    Exact{"SH011", ErrorCode::kFailedPrecondition},  // the schema is newer than the reader
    Exact{"SH012", ErrorCode::kFailedPrecondition},  // DDL that changes rows without an event
    Exact{"SH013", ErrorCode::kInvalidArgument},     // a write to a copy of a reference table
    Exact{"25006", ErrorCode::kUnavailable},         // a write on a replica
    Exact{"40001", ErrorCode::kAborted},             // serialization failure, also a conflict with recovery
    Exact{"40P01", ErrorCode::kAborted},             // deadlock
    Exact{"55P03", ErrorCode::kAborted},             // lock_timeout
    Exact{"57014", ErrorCode::kDeadlineExceeded},    // statement_timeout or a cancel
};
struct Class {
  std::string_view prefix;
  ErrorCode code;
};
constexpr std::array kClasses{
    Class{"08", ErrorCode::kUnavailable},       Class{"57P0", ErrorCode::kUnavailable},
    Class{"53", ErrorCode::kResourceExhausted}, Class{"22", ErrorCode::kInvalidArgument},
    Class{"23", ErrorCode::kInvalidArgument},   Class{"28", ErrorCode::kUnauthenticated},
};

ErrorCode code_of(std::string_view sqlstate) {
  for (const Exact& exact : kExact)
    if (exact.sqlstate == sqlstate) return exact.code;
  for (const Class& one : kClasses)
    if (sqlstate.starts_with(one.prefix)) return one.code;
  return ErrorCode::kInternal;
}

}  // namespace

std::string first_word(std::string_view sql) {
  size_t at = 0;
  while (at < sql.size() && (std::isspace(static_cast<unsigned char>(sql[at])) || sql[at] == '(')) ++at;
  std::string word;
  while (at < sql.size() && std::isalpha(static_cast<unsigned char>(sql[at])))
    word += static_cast<char>(std::toupper(static_cast<unsigned char>(sql[at++])));
  return word;
}

Error error_of_sqlstate(std::string_view sqlstate, std::string_view message, std::string_view detail) {
  const ErrorCode code =
      // A table changed under a prepared statement: the pool forgets the plan, and the next try works.
      sqlstate == "0A000" && message.find("cached plan") != std::string_view::npos ? ErrorCode::kAborted
                                                                                   : code_of(sqlstate);
  std::string text(sqlstate);
  text += " ";
  text += message;
  if (!detail.empty()) {
    text += ": ";
    text += detail;
  }
  return {code, std::move(text)};
}

bool is_connection_sqlstate(std::string_view sqlstate) {
  return sqlstate.starts_with("08") || sqlstate.starts_with("57P0");
}

bool may_write(std::string_view sql) {
  static constexpr std::array<std::string_view, 14> kReads{"SELECT", "SHOW",  "VALUES",   "TABLE",    "EXPLAIN",
                                                           "FETCH",  "BEGIN", "START",    "COMMIT",   "END",
                                                           "SET",    "ABORT", "ROLLBACK", "SAVEPOINT"};
  const std::string word = first_word(sql);
  return std::find(kReads.begin(), kReads.end(), word) == kReads.end();
}

bool is_commit(std::string_view sql) {
  const std::string word = first_word(sql);
  return word == "COMMIT" || word == "END";
}

bool is_begin(std::string_view sql) {
  const std::string word = first_word(sql);
  return word == "BEGIN" || word == "START";
}

bool is_begin_read_only(std::string_view sql) {
  return is_begin(sql) && to_lower(sql).find("read only") != std::string::npos;
}

std::vector<bool> commit_points(const Pipeline& pipeline) {
  std::vector<bool> points;
  if (pipeline.kind == Pipeline::Kind::kRead) {
    size_t count = 0;
    for (const auto& group : pipeline.groups) count += group.size();
    points.assign(count, false);
    return points;
  }
  bool in_transaction = false;
  bool read_only = false;
  for (const auto& group : pipeline.groups) {
    for (const Statement& statement : group) {
      bool is_point = false;
      if (is_begin(statement.sql)) {
        in_transaction = true;
        read_only = is_begin_read_only(statement.sql);
      } else if (is_commit(statement.sql)) {
        is_point = in_transaction && !read_only;
        in_transaction = false;
      } else if (!in_transaction) {
        is_point = may_write(statement.sql);
      }
      points.push_back(is_point);
    }
  }
  return points;
}

}  // namespace tidemark::shardrouter
