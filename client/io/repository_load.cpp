// Loads of a repository: which server, what its rows prove, what becomes of them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/io/system_clock.h"
#include "client/io/hand_over.h"
#include "client/io/repository_impl.h"

namespace tidemark::client {
namespace {

using io::steady_now;
using shardrouter::BucketState;
using shardrouter::ResultSet;
using shardrouter::ShardPool;

constexpr int kHealsMax = 2;  // a read refused by a shard that does not own its bucket is sent on so often

Instant earliest_deadline(const Load& load) {
  Instant deadline = Instant::max();
  for (const FlightPtr& flight : load.flights) deadline = std::min(deadline, flight->leader->deadline);
  return deadline;
}

// What all flights of a load demand of a replica.
struct ReplicaDemand {
  bool is_allowed = true;
  bool is_for_session = false;
  Duration max_stale{};
  Lsn need;
};

ReplicaDemand replica_demand_of(const Load& load, Duration replica_stale_max) {
  ReplicaDemand demand;
  demand.max_stale = replica_stale_max;
  for (const FlightPtr& flight : load.flights) {
    demand.is_allowed = demand.is_allowed && flight->leader->options.may_use_replica;
    demand.max_stale = std::min(demand.max_stale, flight->leader->max_stale);
    if (flight->lease) demand.need = std::max(demand.need, flight->lease->need);
    const Operation& leader = *flight->leader;
    const SessionDemand session = leader.wanted ? demand_of(*leader.wanted, load.shard, leader.asked) : SessionDemand{};
    demand.is_allowed = demand.is_allowed && !flight->needs_primary && session.kind != SessionDemand::Kind::kPrimary;
    demand.is_for_session = demand.is_for_session || session.kind == SessionDemand::Kind::kPosition;
    demand.need = std::max(demand.need, session.position.needed());
  }
  return demand;
}

}  // namespace

// The node could not answer or may not be filled: one of the shard's few places, so that a dead cache does not become a
// dead database.
void RepositoryImpl::load_without_lease(const FlightPtr& flight, std::string_view reason) {
  flight->bypass = reason;
  metrics().count("bypass", reason);
  load_flight(flight);
}

void RepositoryImpl::load_flight(const FlightPtr& flight) {
  if (flight->batch != nullptr && !source_.batch_sql.empty()) {
    flight->batch->to_load.push_back(flight);
    return leave_batch(flight);
  }
  leave_batch(flight);
  auto owner = database_->owner_of(flight->bucket);
  if (!owner) {
    return settle(flight, fail(ErrorCode::kFailedPrecondition,
                               fmt::format("bucket {} has no shard in the topology", flight->bucket)));
  }
  auto load = std::make_shared<Load>();
  load->shard = owner->shard;
  load->flights.push_back(flight);
  run_load(std::move(load));
}

void RepositoryImpl::load_batch(std::vector<FlightPtr> flights) {
  std::map<ShardId, LoadPtr> open;
  for (FlightPtr& flight : flights) {
    auto owner = database_->owner_of(flight->bucket);
    if (!owner) {
      settle(flight, fail(ErrorCode::kFailedPrecondition,
                          fmt::format("bucket {} has no shard in the topology", flight->bucket)));
      continue;
    }
    LoadPtr& load = open[owner->shard];
    if (load != nullptr && load->flights.size() >= kBatchKeysMax) run_load(std::exchange(load, nullptr));
    if (load == nullptr) load = std::make_shared<Load>();
    load->shard = owner->shard;
    load->flights.push_back(std::move(flight));
  }
  for (auto& [shard, load] : open) run_load(std::move(load));
}

void RepositoryImpl::run_load(LoadPtr load) {
  auto needs_place = [](const FlightPtr& flight) { return !flight->bypass.empty() && flight->bypass != "asked"; };
  if (std::any_of(load->flights.begin(), load->flights.end(), needs_place)) {
    load->has_fallback_place = database_->begin_fallback(load->shard);
    if (!load->has_fallback_place) {
      std::vector<FlightPtr> refused;
      for (const FlightPtr& flight : load->flights) {
        if (needs_place(flight)) refused.push_back(flight);
      }
      std::erase_if(load->flights, needs_place);
      for (const FlightPtr& flight : refused) {
        settle(flight, fail(ErrorCode::kResourceExhausted,
                            fmt::format("the cache cannot answer ({}) and shard {} has its full number of direct reads",
                                        flight->bypass, load->shard)));
      }
      if (load->flights.empty()) return;
    }
  }
  const ReplicaDemand demand = replica_demand_of(*load, options_.replica_stale_max);
  if (!demand.is_allowed) return run_on_primary(load);
  auto position = database_->position_at_most(load->shard, demand.max_stale);
  if (!position) {
    metrics().count("replica_refused", "unknown");
    return run_on_primary(load);
  }
  const Lsn at_least = std::max(*position, demand.need);
  if (demand.is_for_session && may_try_replica(*load, *position, at_least)) {
    load->trial_until = steady_now() + options_.session_replica_wait_max;
    load->trial_at_least = *position;
    return send_load(load, ShardPool::Target::kReplica, *position);
  }
  send_load(load, ShardPool::Target::kReplica, at_least);
}

void RepositoryImpl::run_on_primary(const LoadPtr& load) {
  send_load(load, ShardPool::Target::kPrimary, {});
}

void RepositoryImpl::send_load(const LoadPtr& load, ShardPool::Target target, Lsn at_least) {
  ShardPool* pool = database_->pool(load->shard);
  if (pool == nullptr) {
    return fail_load(load,
                     {ErrorCode::kFailedPrecondition, fmt::format("shard {} is not in the topology", load->shard)});
  }
  const Instant now = steady_now();
  const Duration timeout = earliest_deadline(*load) - now;
  if (timeout <= Duration::zero()) {
    return fail_load(load, {ErrorCode::kDeadlineExceeded, "the deadline passed before the database was asked"});
  }
  std::vector<LoadKey> keys;
  keys.reserve(load->flights.size());
  for (const FlightPtr& flight : load->flights) keys.push_back({flight->bucket, flight->item().parts});
  auto pipeline = keys.size() == 1 ? make_single_load(source_.sql, keys[0]) : make_batch_load(source_.batch_sql, keys);
  load->sent = now;
  load->sent_at = ++steps_;
  const char* role = target == ShardPool::Target::kReplica ? "replica" : "primary";
  metrics().count("loads", role);
  metrics().count("shard_loads", fmt::format("{}/{}", load->shard, role));
  pool->run(target, at_least, std::move(pipeline), timeout,
            [self = shared(), load, target](Result<std::vector<ResultSet>> results) {
              self->on_loaded(load, target, std::move(results));
            });
}

void RepositoryImpl::end_load(const LoadPtr& load) {
  if (std::exchange(load->has_fallback_place, false)) database_->end_fallback(load->shard);
}

void RepositoryImpl::fail_load(const LoadPtr& load, const Error& error) {
  end_load(load);
  for (const FlightPtr& flight : std::exchange(load->flights, {})) settle(flight, std::unexpected(error));
}

// The key that a row belongs to, from its own columns.
Result<std::string> RepositoryImpl::key_of_row(const Row& row) const {
  std::vector<std::string_view> values;
  for (const std::string& column : source_.family.key_columns) {
    auto text = row.text(column);
    if (!text) return std::unexpected(text.error().with_context("family " + source_.family.name));
    values.push_back(*text);
  }
  return source_.pattern.render(values);
}

void RepositoryImpl::on_loaded(const LoadPtr& load, ShardPool::Target target, Result<std::vector<ResultSet>> results) {
  const bool was_replica = target == ShardPool::Target::kReplica;
  auto rows =
      results ? read_load(std::move(*results)) : Result<ProvenRows>(std::unexpected(std::move(results.error())));
  // Promoted since it was chosen: its snapshots prove nothing under the db_epoch of the old primary.
  if (rows && was_replica && rows->kind == Proof::Kind::kSnapshot) {
    rows = fail(ErrorCode::kUnavailable, "the replica was promoted");
  }
  if (!rows && was_replica && steady_now() < earliest_deadline(*load)) {
    metrics().count("replica_refused", rows.error().code == ErrorCode::kFailedPrecondition ? "none" : "error");
    return run_on_primary(load);
  }
  if (!rows) return fail_load(load, rows.error());
  const LoadedRows sorted = sort_rows(*rows, *load);
  if (sorted.error) return fail_load(load, *sorted.error);
  auto again = std::make_shared<Load>();  // what the replica could not answer well enough
  again->shard = load->shard;
  again->trial_until = load->trial_until;
  again->trial_at_least = load->trial_at_least;
  for (const FlightPtr& flight : std::exchange(load->flights, {})) {
    if (!settle_from_rows(flight, *load, *rows, sorted, was_replica)) again->flights.push_back(flight);
  }
  if (again->flights.empty()) return end_load(load);
  again->has_fallback_place = std::exchange(load->has_fallback_place, false);
  if (again->trial_until != Instant{}) return try_replica_again(again);
  run_on_primary(again);
}

// Rows by their key. Any row that does not give back a key that was asked for spoils the load: another spelling of the
// same key (collation, number format) would be cached under a name that no invalidation finds.
RepositoryImpl::LoadedRows RepositoryImpl::sort_rows(const ProvenRows& rows, const Load& load) const {
  LoadedRows sorted;
  for (const FlightPtr& flight : load.flights) sorted.by_key[flight->item().key];
  for (size_t index : rows.rows) {
    const Row row(rows.set, index);
    auto key = key_of_row(row);
    auto asked = key ? sorted.by_key.find(*key) : sorted.by_key.end();
    if (asked == sorted.by_key.end()) {
      sorted.error = Error{ErrorCode::kInternal,
                           key ? fmt::format("family {}: the statement gave a row of key '{}', which was not asked for",
                                             source_.family.name, *key)
                               : key.error().to_string()};
      return sorted;
    }
    asked->second.push_back(row);
  }
  return sorted;
}

// False: this answer is not good enough, ask the primary.
bool RepositoryImpl::settle_from_rows(const FlightPtr& flight, const Load& load, const ProvenRows& rows,
                                      const LoadedRows& sorted, bool may_ask_primary) {
  auto bucket = rows.buckets.find(flight->bucket);
  if (bucket == rows.buckets.end() || bucket->second.state != BucketState::kOwned) {
    if (may_ask_primary) return false;
    const ProvenBucket state = bucket == rows.buckets.end() ? ProvenBucket{} : bucket->second;
    if (!reload_refused(flight, load.shard, state)) {
      settle(flight,
             fail(ErrorCode::kFailedPrecondition, fmt::format("bucket {} is not owned by shard {}: {}", flight->bucket,
                                                              load.shard, state.refusal().to_string())));
    }
    return true;
  }
  Found found;
  found.as_of = load.sent;
  if (rows.kind == Proof::Kind::kReplica) {
    found.origin = Origin::kReplica;
    found.as_of = database_->moment_of(load.shard, rows.db_epoch, rows.replayed).value_or(Instant{});
    const Operation& leader = *flight->leader;
    const bool is_old = found.as_of == Instant{} || leader.start - found.as_of > leader.max_stale;
    if (leader.max_stale != kAnyStaleness && is_old) {
      if (may_ask_primary) {
        metrics().count("replica_refused", "too_old");
        return false;
      }
      settle(flight,
             fail(ErrorCode::kUnavailable, fmt::format("the primary of shard {} is a standby now", load.shard)));
      return true;
    }
  }
  std::string bytes;
  const std::vector<Row>& own = sorted.by_key.at(flight->item().key);
  if (!own.empty()) {
    auto value = source_.from_rows(own);
    if (!value) {
      settle(flight, std::unexpected(value.error().with_context("family " + source_.family.name)));
      return true;
    }
    found.object = std::move(value->object);
    bytes = std::move(value->bytes);
  }
  found.claims = claims_of_rows(flight, load, rows);
  const SessionVerdict verdict = judge(*flight->leader, found.claims);
  if (verdict != SessionVerdict::kYes && may_ask_primary) {
    metrics().count("sessions", "replica_behind");
    return false;
  }
  if (verdict == SessionVerdict::kYes) {
    settle(flight, std::move(found));
  } else {
    go_on_alone(flight, found);
  }
  ProvenValue value{std::move(bytes), rows.proof(load.shard, flight->bucket), rows.hi};
  if (flight->lease) {
    fill(flight, value);
  } else if (flight->bypass == "deadline") {
    flight->unfilled = std::move(value);
  }
  if (verdict != SessionVerdict::kYes) ask_again(flight, load.shard, verdict);
  return true;
}

// The shard says that it does not own the bucket: once the map is healed, the new owner is asked.
bool RepositoryImpl::reload_refused(const FlightPtr& flight, ShardId shard, const ProvenBucket& bucket) {
  auto asked = database_->owner_of(flight->bucket);
  if (!asked) return false;
  const shardrouter::BucketRefusal refusal = bucket.refusal();
  if (!database_->heal(flight->bucket, {shard, asked->epoch}, refusal)) {
    const bool is_on_its_way = refusal.state == BucketState::kFenced || refusal.state == BucketState::kImporting;
    return is_on_its_way && reload_after_hand_over(flight);
  }
  if (flight->heals++ >= kHealsMax) return false;
  load_flight(flight);
  return true;
}

// Nobody owns it for a moment, or the shard that was asked does not know the new owner yet.
bool RepositoryImpl::reload_after_hand_over(const FlightPtr& flight) {
  if (++flight->hand_over_waits > kHandOverWaitsMax || steady_now() + kHandOverWait >= flight->leader->deadline)
    return false;
  auto timer = std::make_shared<boost::asio::steady_timer>(cache_->context(), kHandOverWait);
  timer->async_wait([self = shared(), timer, flight](const boost::system::error_code&) {
    if (!flight->is_settled) self->load_flight(flight);
  });
  return true;
}

// The caller has its answer already; whatever the node says is only counted.
void RepositoryImpl::fill(const FlightPtr& flight, const ProvenValue& value) {
  if (std::exchange(flight->is_filled, true)) return;
  if (fills_in_flight_ >= options_.fills_in_flight_max) return metrics().count("fills", "dropped");
  ++fills_in_flight_;
  Fill request;
  request.key = flight->item().key;
  request.lease = flight->lease->lease;
  request.proof = value.proof;
  request.value = value.bytes;
  request.hi = value.hi;
  request.is_absent = value.bytes.empty();
  cache_->execute(flight->item().key, make_setv(request), options_.fill_timeout, false,
                  [self = shared(), flight](Result<RespValue> reply) {
                    --self->fills_in_flight_;
                    const FillVerdict verdict = reply ? parse_setv(*reply) : FillVerdict::kError;
                    self->metrics().count("fills", to_string(verdict));
                    const bool is_old = verdict == FillVerdict::kOlder || verdict == FillVerdict::kFloor;
                    if (is_old && flight->lease->is_visible_soon) {
                      self->backoff_.on_refused(flight->item().key, steady_now());
                    } else if (verdict == FillVerdict::kOk || verdict == FillVerdict::kKept) {
                      self->backoff_.on_accepted(flight->item().key);
                    }
                  });
}

}  // namespace tidemark::client
