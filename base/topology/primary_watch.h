// Which server of a shard is its primary, by what the servers themselves say. Follows a promotion by whoever made it.
//
//   topology: s0-primary (hint)          s0-primary: primary, timeline 1     -> s0-primary
//   s0-primary is silent                 s0-replica1: replica                -> s0-primary still; its silence is an
//   error
//                                        s0-replica1: primary, timeline 2    -> s0-replica1
//   s0-primary is back: primary, timeline 1: superseded, to be retired       -> s0-replica1
//   s0-replica1 is silent                                                    -> s0-replica1: never back to timeline 1
//
// Two primaries are compared by (timeline, db_epoch): a promotion always begins a greater timeline. A primary below the
// greatest timeline that was ever heard of is never chosen, nor one whose db_epoch is below the greatest that any
// server (a replica too) has shown, unless its timeline is new. On one timeline two servers cannot both be right: the
// one that was chosen first stays, unless it was never heard. A server of another database cluster (system identifier)
// is not listened to. Threads: one. I/O: none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/proof/lsn.h"
#include "base/topology/topology.h"

namespace tidemark {

// What a server says about itself, in one statement.
struct ServerReport {
  bool is_in_recovery = false;
  uint32_t timeline = 0;  // of a primary; 0 for a replica
  DbEpoch db_epoch = 0;   // 0: never opened
  bool is_retired = false;
  std::string system_id;
  Lsn position;  // replica: replayed; primary: inserted
  bool operator==(const ServerReport&) const = default;
};

// The statement that asks for it: one row of kServerReportColumns columns of text.
extern const std::string_view kServerReportSql;
inline constexpr size_t kServerReportColumns = 6;
// kInternal: not such a row.
Result<ServerReport> read_server_report(const std::vector<std::optional<std::string>>& row);

class PrimaryWatch {
 public:
  // The shard's servers by the topology; what was heard of those that stay is kept.
  void set_servers(const Shard& shard);

  void on_report(std::string_view server, ServerReport report);
  void on_silence(std::string_view server);
  // Heard of in another way: a commit's token, a session's.
  void note_db_epoch(DbEpoch db_epoch);

  // Nothing: no server may be written to; why_none() says why.
  const std::optional<std::string>& primary() const { return primary_; }
  std::string why_none() const;

  // The greatest db_epoch heard of; what is older has a successor.
  DbEpoch db_epoch_floor() const { return db_epoch_floor_; }
  uint32_t timeline() const { return timeline_; }  // the greatest of a primary; 0: none was heard

  // Servers that answer as primaries of an earlier timeline and do not know yet that they are retired.
  std::vector<std::string> superseded() const;
  // A replica that may be asked: it answers, and is not known to follow an abandoned timeline.
  bool is_current_replica(std::string_view server) const;
  // Of another database cluster than the rest.
  bool is_stranger(std::string_view server) const;

  uint64_t changes() const { return changes_; }  // how often primary() became another server

 private:
  struct Server {
    ShardServer::Role hint = ShardServer::Role::kReplica;
    std::optional<ServerReport> last;
    bool is_silent = false;
  };

  void decide();
  bool may_be_primary(const Server& server) const;
  const Server* find(std::string_view name) const;

  ShardId shard_ = 0;
  std::map<std::string, Server, std::less<>> servers_;
  std::optional<std::string> primary_;
  std::string system_id_;
  uint32_t timeline_ = 0;
  DbEpoch db_epoch_floor_ = 0;
  uint64_t changes_ = 0;
};

}  // namespace tidemark
