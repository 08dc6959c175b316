#include "client/strategy/session_demand.h"

namespace tidemark::client {
namespace {

// Of the session's own epoch: nothing here may be older than any part of its position.
SessionVerdict judge_primary(const SessionDemand& demand, const AnswerClaims& answer) {
  const SessionPosition& position = demand.position;
  const bool is_asked_after = answer.sent >= demand.asked;
  const bool has_own = is_asked_after || answer.contains >= position.own;
  const bool has_read = answer.contains >= position.read || answer.complete_at >= demand.asked;
  if (!has_own) return SessionVerdict::kBehind;
  return has_read ? SessionVerdict::kYes : SessionVerdict::kUnproven;
}

}  // namespace

SessionDemand demand_of(const SessionToken& token, ShardId shard, uint64_t asked) {
  if (auto position = token.find(shard)) return {SessionDemand::Kind::kPosition, *position, asked};
  const auto kind = token.has_forgotten_writes() ? SessionDemand::Kind::kPrimary : SessionDemand::Kind::kAny;
  return {kind, {}, asked};
}

SessionVerdict judge_for_session(const SessionDemand& demand, const AnswerClaims& answer) {
  // What cannot be absorbed would be forgotten: the next answer could be older.
  if (answer.db_epoch == 0 || !answer.hi) return SessionVerdict::kBehind;
  switch (demand.kind) {
    case SessionDemand::Kind::kAny:
      return SessionVerdict::kYes;
    case SessionDemand::Kind::kPrimary:
      return answer.is_primary() && answer.sent >= demand.asked ? SessionVerdict::kYes : SessionVerdict::kBehind;
    case SessionDemand::Kind::kPosition:
      break;
  }
  const SessionPosition& position = demand.position;
  if (answer.db_epoch < position.db_epoch) return SessionVerdict::kOldEpoch;
  if (answer.is_primary()) {
    if (answer.db_epoch == position.db_epoch) return judge_primary(demand, answer);
    // A new epoch: what survived of the old one is visible on its primary.
    return answer.sent >= demand.asked ? SessionVerdict::kYes : SessionVerdict::kBehind;
  }
  if (answer.db_epoch != position.db_epoch) return SessionVerdict::kBehind;
  return answer.contains >= position.needed() ? SessionVerdict::kYes : SessionVerdict::kBehind;
}

}  // namespace tidemark::client
