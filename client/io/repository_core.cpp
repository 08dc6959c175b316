#include "client/repository_core.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/io/random_source.h"
#include "base/io/system_clock.h"
#include "client/io/repository_impl.h"
#include "client/session_token.h"

namespace tidemark::client {
namespace {

namespace asio = boost::asio;
using io::steady_now;

constexpr int kAttemptsMax = 3;  // of an operation whose flight failed or was too old for it alone

std::optional<int64_t> millis_of(Duration max_stale) {
  return max_stale == kAnyStaleness ? std::nullopt : std::optional(to_millis(max_stale));
}

int64_t millis_rounded_up(Duration duration) {
  return (std::max(duration, Duration::zero()).count() + 999) / 1000;
}

// What the answer can promise to a caller that asked at `start`.
int64_t staleness_of(const Found& found, Instant start) {
  if (found.as_of == Instant{}) return kStalenessUnknown;
  const int64_t own = millis_rounded_up(start - found.as_of);
  return found.origin == Origin::kNode ? std::max(found.node_bound_ms, own) : own;
}

std::string_view bypass_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kDeadlineExceeded:
      return "deadline";
    case ErrorCode::kResourceExhausted:
      return "overloaded";
    case ErrorCode::kFailedPrecondition:
      return "unowned";
    default:
      return "unavailable";
  }
}

}  // namespace

RepositoryImpl::RepositoryImpl(std::shared_ptr<CacheClient> cache, std::shared_ptr<Database> database,
                               SourceOperations source, RepositoryOptions options)
    : cache_(std::move(cache)),
      database_(std::move(database)),
      source_(std::move(source)),
      options_(options),
      flights_({options.flights_max, options.waiters_per_flight_max}),
      backoff_(options.reject_backoff, options.reject_backoff_max),
      random_(static_cast<std::minstd_rand::result_type>(io::random_u64())) {}

std::optional<Error> RepositoryImpl::blocking_error() const {
  if (!cache_->is_context_thread()) return std::nullopt;
  return Error{ErrorCode::kFailedPrecondition, "a blocking call on the io_context's own thread would wait for itself"};
}

OperationPtr RepositoryImpl::make_operation(KeyItem item, const ReadOptions& options, Instant start,
                                            Callback<Result<RawAnswer>> done) {
  auto operation = std::make_shared<Operation>();
  operation->item = std::move(item);
  operation->options = options;
  operation->max_stale = options.max_stale.value_or(std::chrono::milliseconds(source_.family.max_stale_ms));
  operation->start = start;
  operation->deadline = start + options.timeout;
  operation->done = std::move(done);
  if (options.session) {
    operation->wanted = options.session->token();
    operation->asked = ++steps_;
  }
  return operation;
}

void RepositoryImpl::get(Result<KeyItem> item, ReadOptions options, Callback<Result<RawAnswer>> done) {
  const Instant start = steady_now();
  asio::post(cache_->context(),
             [self = shared(), item = std::move(item), options, start, done = std::move(done)]() mutable {
               if (!item) return done(std::unexpected(std::move(item.error())));
               self->begin(self->make_operation(std::move(*item), options, start, std::move(done)), nullptr);
             });
}

void RepositoryImpl::get_many(std::vector<Result<KeyItem>> items, ReadOptions options,
                              Callback<std::vector<Result<RawAnswer>>> done) {
  struct Gather {
    Callback<std::vector<Result<RawAnswer>>> done;
    std::vector<Result<RawAnswer>> answers;
    size_t missing = 0;
    void put(size_t index, Result<RawAnswer> raw) {
      answers[index] = std::move(raw);
      if (--missing == 0) done(std::move(answers));
    }
  };
  const Instant start = steady_now();
  auto gather = std::make_shared<Gather>();
  gather->done = std::move(done);
  gather->answers.resize(items.size());
  gather->missing = items.size() + 1;  // one for this call, so that it cannot end while it is begun
  asio::post(cache_->context(), [self = shared(), items = std::move(items), options, start, gather]() mutable {
    auto batch = std::make_shared<Batch>();
    ++batch->waiting;
    for (size_t i = 0; i < items.size(); ++i) {
      auto put = [gather, i](Result<RawAnswer> raw) { gather->put(i, std::move(raw)); };
      if (items.size() > kKeysPerCallMax) {
        put(fail(ErrorCode::kInvalidArgument, fmt::format("more than {} keys in one call", kKeysPerCallMax)));
      } else if (!items[i]) {
        put(std::unexpected(std::move(items[i].error())));
      } else {
        self->begin(self->make_operation(std::move(*items[i]), options, start, std::move(put)), batch);
      }
    }
    if (--batch->waiting == 0) self->load_batch(std::exchange(batch->to_load, {}));
    if (--gather->missing == 0) gather->done(std::move(gather->answers));
  });
}

