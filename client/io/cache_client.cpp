#include "client/cache_client.h"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <mutex>

#include "base/io/resp_link.h"
#include "base/io/system_clock.h"
#include "base/parse.h"
#include "client/cluster/cluster_view.h"
#include "client/connection/circuit_breaker.h"
#include "client/connection/retry_budget.h"
#include "client/io/client_metrics.h"

namespace tidemark::client {
namespace {

namespace asio = boost::asio;
using io::RespLink;
using io::steady_now;

constexpr Duration kTimeoutCountsFrom = std::chrono::milliseconds(10);  // shorter ones say nothing about the node
constexpr Duration kRetryDelay = std::chrono::milliseconds(60);         // just above the link's first reconnect delay

ErrorCode code_of_error_reply(std::string_view text) {
  const std::string_view word = split(text, ' ')[0];
  if (word == "OOM") return ErrorCode::kResourceExhausted;
  if (word == "NOAUTH" || word == "WRONGPASS" || word == "NOPERM") return ErrorCode::kUnauthenticated;
  if (word == "PROTECTED") return ErrorCode::kFailedPrecondition;
  if (word == "LOADING" || word == "CLUSTERDOWN" || word == "MASTERDOWN" || word == "READONLY" || word == "TRYAGAIN") {
    return ErrorCode::kUnavailable;
  }
  return ErrorCode::kInvalidArgument;
}

Result<RespValue> errors_as_errors(Result<RespValue> reply) {
  if (reply && reply->is_error()) return fail(code_of_error_reply(reply->text), reply->text);
  return reply;
}

Result<CacheClient::Text> text_of(Result<RespValue> reply) {
  reply = errors_as_errors(std::move(reply));
  if (!reply) return std::unexpected(std::move(reply.error()));
  if (reply->is_null()) return CacheClient::Text();
  return CacheClient::Text(std::move(reply->text));
}

struct Call {
  Slot slot = 0;
  std::string request;
  Instant deadline;
  bool is_idempotent = false;
  int redirects = 0;
  bool was_retried = false;
  bool wants_late_reply = false;
  bool is_late = false;  // answered with kDeadlineExceeded; only its reply may follow
  Callback<Result<RespValue>> done;
};
using CallPtr = std::shared_ptr<Call>;

class CacheClientImpl final : public CacheClient {
 public:
  CacheClientImpl(asio::io_context& context, std::shared_ptr<const Topology> topology, CacheOptions options)
      : context_(context), options_(std::move(options)), topology_(topology), retries_(options_.retry_share_max) {
    view_.set_topology(std::move(topology));
  }
  ~CacheClientImpl() override { close(); }

  void set_topology(std::shared_ptr<const Topology> topology) override {
    if (topology == nullptr) return;
    {
      std::lock_guard lock(mutex_);
      if (topology_ != nullptr && topology->version <= topology_->version) return;
      topology_ = topology;
    }
    asio::dispatch(context_, [self = shared(), topology = std::move(topology)]() mutable {
      if (self->view_.set_topology(std::move(topology))) self->drop_unused_links();
    });
  }
  std::shared_ptr<const Topology> topology() const override {
    std::lock_guard lock(mutex_);
    return topology_;
  }
  void on_stale_topology(std::function<void()> callback) override { stale_topology_ = std::move(callback); }
  bool is_context_thread() const override { return context_.get_executor().running_in_this_thread(); }
  asio::io_context& context() override { return context_; }
  ClientMetrics& metrics() override { return metrics_; }

  void execute(std::string_view key, std::string request, Duration timeout, bool is_idempotent,
               Callback<Result<RespValue>> done, bool wants_late_reply = false) override {
    auto call = std::make_shared<Call>();
    call->slot = slot_of_key(key);
    call->request = std::move(request);
    call->deadline = steady_now() + timeout;
    call->is_idempotent = is_idempotent;
    call->wants_late_reply = wants_late_reply;
    call->done = std::move(done);
    retries_.on_request();
    attempt(std::move(call));
  }
  Result<std::string> address_of(std::string_view key) const override {
    auto worker = view_.worker_of(slot_of_key(key));
    if (!worker) return std::unexpected(worker.error());
    return view_.address(*worker).to_string();
  }
  void close() override {
    is_closed_ = true;
    for (auto& worker : workers_) {
      if (worker != nullptr && worker->link != nullptr) worker->link->close();
    }
  }

