#include "tools/shards/move/pg_link.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cctype>

#include "base/parse.h"
#include "shardrouter/rebalance/verify.h"
#include "shardrouter/sql/sqlstate.h"

namespace tidemark::shards {
namespace {

std::string one_line(const char* text) {
  std::string line(text ? text : "");
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  std::ranges::replace(line, '\n', ' ');
  return line;
}

Error error_of(const PGresult* result, const PGconn* connection) {
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  if (!state) return {ErrorCode::kUnavailable, one_line(PQerrorMessage(connection))};
  std::string detail = one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
  const std::string hint = one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
  // The detail of SH001 is read by programs: refusal_of() wants nothing else in it.
  if (!hint.empty() && std::string_view(state) != "SH001") detail += (detail.empty() ? "" : " ") + hint;
  return shardrouter::error_of_sqlstate(state, one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)), detail);
}

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};

}  // namespace

void PgLink::Closer::operator()(pg_conn* connection) const {
  PQfinish(connection);
}

Result<PgLink> PgLink::connect(std::string name, const std::string& conninfo, Kind kind) {
  std::vector<const char*> names{"dbname", "connect_timeout", "tcp_user_timeout", "fallback_application_name"};
  std::vector<const char*> values{conninfo.c_str(), "5", "1000", "tidemark-shards"};
  if (kind == Kind::kReplication) {
    names.push_back("replication");
    values.push_back("database");
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  PgLink link(std::move(name), PQconnectdbParams(names.data(), values.data(), /*expand_dbname=*/1));
  if (!link.raw() || PQstatus(link.raw()) != CONNECTION_OK)
    return fail(ErrorCode::kUnavailable, link.name_ + ": " + one_line(PQerrorMessage(link.raw())));
  PQsetNoticeProcessor(link.raw(), [](void*, const char*) {}, nullptr);
  // (A replication session sits in a transaction while its exported snapshot is in use.)
  const auto set = link.script(std::string("SET synchronous_commit = 'on'; SET lock_timeout = '5s'; "
                                           "SET statement_timeout = '") +
                               kStatementTimeout + "'; SET idle_in_transaction_session_timeout = '" +
                               (kind == Kind::kSql ? kIdleInTransactionMax : "0") + "'; " + shardrouter::kTextSettings);
  if (!set) return std::unexpected(set.error());
  return link;
}

Result<shardrouter::ResultSet> PgLink::read(PGresult* raw_result) {
  const std::unique_ptr<PGresult, ResultDeleter> result(raw_result);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY &&
      status != PGRES_COPY_IN && status != PGRES_COPY_OUT && status != PGRES_COPY_BOTH)
    return std::unexpected(error_of(result.get(), raw()));
  shardrouter::ResultSet set;
  for (int r = 0; r < PQntuples(result.get()); ++r) {
    auto& row = set.rows.emplace_back();
    for (int c = 0; c < PQnfields(result.get()); ++c) {
      if (PQgetisnull(result.get(), r, c))
        row.emplace_back(std::nullopt);
      else
        row.emplace_back(PQgetvalue(result.get(), r, c));
    }
  }
  set.command_tag = PQcmdStatus(result.get());
  set.rows_affected = parse_i64(PQcmdTuples(result.get())).value_or(0);
  return set;
}

Result<shardrouter::ResultSet> PgLink::query(const std::string& sql, const Params& params) {
  std::vector<const char*> values;
  for (const auto& param : params) values.push_back(param ? param->c_str() : nullptr);
  return read(
      PQexecParams(raw(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr, 0));
}

Result<std::string> PgLink::value(const std::string& sql, const Params& params) {
  auto set = query(sql, params);
  if (!set) return std::unexpected(set.error());
  if (set->rows.empty() || set->rows[0].empty()) return std::string();
  return set->rows[0][0].value_or("");
}

Status PgLink::run(const std::string& sql, const Params& params) {
  const auto set = query(sql, params);
  if (!set) return std::unexpected(set.error());
  return {};
}

Result<shardrouter::ResultSet> PgLink::script(const std::string& sql) {
  return read(PQexec(raw(), sql.c_str()));
}

Status PgLink::send(const std::string& sql) {
  if (PQsendQuery(raw(), sql.c_str()) != 1) return std::unexpected(error());
  return {};
}

Result<shardrouter::ResultSet> PgLink::receive() {
  PGresult* first = PQgetResult(raw());
  while (PGresult* more = PQgetResult(raw())) {
    PQclear(first);
    first = more;
  }
  if (!first) return std::unexpected(error());
  return read(first);
}

std::string PgLink::quote(std::string_view identifier) {
  char* quoted = PQescapeIdentifier(raw(), identifier.data(), identifier.size());
  std::string text(quoted ? quoted : "");
  PQfreemem(quoted);
  return text;
}

std::string PgLink::quote_text(std::string_view text) {
  char* quoted = PQescapeLiteral(raw(), text.data(), text.size());
  std::string literal(quoted ? quoted : "");
  PQfreemem(quoted);
  return literal;
}

int PgLink::backend_pid() const {
  return PQbackendPID(raw());
}
int PgLink::socket() const {
  return PQsocket(raw());
}
Error PgLink::error() const {
  return {ErrorCode::kUnavailable, name_ + ": " + one_line(PQerrorMessage(raw()))};
}

void wait_readable(std::initializer_list<int> sockets, int timeout_ms) {
  std::vector<pollfd> fds;
  for (const int socket : sockets) fds.push_back({socket, POLLIN, 0});
  ::poll(fds.data(), fds.size(), timeout_ms);
}

std::string sqlstate_of(const Error& error) {
  if (error.message.size() < 6 || error.message[5] != ' ') return "";
  const std::string state = error.message.substr(0, 5);
  const bool is_state = std::ranges::all_of(state, [](unsigned char c) { return std::isdigit(c) || std::isupper(c); });
  return is_state ? state : "";
}

}  // namespace tidemark::shards
