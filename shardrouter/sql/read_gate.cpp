#include "shardrouter/sql/read_gate.h"

#include <limits>

#include "base/parse.h"

namespace tidemark::shardrouter {

Result<ServerRow> read_server_row(const ResultSet& set, size_t row) {
  if (row >= set.rows.size() || set.rows[row].size() < kServerColumnCount)
    return fail(ErrorCode::kInternal, "a read without the row in which its server describes itself");
  const auto& cells = set.rows[row];
  ServerRow server;
  server.is_replica = cells[0] == "t";
  if (cells[1]) server.replayed = Lsn::parse(*cells[1]);
  if (cells[2]) server.upper = Lsn::parse(*cells[2]);
  const auto xmin = cells[3] ? parse_u64(*cells[3]) : std::nullopt;
  const auto epoch = cells[4] ? parse_u64(*cells[4]) : std::nullopt;
  if (!xmin || !epoch || *epoch > std::numeric_limits<DbEpoch>::max() || (server.is_replica && !server.replayed))
    return fail(ErrorCode::kInternal, "a server described itself with an unreadable position, xmin or db_epoch");
  server.xmin = *xmin;
  server.db_epoch = static_cast<DbEpoch>(*epoch);
  return server;
}

Statement fresh_xid_statement() {
  return {"SELECT pg_current_xact_id()::text"};
}

Status check_settled(const ResultSet& fresh_xid, const ServerRow& before) {
  const auto xid = fresh_xid.rows.empty() || fresh_xid.rows[0].empty() || !fresh_xid.rows[0][0]
                       ? std::nullopt
                       : parse_u64(*fresh_xid.rows[0][0]);
  if (!xid) return fail(ErrorCode::kInternal, "a primary gave no transaction id");
  if (before.xmin < *xid)
    return fail(ErrorCode::kAborted, "transaction " + std::to_string(before.xmin) +
                                         " is still running: the primary may not show yet what "
                                         "the session has read on a replica");
  return {};
}

}  // namespace tidemark::shardrouter
