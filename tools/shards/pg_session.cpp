#include "tools/shards/pg_session.h"

#include <libpq-fe.h>

#include "base/parse.h"
#include "shardrouter/sql/sqlstate.h"

namespace tidemark::shards {
namespace {

std::string one_line(const char* text) {
  std::string line(text ? text : "");
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  for (char& c : line)
    if (c == '\n') c = ' ';
  return line;
}

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultDeleter>;

Error error_of(const PGresult* result, PGconn* connection) {
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  if (!state) return {ErrorCode::kUnavailable, one_line(PQerrorMessage(connection))};
  std::string detail = one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
  const std::string hint = one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
  if (!hint.empty()) detail += (detail.empty() ? "" : " ") + hint;
  return shardrouter::error_of_sqlstate(state, one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)), detail);
}

bool is_good(const PGresult* result) {
  const auto status = PQresultStatus(result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}

shardrouter::ResultSet set_of(PGresult* result) {
  shardrouter::ResultSet set;
  for (int c = 0; c < PQnfields(result); ++c) set.columns.emplace_back(PQfname(result, c));
  for (int r = 0; r < PQntuples(result); ++r) {
    auto& row = set.rows.emplace_back();
    for (int c = 0; c < PQnfields(result); ++c) {
      if (PQgetisnull(result, r, c))
        row.emplace_back(std::nullopt);
      else
        row.emplace_back(PQgetvalue(result, r, c));
    }
  }
  set.command_tag = PQcmdStatus(result);
  set.rows_affected = parse_i64(PQcmdTuples(result)).value_or(0);
  return set;
}

}  // namespace

void PgSession::Closer::operator()(void* connection) const {
  PQfinish(static_cast<PGconn*>(connection));
}

Result<PgSession> PgSession::connect(std::string name, const std::string& conninfo, const std::string& passfile) {
  const std::string timeout = std::to_string(kConnectTimeoutSeconds);
  std::vector<const char*> names{"dbname", "connect_timeout", "fallback_application_name"};
  std::vector<const char*> values{conninfo.c_str(), timeout.c_str(), "tidemark-shards"};
  if (!passfile.empty()) {
    names.push_back("passfile");
    values.push_back(passfile.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  PgSession session(std::move(name), PQconnectdbParams(names.data(), values.data(), /*expand_dbname=*/1));
  auto* connection = static_cast<PGconn*>(session.connection_.get());
  if (!connection || PQstatus(connection) != CONNECTION_OK)
    return fail(ErrorCode::kUnavailable, session.name_ + ": " + one_line(PQerrorMessage(connection)));
  PQsetNoticeProcessor(connection, [](void*, const char*) {}, nullptr);
  const Status set = session.run(std::string("SET lock_timeout = '") + kLockTimeout + "'");
  if (!set) return std::unexpected(set.error());
  return session;
}

Result<shardrouter::ResultSet> PgSession::query(const std::string& sql,
                                                std::vector<std::optional<std::string>> params) {
  auto* connection = static_cast<PGconn*>(connection_.get());
  std::vector<const char*> values;
  for (const auto& param : params) values.push_back(param ? param->c_str() : nullptr);
  const ResultPtr result(PQexecParams(connection, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                                      nullptr, nullptr, 0));
  if (!is_good(result.get())) return std::unexpected(error_of(result.get(), connection).with_context(name_));
  return set_of(result.get());
}

Result<std::string> PgSession::value(const std::string& sql, std::vector<std::optional<std::string>> params) {
  auto set = query(sql, std::move(params));
  if (!set) return std::unexpected(set.error());
  if (set->rows.empty() || set->rows[0].empty()) return std::string();
  return set->rows[0][0].value_or("");
}

Status PgSession::run(const std::string& sql, std::vector<std::optional<std::string>> params) {
  const auto set = query(sql, std::move(params));
  if (!set) return std::unexpected(set.error());
  return {};
}

Result<shardrouter::ResultSet> PgSession::script(const std::string& sql) {
  auto* connection = static_cast<PGconn*>(connection_.get());
  const ResultPtr result(PQexec(connection, sql.c_str()));
  if (!is_good(result.get())) return std::unexpected(error_of(result.get(), connection).with_context(name_));
  return set_of(result.get());
}

std::string PgSession::quote(std::string_view name) {
  auto* connection = static_cast<PGconn*>(connection_.get());
  char* quoted = PQescapeIdentifier(connection, name.data(), name.size());
  std::string text(quoted ? quoted : "");
  PQfreemem(quoted);
  return text;
}

Result<std::string> PgSession::scram_verifier(const std::string& role, const std::string& password) {
  auto* connection = static_cast<PGconn*>(connection_.get());
  char* verifier = PQencryptPasswordConn(connection, password.c_str(), role.c_str(), "scram-sha-256");
  if (!verifier) return fail(ErrorCode::kInternal, name_ + ": " + one_line(PQerrorMessage(connection)));
  std::string text(verifier);
  PQfreemem(verifier);
  return text;
}

}  // namespace tidemark::shards
