// The session's family, its statements, and the way between rows and messages. Messages from here have no token: rows
// do not know it. Threads: pure functions.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "client/key_family.h"
#include "client/row.h"
#include "services/session/proto/session.pb.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::session {

namespace pb = tidemark::session::v1;

struct SessionByDigest : client::KeyFamily<"session:{<token_digest>}", pb::Session, std::string> {
  static constexpr std::string_view kName = "session";
  static constexpr std::string_view kTable = "session.session";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"token_digest"};
  static constexpr bool kOneRowPerKey = true;
  // The bound within which a revoked session is refused everywhere. Nodes are usually 0.1 s behind at most; when they
  // cannot prove one second, the database is asked.
  static constexpr std::chrono::milliseconds kMaxStale = std::chrono::seconds(1);
};

extern const char* const kSelectSession;   // $1 bucket, $2 token_digest
extern const char* const kSelectSessions;  // $1 buckets, $2 digests (arrays)

Result<pb::Session> session_of_row(const client::Row& row);

// Each returns the row as it left it, or no row. A touch finds only a live session whose written touch is old enough.
shardrouter::Statement insert_session(const std::string& digest, const pb::Session& session);
shardrouter::Statement touch_session(const std::string& digest, UnixMillis now);
shardrouter::Statement delete_session(const std::string& digest);

// The sweep. Only buckets that the shard owns: what a moved bucket left behind is the move's to clean.
struct EndedSession {
  Bucket bucket = 0;
  std::string digest;
  bool operator==(const EndedSession&) const = default;
};
shardrouter::Statement select_ended(UnixMillis now, size_t limit);  // bucket, token_digest; the longest ended first
// One row: is_mine ("t"; "f": another sweeper is at work on this shard, nothing was done) and deleted, a number. A
// session touched since it was selected stays.
shardrouter::Statement delete_ended(const std::vector<EndedSession>& ended, UnixMillis now);

}  // namespace tidemark::session