 protected:
  void start_get(std::string key, CallOptions options, Callback<Result<Text>> done) override;
  void start_set(std::string key, std::string value, SetOptions options, Callback<Result<bool>> done) override;
  void start_del(std::vector<std::string> keys, CallOptions options, Callback<Result<int64_t>> done) override;
  void start_mget(std::vector<std::string> keys, CallOptions options,
                  Callback<std::vector<Result<Text>>> done) override;
  void start_command(std::string key, std::vector<std::string> arguments, CallOptions options,
                     Callback<Result<RespValue>> done) override;

 private:
  struct Worker {
    explicit Worker(CircuitBreaker::Options options) : breaker(options) {}
    std::shared_ptr<RespLink> link;
    CircuitBreaker breaker;
  };

  std::shared_ptr<CacheClientImpl> shared() { return std::static_pointer_cast<CacheClientImpl>(shared_from_this()); }
  Duration timeout_of(const std::optional<Duration>& timeout) const { return timeout.value_or(options_.timeout); }
  Worker& worker_at(uint16_t index);
  void drop_unused_links();
  void attempt(CallPtr call);
  void on_reply(CallPtr call, uint16_t worker, Duration timeout, Result<RespValue> reply);
  void report(Worker& worker, const Result<RespValue>& reply, Duration timeout);
  bool follow_moved(const CallPtr& call, uint16_t worker, const RespValue& reply);
  bool retry(const CallPtr& call, const Error& error);

  asio::io_context& context_;
  const CacheOptions options_;
  mutable std::mutex mutex_;  // topology_
  std::shared_ptr<const Topology> topology_;
  std::function<void()> stale_topology_;
  ClusterView view_;
  std::vector<std::unique_ptr<Worker>> workers_;  // by the view's index
  RetryBudget retries_;
  ClientMetrics metrics_;
  bool is_closed_ = false;
};

CacheClientImpl::Worker& CacheClientImpl::worker_at(uint16_t index) {
  if (workers_.size() <= index) workers_.resize(index + size_t{1});
  if (workers_[index] == nullptr) {
    workers_[index] = std::make_unique<Worker>(
        CircuitBreaker::Options{options_.breaker_failures, options_.breaker_open_for, options_.breaker_open_for_max});
  }
  Worker& worker = *workers_[index];
  if (worker.link == nullptr) {
    RespLink::Options link;
    link.host = view_.address(index).host;
    link.port = view_.address(index).port;
    link.user = options_.user;
    link.password = options_.password;
    link.client_name = options_.client_name;
    link.connect_timeout = options_.connect_timeout;
    worker.link = RespLink::create(context_, std::move(link));
  }
  return worker;
}

void CacheClientImpl::drop_unused_links() {
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i] != nullptr && !view_.is_in_use(static_cast<uint16_t>(i))) workers_[i].reset();
  }
}

// Completes by post, never inside execute().
void CacheClientImpl::attempt(CallPtr call) {
  auto refuse = [&](Error error) {
    asio::post(context_, [call, error = std::move(error)]() mutable { call->done(std::unexpected(std::move(error))); });
  };
  if (is_closed_) return refuse({ErrorCode::kUnavailable, "the cache client was closed"});
  auto index = view_.worker_of(call->slot);
  if (!index) return refuse(index.error());
  const Instant now = steady_now();
  const Duration timeout = call->deadline - now;
  if (timeout <= Duration::zero())
    return refuse({ErrorCode::kDeadlineExceeded, "the deadline passed before a request was sent"});
  Worker& worker = worker_at(*index);
  if (!worker.breaker.allow(now)) {
    return refuse({ErrorCode::kUnavailable,
                   fmt::format("{} did not answer lately; it is asked again within {} ms",
                               view_.address(*index).to_string(), to_millis(options_.breaker_open_for_max))});
  }
  worker.link->send(
      call->request, timeout,
      [self = shared(), call, index = *index, timeout](Result<RespValue> reply) mutable {
        self->on_reply(call, index, timeout, std::move(reply));
      },
      call->wants_late_reply);
}

void CacheClientImpl::on_reply(CallPtr call, uint16_t worker, Duration timeout, Result<RespValue> reply) {
  if (call->is_late) return call->done(std::move(reply));
  if (worker < workers_.size() && workers_[worker] != nullptr) report(*workers_[worker], reply, timeout);
  if (reply && reply->is_error() && follow_moved(call, worker, *reply)) return attempt(std::move(call));
  if (!reply && retry(call, reply.error())) return;
  call->is_late = !reply && reply.error().code == ErrorCode::kDeadlineExceeded;
  call->done(std::move(reply));
}