// A flight of its own, or a place in the one that is under way.
void RepositoryImpl::begin(OperationPtr operation, const std::shared_ptr<Batch>& batch) {
  ++operation->attempts;
  if (operation->options.is_cache_bypassed) {
    auto flight = make_flight(operation, 0);
    flight->bypass = "asked";
    metrics().count("bypass", "asked");
    return load_flight(flight);
  }
  if (operation->attempts == kAttemptsMax) return ask_node(make_flight(operation, 0));  // alone: nobody else's options
  auto joined = flights_.join(operation->item.key, operation);
  using Role = SingleFlight<OperationPtr>::Role;
  if (joined.role == Role::kFull) {
    return answer(operation,
                  fail(ErrorCode::kResourceExhausted,
                       fmt::format("{} keys of family {} are being read, or {} callers wait for one",
                                   options_.flights_max, source_.family.name, options_.waiters_per_flight_max)));
  }
  if (joined.role == Role::kFollower) return arm_deadline(operation);
  auto flight = make_flight(operation, joined.flight);
  if (batch != nullptr) {
    flight->batch = batch;
    ++batch->waiting;
  }
  if (backoff_.is_backed_off(operation->item.key, steady_now())) return load_without_lease(flight, "backoff");
  ask_node(flight);
}

FlightPtr RepositoryImpl::make_flight(const OperationPtr& leader, uint64_t id) {
  auto flight = std::make_shared<Flight>();
  flight->id = id;
  flight->leader = leader;
  flight->bucket = bucket_of_slot(slot_of_key(leader->item.key));
  return flight;
}

void RepositoryImpl::arm_deadline(const OperationPtr& operation) {
  operation->timer = std::make_unique<asio::steady_timer>(
      cache_->context(), asio::steady_timer::time_point(operation->deadline.time_since_epoch()));
  operation->timer->async_wait([self = shared(), operation](const boost::system::error_code& error) {
    if (error || operation->is_answered) return;
    self->answer(operation,
                 fail(ErrorCode::kDeadlineExceeded, "another caller's load of this key was not done in time"));
  });
}

void RepositoryImpl::ask_node(const FlightPtr& flight) {
  if (!prepare_for_session(flight)) return load_without_lease(flight, "session");
  const Instant now = steady_now();
  const Duration timeout = std::min(options_.node_timeout, flight->leader->deadline - now);
  cache_->execute(
      flight->item().key,
      make_getl(flight->item().key, millis_of(flight->leader->max_stale), flight->after, flight->owner), timeout, false,
      [self = shared(), flight, now, is_late = false](Result<RespValue> reply) mutable {
        if (std::exchange(is_late, true)) return self->on_late_answer(flight, std::move(reply));
        self->on_node_answer(flight, now, std::move(reply));
      },
      /*wants_late_reply=*/true);
}

