// What a session demands of an answer, and whether an answer meets it. The rules of client/session_token.h as
// functions.
//
//   demand_of(token, shard 1)      at least own 0/500, read 0/400 of db_epoch 3
//   node or replica that contains 0/500, epoch 3       kYes
//   replica that contains 0/4F0, epoch 3               kBehind
//   primary, asked now, that surely contains 0/400     kYes: what the session wrote itself is visible there in any case
//   primary, asked now, that surely contains 0/300     kUnproven: what it read elsewhere may be hidden there still
//
// "Now" is told by counting: every step of the one who judges has a number, later steps greater ones.
// Threads: pure functions. I/O: none.
#pragma once

#include <cstdint>
#include <optional>

#include "base/proof/lsn.h"
#include "client/session_token.h"

namespace tidemark::client {

struct SessionDemand {
  // kAny: whatever there is, but its `hi` must be known. kPosition: as `position` says. kPrimary: the session has
  // forgotten writes, perhaps on this shard.
  enum class Kind : uint8_t { kAny, kPosition, kPrimary };
  Kind kind = Kind::kAny;
  SessionPosition position{};
  uint64_t asked = 0;  // the step at which the session held `position`
};
SessionDemand demand_of(const SessionToken& token, ShardId shard, uint64_t asked);

struct AnswerClaims {
  enum class Source : uint8_t { kNode, kReplica, kPrimary };
  Source source = Source::kNode;
  ShardId shard = 0;
  DbEpoch db_epoch = 0;     // 0: unknown
  Lsn contains;             // every commit up to here is in it
  std::optional<Lsn> hi{};  // none beyond is
  uint64_t sent = 0;        // the step at which the server was asked
  // Of a primary: every commit whose record had been written at this step is in it; 0: unknown.
  uint64_t complete_at = 0;

  bool is_primary() const { return source == Source::kPrimary; }
};

// kBehind: another server, or a later answer, may do. kUnproven: the primary may do later. kOldEpoch: the server speaks
// for a database that is no longer.
enum class SessionVerdict : uint8_t { kYes, kBehind, kUnproven, kOldEpoch };
SessionVerdict judge_for_session(const SessionDemand& demand, const AnswerClaims& answer);

}  // namespace tidemark::client