void CacheClientImpl::report(Worker& worker, const Result<RespValue>& reply, Duration timeout) {
  if (reply) return worker.breaker.on_success();
  const ErrorCode code = reply.error().code;
  const bool is_local =
      code == ErrorCode::kResourceExhausted || (code == ErrorCode::kDeadlineExceeded && timeout < kTimeoutCountsFrom);
  if (is_local) return worker.breaker.on_neither();
  worker.breaker.on_failure(steady_now());
}

bool CacheClientImpl::follow_moved(const CallPtr& call, uint16_t worker, const RespValue& reply) {
  auto moved = parse_moved(reply.text, view_.address(worker).host);
  if (!moved) return false;
  metrics_.count("redirects", "moved");
  if (stale_topology_) stale_topology_();
  if (call->redirects++ >= kRedirectsMax) return false;
  return view_.note_moved(moved->slot, moved->address).has_value() && moved->slot == call->slot;
}

// Once, after the time in which a link reconnects.
bool CacheClientImpl::retry(const CallPtr& call, const Error& error) {
  const bool may_help = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kOutcomeUnknown;
  if (!may_help || !call->is_idempotent || call->was_retried || is_closed_) return false;
  if (steady_now() + kRetryDelay >= call->deadline || !retries_.take_retry()) return false;
  call->was_retried = true;
  metrics_.count("retries", "cache");
  auto timer = std::make_shared<asio::steady_timer>(context_, kRetryDelay);
  timer->async_wait([self = shared(), timer, call](const boost::system::error_code&) { self->attempt(call); });
  return true;
}

void CacheClientImpl::start_command(std::string key, std::vector<std::string> arguments, CallOptions options,
                                    Callback<Result<RespValue>> done) {
  const std::vector<std::string_view> views(arguments.begin(), arguments.end());
  std::string request;
  append_request(request, views);
  asio::post(context_, [self = shared(), key = std::move(key), request = std::move(request),
                        timeout = timeout_of(options.timeout), done = std::move(done)]() mutable {
    self->execute(key, std::move(request), timeout, false, [done = std::move(done)](Result<RespValue> reply) mutable {
      done(errors_as_errors(std::move(reply)));
    });
  });
}

void CacheClientImpl::start_get(std::string key, CallOptions options, Callback<Result<Text>> done) {
  asio::post(context_, [self = shared(), key = std::move(key), timeout = timeout_of(options.timeout),
                        done = std::move(done)]() mutable {
    self->execute(key, make_request({"GET", key}), timeout, true,
                  [done = std::move(done)](Result<RespValue> reply) mutable { done(text_of(std::move(reply))); });
  });
}

void CacheClientImpl::start_set(std::string key, std::string value, SetOptions options, Callback<Result<bool>> done) {
  const std::string expiry =
      options.expire_after ? std::to_string(std::max<int64_t>(1, to_millis(*options.expire_after))) : "";
  std::vector<std::string_view> arguments{"SET", key, value};
  if (options.expire_after) arguments.insert(arguments.end(), {"PX", expiry});
  if (options.when == SetOptions::When::kIfAbsent) arguments.push_back("NX");
  if (options.when == SetOptions::When::kIfPresent) arguments.push_back("XX");
  std::string request;
  append_request(request, arguments);
  asio::post(context_, [self = shared(), key = std::move(key), request = std::move(request),
                        timeout = timeout_of(options.timeout), done = std::move(done)]() mutable {
    self->execute(key, std::move(request), timeout, false, [done = std::move(done)](Result<RespValue> reply) mutable {
      reply = errors_as_errors(std::move(reply));
      if (!reply) return done(std::unexpected(std::move(reply.error())));
      done(!reply->is_null());
    });
  });
}