void RepositoryImpl::on_node_answer(const FlightPtr& flight, Instant sent, Result<RespValue> reply) {
  if (!reply) return load_without_lease(flight, bypass_of(reply.error()));
  if (reply->is_error()) return load_without_lease(flight, "refused");
  auto answer = parse_getl(std::move(*reply));
  if (!answer) return load_without_lease(flight, "refused");
  if (auto* hit = std::get_if<GetlHit>(&*answer))
    return on_hit(flight, sent, std::move(hit->value), hit->bound_ms, hit->claims);
  if (auto* absent = std::get_if<GetlAbsent>(&*answer))
    return on_hit(flight, sent, std::nullopt, absent->bound_ms, absent->claims);
  if (auto* busy = std::get_if<GetlBusy>(&*answer)) return on_busy(flight, *busy);
  if (auto* bypass = std::get_if<GetlBypass>(&*answer)) {
    flight->needs_primary = bypass->reason == "EPOCH" || bypass->reason == "LOST";
    return load_without_lease(flight, bypass->reason == "NOTJOINED" ? "notjoined"
                                      : flight->needs_primary       ? "epoch"
                                      : bypass->reason == "MOVED"   ? "moved"
                                                                    : "behind");
  }
  flight->lease = std::get<GetlMiss>(std::move(*answer));
  if (flight->after) flight->settled = TideOfShard{flight->after->db_epoch, flight->lease->settled};
  load_flight(flight);
}

// The database was asked meanwhile. A lease that comes only now would keep the key BUSY for everybody until it ends by
// itself: the load's value is filled with it.
void RepositoryImpl::on_late_answer(const FlightPtr& flight, Result<RespValue> reply) {
  if (!reply || reply->is_error() || flight->lease) return;
  auto answer = parse_getl(std::move(*reply));
  auto* miss = answer ? std::get_if<GetlMiss>(&*answer) : nullptr;
  if (miss == nullptr) return;
  metrics().count("leases", "late");
  flight->lease = std::move(*miss);
  if (!flight->is_settled) return;  // settling will fill or give it back
  if (!flight->unfilled) return give_back_lease(flight);
  fill(flight, *std::exchange(flight->unfilled, std::nullopt));
}

// nullopt: a proven absence.
void RepositoryImpl::on_hit(const FlightPtr& flight, Instant sent, std::optional<std::string> value, int64_t bound_ms,
                            const GetlClaims& claims) {
  const Duration max_stale = flight->leader->max_stale;
  if (max_stale != kAnyStaleness && (bound_ms < 0 || bound_ms > to_millis(max_stale))) {
    return load_without_lease(flight, "behind");  // a node that does not keep to MAXSTALE
  }
  Found found;
  found.origin = Origin::kNode;
  found.node_bound_ms = bound_ms;
  if (bound_ms >= 0) found.as_of = sent - std::chrono::milliseconds(bound_ms);
  if (value) {
    auto object = source_.decode(*value);
    if (!object) {
      // Written by another version of the program. Without DEL nobody would get a lease to replace it.
      cache_->execute(flight->item().key, make_request({"DEL", flight->item().key}), options_.fill_timeout, true,
                      [](Result<RespValue>) {});
      return load_without_lease(flight, "undecodable");
    }
    found.object = std::move(*object);
  }
  found.claims = claims_of_hit(*flight, claims);
  if (judge(*flight->leader, found.claims) == SessionVerdict::kYes) return settle(flight, std::move(found));
  go_on_alone(flight, found);
  flight->needs_primary = true;  // no upper bound of what is in it (nothing to absorb), or a node that ignores AFTER
  load_without_lease(flight, "session");
}

