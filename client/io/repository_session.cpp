// Reads of sessions: what is asked of the node and of replicas, and how the primary proves what was read elsewhere.
//
//   node      GETL … AFTER e lsn                   a hit contains it all
//   replica   replayed >= lsn, by the load's own proof; one that is nearly there is tried for a moment
//   primary   own writes: visible. What was read elsewhere: a node says settled >= lsn, or the load's snapshot has
//   every
//             xid that had been given out when it was asked for (its xmin is not below the next xid of then). Neither:
//             all are asked again until session_settle_wait_max
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>

#include "base/io/system_clock.h"
#include "client/io/repository_impl.h"
#include "client/session_token.h"

namespace tidemark::client {
namespace {

namespace asio = boost::asio;
using io::steady_now;
using shardrouter::ShardPool;

constexpr Duration kReplicaRetry = std::chrono::milliseconds(2);
constexpr Duration kTrialPause = std::chrono::milliseconds(200);  // no trials after one that came too late
constexpr Duration kSettlePoll = std::chrono::milliseconds(10);

}  // namespace

SessionVerdict RepositoryImpl::judge(const Operation& operation, const AnswerClaims& claims) const {
  if (!operation.wanted) return SessionVerdict::kYes;
  return judge_for_session(demand_of(*operation.wanted, claims.shard, operation.asked), claims);
}

// Requires that the answer was judged good.
void RepositoryImpl::absorb(const Operation& operation, const AnswerClaims& claims) {
  Session& session = *operation.options.session;
  session.absorb_read(claims.shard, claims.db_epoch, *claims.hi, claims.is_primary());
  if (!claims.is_primary()) return;
  const auto held = operation.wanted->find(claims.shard);
  if (held && held->db_epoch == claims.db_epoch) session.absorb_proven(claims.shard, claims.db_epoch, held->read);
}

// False: no node can answer this session.
bool RepositoryImpl::prepare_for_session(const FlightPtr& flight) {
  const Operation& leader = *flight->leader;
  auto owner = leader.wanted ? database_->owner_of(flight->bucket) : std::nullopt;
  flight->after.reset();
  flight->owner = owner;
  if (!owner) return true;
  const SessionDemand demand = demand_of(*leader.wanted, owner->shard, leader.asked);
  if (demand.kind == SessionDemand::Kind::kPosition) {
    flight->after = GetlAfter{demand.position.db_epoch, demand.position.needed()};
  }
  flight->needs_primary = demand.kind == SessionDemand::Kind::kPrimary;
  return !flight->needs_primary;
}

AnswerClaims RepositoryImpl::claims_of_hit(const Flight& flight, const GetlClaims& claims) const {
  auto owner = database_->owner_of(flight.bucket);
  AnswerClaims answer;
  answer.source = AnswerClaims::Source::kNode;
  answer.shard = owner ? owner->shard : ShardId{0};
  answer.db_epoch = owner ? claims.db_epoch : DbEpoch{0};
  answer.contains = claims.lo;
  // A hit is what the node was asked for.
  if (flight.after && flight.after->db_epoch == claims.db_epoch) {
    answer.contains = std::max(answer.contains, flight.after->lsn);
  }
  answer.hi = claims.hi;
  return answer;
}

AnswerClaims RepositoryImpl::claims_of_rows(const FlightPtr& flight, const Load& load, const ProvenRows& rows) const {
  AnswerClaims answer;
  answer.shard = load.shard;
  answer.db_epoch = rows.db_epoch;
  answer.hi = rows.hi;
  answer.sent = load.sent_at;
  if (rows.kind == Proof::Kind::kReplica) {
    answer.source = AnswerClaims::Source::kReplica;
    answer.contains = rows.replayed;
    return answer;
  }
  answer.source = AnswerClaims::Source::kPrimary;
  // Both were learnt before this load was sent: `settled` holds for every later snapshot.
  if (flight->settled && flight->settled->db_epoch == rows.db_epoch) answer.contains = flight->settled->settled;
  if (!flight->next_xid || flight->counted_epoch != rows.db_epoch) {
    flight->next_xid = rows.next_xid;
    flight->counted_epoch = rows.db_epoch;
    flight->counted_at = load.sent_at;
  }
  if (flight->next_xid && rows.snapshot.xmin >= *flight->next_xid) answer.complete_at = flight->counted_at;
  return answer;
}

// The answer is good, but not for the leader's session: the others have theirs, the leader's search goes on.
void RepositoryImpl::go_on_alone(const FlightPtr& flight, const Found& found) {
  if (flight->id == 0) return;
  for (const OperationPtr& operation : flights_.finish(std::exchange(flight->id, 0))) {
    if (operation != flight->leader) deliver(operation, found);
  }
}

// No replica is known to have replayed what the session needs, but positions are polled only now and then: one that is
// young enough for anybody else is likely to have it by now, and its load proves whether it has.
bool RepositoryImpl::may_try_replica(const Load& load, Lsn young_enough, Lsn at_least) {
  ShardPool* pool = database_->pool(load.shard);
  if (pool == nullptr || options_.session_replica_wait_max <= Duration::zero()) return false;
  auto paused = trials_after_.find(load.shard);
  if (paused != trials_after_.end() && steady_now() < paused->second) return false;
  bool has_candidate = false;
  for (const ShardPool::ServerState& server : pool->servers()) {
    if (server.role != ShardServer::Role::kReplica || !server.is_usable) continue;
    if (server.replay_lsn >= at_least) return false;  // no need to try
    has_candidate = has_candidate || server.replay_lsn >= young_enough;
  }
  if (has_candidate) metrics().count("sessions", "replica_tried");
  return has_candidate;
}

void RepositoryImpl::try_replica_again(const LoadPtr& load) {
  const Instant now = steady_now();
  if (now + kReplicaRetry >= load->trial_until) {
    load->trial_until = {};
    trials_after_[load->shard] = now + kTrialPause;
    metrics().count("sessions", "replica_too_late");
    return run_on_primary(load);
  }
  auto timer = std::make_shared<asio::steady_timer>(cache_->context(), kReplicaRetry);
  timer->async_wait([self = shared(), timer, load](const boost::system::error_code&) {
    self->send_load(load, ShardPool::Target::kReplica, load->trial_at_least);
  });
}

// Sooner or later the primary shows what it has written, or is replaced, or a replica is known to have it.
void RepositoryImpl::ask_again(const FlightPtr& flight, ShardId shard, SessionVerdict verdict) {
  const Instant now = steady_now();
  if (flight->settle_until == Instant{}) {
    metrics().count("sessions", "primary_waited");
    flight->settle_until = std::min(now + options_.session_settle_wait_max, flight->leader->deadline);
  }
  if (now + kSettlePoll >= flight->settle_until) {
    metrics().count("sessions", "unproven");
    return settle(flight, std::unexpected(unproven(*flight, shard, verdict)));
  }
  auto timer = std::make_shared<asio::steady_timer>(cache_->context(), kSettlePoll);
  timer->async_wait([self = shared(), timer, flight, shard](const boost::system::error_code&) {
    const Duration timeout = std::min(self->options_.node_timeout, flight->settle_until - steady_now());
    self->cache_->execute(flight->item().key, make_tide(), timeout, true,
                          [self, flight, shard](Result<RespValue> reply) {
                            if (auto tide = reply ? parse_tide(*reply, shard) : std::nullopt) flight->settled = *tide;
                            self->load_flight(flight);
                          });
  });
}

Error RepositoryImpl::unproven(const Flight& flight, ShardId shard, SessionVerdict verdict) const {
  const SessionDemand demand = demand_of(*flight.leader->wanted, shard, flight.leader->asked);
  const SessionPosition& position = demand.position;
  if (verdict == SessionVerdict::kOldEpoch) {
    return {ErrorCode::kUnavailable,
            fmt::format("the primary of shard {} that answered is an old one: the session has seen db_epoch {}", shard,
                        position.db_epoch)};
  }
  return {
      ErrorCode::kUnavailable,
      fmt::format("the session has read up to {} of shard {} on a replica or from the cache, and its primary has not "
                  "shown all of that yet (does a commit wait for a synchronous standby?)",
                  position.read.to_string(), shard)};
}

}  // namespace tidemark::client