// One request per key: a worker takes a DEL or MGET of several keys only if they share a slot, and pipelined requests
// of one turn are one write anyway.
void CacheClientImpl::start_del(std::vector<std::string> keys, CallOptions options, Callback<Result<int64_t>> done) {
  struct Gather {
    Callback<Result<int64_t>> done;
    size_t missing = 0;
    Result<int64_t> sum = 0;
  };
  asio::post(context_, [self = shared(), keys = std::move(keys), timeout = timeout_of(options.timeout),
                        done = std::move(done)]() mutable {
    if (keys.size() > kKeysPerCallMax) {
      return done(fail(ErrorCode::kInvalidArgument, fmt::format("more than {} keys in one call", kKeysPerCallMax)));
    }
    if (keys.empty()) return done(0);
    auto gather = std::make_shared<Gather>();
    gather->done = std::move(done);
    gather->missing = keys.size();
    for (const std::string& key : keys) {
      self->execute(key, make_request({"DEL", key}), timeout, true, [gather](Result<RespValue> reply) {
        reply = errors_as_errors(std::move(reply));
        if (!reply && gather->sum) gather->sum = std::unexpected(reply.error());
        if (reply && gather->sum) *gather->sum += reply->integer;
        if (--gather->missing == 0) gather->done(std::move(gather->sum));
      });
    }
  });
}

void CacheClientImpl::start_mget(std::vector<std::string> keys, CallOptions options,
                                 Callback<std::vector<Result<Text>>> done) {
  struct Gather {
    Callback<std::vector<Result<Text>>> done;
    size_t missing = 0;
    std::vector<Result<Text>> values;
  };
  asio::post(context_, [self = shared(), keys = std::move(keys), timeout = timeout_of(options.timeout),
                        done = std::move(done)]() mutable {
    auto gather = std::make_shared<Gather>();
    gather->values.resize(keys.size());
    if (keys.size() > kKeysPerCallMax) {
      for (auto& value : gather->values) {
        value = fail(ErrorCode::kInvalidArgument, fmt::format("more than {} keys in one call", kKeysPerCallMax));
      }
    }
    if (keys.empty() || keys.size() > kKeysPerCallMax) return done(std::move(gather->values));
    gather->done = std::move(done);
    gather->missing = keys.size();
    for (size_t i = 0; i < keys.size(); ++i) {
      self->execute(keys[i], make_request({"GET", keys[i]}), timeout, true, [gather, i](Result<RespValue> reply) {
        gather->values[i] = text_of(std::move(reply));
        if (--gather->missing == 0) gather->done(std::move(gather->values));
      });
    }
  });
}

Error blocking_refusal() {
  return {ErrorCode::kFailedPrecondition, "a blocking call on the io_context's own thread would wait for itself"};
}

}  // namespace

std::shared_ptr<CacheClient> CacheClient::create(asio::io_context& context, std::shared_ptr<const Topology> topology,
                                                 CacheOptions options) {
  return std::make_shared<CacheClientImpl>(context, std::move(topology), std::move(options));
}

Result<CacheClient::Text> CacheClient::Sync::get(std::string key, CallOptions options) {
  if (client_->is_context_thread()) return std::unexpected(blocking_refusal());
  return wait_for_result<Result<Text>>(
      [&](Callback<Result<Text>> done) { client_->start_get(std::move(key), options, std::move(done)); });
}

Result<bool> CacheClient::Sync::set(std::string key, std::string value, SetOptions options) {
  if (client_->is_context_thread()) return std::unexpected(blocking_refusal());
  return wait_for_result<Result<bool>>([&](Callback<Result<bool>> done) {
    client_->start_set(std::move(key), std::move(value), options, std::move(done));
  });
}

Result<int64_t> CacheClient::Sync::del(std::vector<std::string> keys, CallOptions options) {
  if (client_->is_context_thread()) return std::unexpected(blocking_refusal());
  return wait_for_result<Result<int64_t>>(
      [&](Callback<Result<int64_t>> done) { client_->start_del(std::move(keys), options, std::move(done)); });
}

std::vector<Result<CacheClient::Text>> CacheClient::Sync::mget(std::vector<std::string> keys, CallOptions options) {
  if (client_->is_context_thread()) return std::vector<Result<Text>>(keys.size(), std::unexpected(blocking_refusal()));
  return wait_for_result<std::vector<Result<Text>>>([&](Callback<std::vector<Result<Text>>> done) {
    client_->start_mget(std::move(keys), options, std::move(done));
  });
}

Result<RespValue> CacheClient::Sync::command(std::string key, std::vector<std::string> arguments, CallOptions options) {
  if (client_->is_context_thread()) return std::unexpected(blocking_refusal());
  return wait_for_result<Result<RespValue>>([&](Callback<Result<RespValue>> done) {
    client_->start_command(std::move(key), std::move(arguments), options, std::move(done));
  });
}

}  // namespace tidemark::client