// Another client loads this key. Waiting saves the database a query, but only for so long.
void RepositoryImpl::on_busy(const FlightPtr& flight, const GetlBusy& busy) {
  const Instant now = steady_now();
  if (flight->busy_until == Instant{}) flight->busy_until = now + options_.busy_wait_max;
  std::uniform_real_distribution<double> jitter(0.5, 1.0);
  const auto asked =
      std::chrono::duration_cast<Duration>(std::chrono::milliseconds(std::clamp<int64_t>(busy.retry_ms, 1, 10'000)));
  const auto wait = Duration(static_cast<int64_t>(static_cast<double>(asked.count()) * jitter(random_)));
  if (now + wait > flight->busy_until || now + wait >= flight->leader->deadline)
    return load_without_lease(flight, "busy");
  leave_batch(flight);
  auto timer = std::make_shared<asio::steady_timer>(cache_->context(), wait);
  timer->async_wait([self = shared(), timer, flight](const boost::system::error_code&) { self->ask_node(flight); });
}

// The batch must not wait for this flight (any more).
void RepositoryImpl::leave_batch(const FlightPtr& flight) {
  auto batch = std::exchange(flight->batch, nullptr);
  if (batch != nullptr && --batch->waiting == 0) load_batch(std::exchange(batch->to_load, {}));
}

// A lease that nothing will be filled with would keep the key BUSY for others until it ends by itself. There is no
// command to give one back and none is needed: a fill whose proof cannot hold (db_epoch 0 is never used) ends it.
void RepositoryImpl::give_back_lease(const FlightPtr& flight) {
  if (!flight->lease || flight->is_filled || !cache_) return;
  Fill nothing;
  nothing.key = flight->item().key;
  nothing.lease = flight->lease->lease;
  nothing.is_absent = true;
  metrics().count("leases", "given_back");
  cache_->execute(flight->item().key, make_setv(nothing), options_.fill_timeout, false, [](Result<RespValue>) {});
  flight->lease.reset();
}

void RepositoryImpl::settle(const FlightPtr& flight, Result<Found> found) {
  flight->is_settled = true;
  if (!found) give_back_lease(flight);
  leave_batch(flight);
  if (flight->id == 0) return deliver(flight->leader, found);
  for (const OperationPtr& operation : flights_.finish(flight->id)) deliver(operation, found);
}

// Does this operation deserve a try of its own, because the flight's outcome was decided by another caller's options?
bool RepositoryImpl::should_ask_again(const Operation& operation, const Result<Found>& found, Instant now) const {
  if (operation.attempts >= kAttemptsMax || operation.timer == nullptr || now >= operation.deadline) return false;
  if (!found) return found.error().code == ErrorCode::kDeadlineExceeded;
  if (judge(operation, found->claims) != SessionVerdict::kYes) return true;
  if (operation.max_stale == kAnyStaleness) return false;
  const int64_t staleness = staleness_of(*found, operation.start);
  return staleness == kStalenessUnknown || staleness > to_millis(operation.max_stale);
}

void RepositoryImpl::deliver(const OperationPtr& operation, const Result<Found>& found) {
  if (operation->is_answered) return;
  if (should_ask_again(*operation, found, steady_now())) {
    if (operation->wanted) metrics().count("sessions", "asked_again");
    operation->timer.reset();
    return begin(operation, nullptr);
  }
  if (!found) return answer(operation, std::unexpected(found.error()));
  if (operation->wanted) {
    // Only of a load that somebody else began, with no time left for one of its own.
    if (judge(*operation, found->claims) != SessionVerdict::kYes) {
      return answer(operation, fail(ErrorCode::kDeadlineExceeded,
                                    "another caller's answer for this key lacks what the session has seen, and there "
                                    "was no time for one of its own"));
    }
    absorb(*operation, found->claims);
  }
  answer(operation, RawAnswer{found->object, found->origin, staleness_of(*found, operation->start), found->as_of});
}

void RepositoryImpl::answer(const OperationPtr& operation, Result<RawAnswer> raw) {
  if (std::exchange(operation->is_answered, true)) return;
  operation->timer.reset();
  if (raw) {
    const std::string_view origin = to_string(raw->origin);
    metrics().count_request(source_.family.name, origin, raw->object != nullptr ? "value" : "absent");
    metrics().record_latency(origin, steady_now() - operation->start);
  } else {
    metrics().count_request(source_.family.name, "none", tidemark::to_string(raw.error().code));
  }
  std::exchange(operation->done, nullptr)(std::move(raw));
}

std::shared_ptr<RepositoryCore> RepositoryCore::create(std::shared_ptr<CacheClient> cache,
                                                       std::shared_ptr<Database> database, SourceOperations source,
                                                       RepositoryOptions options) {
  return std::make_shared<RepositoryImpl>(std::move(cache), std::move(database), std::move(source), options);
}

}  // namespace tidemark::client
