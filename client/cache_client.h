// Plain cache calls to the whole cluster: every key goes to the worker that serves its slot.
//
//   auto cache = CacheClient::create(context, topology, {.password = …});
//   cache->async_get("greeting", {}, [](Result<std::optional<std::string>> value) { … });
//   auto value = cache->sync().get("greeting");                       // from another thread than the context's
//
// Three outcomes, never mixed up: a value, an authoritative "no such key" (nullopt), an error (could not ask). MOVED is
// followed and remembered until the next topology. Errors: kUnavailable nothing was done (also: the node's breaker is
// open); kOutcomeUnknown written but unanswered; kDeadlineExceeded; kResourceExhausted a link's limit was reached;
// kFailedPrecondition nobody serves the slot; kInvalidArgument the node refused the command (its words in the message).
// Idempotent calls (get, mget, exists, del) are sent once more after kUnavailable, within the retry budget.
// Threads: every member from any thread; handlers run on their executor, else on the context's thread. create() and the
// last reference belong to the context's thread or to a time when it does not run. Limits: RespLink's, per worker
// address; kRedirectsMax; kKeysPerCallMax.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/topology/topology.h"
#include "base/wire/resp_value.h"
#include "client/completion.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::client {

class ClientMetrics;  // client/io/client_metrics.h

struct CacheOptions {
  std::string user{};  // empty: no AUTH, or "default" if there is a password
  std::string password{};
  std::string client_name = "tidemark-client";
  Duration timeout = std::chrono::milliseconds(500);  // of a call that names none
  Duration connect_timeout = std::chrono::milliseconds(200);
  int breaker_failures = 5;  // in a row open the breaker of a worker
  Duration breaker_open_for =
      std::chrono::milliseconds(100);  // then one probe; doubled per failed probe up to the next
  Duration breaker_open_for_max = std::chrono::seconds(1);
  double retry_share_max = 0.2;  // of recent requests
};

struct CallOptions {
  std::optional<Duration> timeout{};  // CacheOptions::timeout
};

struct SetOptions {
  std::optional<Duration> expire_after{};
  enum class When : uint8_t { kAlways, kIfAbsent, kIfPresent } when = When::kAlways;
  std::optional<Duration> timeout{};
};

class CacheClient : public std::enable_shared_from_this<CacheClient> {
 public:
  static constexpr int kRedirectsMax = 3;
  static constexpr size_t kKeysPerCallMax = 65536;

  using Text = std::optional<std::string>;

  static std::shared_ptr<CacheClient> create(boost::asio::io_context& context, std::shared_ptr<const Topology> topology,
                                             CacheOptions options);
  virtual ~CacheClient() = default;

  template <typename Token>
  auto async_get(std::string key, CallOptions options, Token&& token) {
    return initiate<Result<Text>>([self = shared_from_this(), key = std::move(key), options](
                                      auto done) mutable { self->start_get(std::move(key), options, std::move(done)); },
                                  std::forward<Token>(token));
  }
  // false: the condition of SetOptions::when did not hold.
  template <typename Token>
  auto async_set(std::string key, std::string value, SetOptions options, Token&& token) {
    return initiate<Result<bool>>(
        [self = shared_from_this(), key = std::move(key), value = std::move(value), options](auto done) mutable {
          self->start_set(std::move(key), std::move(value), options, std::move(done));
        },
        std::forward<Token>(token));
  }
  // How many of the keys existed. Keys of several nodes: one request to each worker; the first error stands for all.
  template <typename Token>
  auto async_del(std::vector<std::string> keys, CallOptions options, Token&& token) {
    return initiate<Result<int64_t>>(
        [self = shared_from_this(), keys = std::move(keys), options](auto done) mutable {
          self->start_del(std::move(keys), options, std::move(done));
        },
        std::forward<Token>(token));
  }
  // In the order of the keys; duplicates are allowed; one failed key fails no other.
  template <typename Token>
  auto async_mget(std::vector<std::string> keys, CallOptions options, Token&& token) {
    return initiate<std::vector<Result<Text>>>(
        [self = shared_from_this(), keys = std::move(keys), options](auto done) mutable {
          self->start_mget(std::move(keys), options, std::move(done));
        },
        std::forward<Token>(token));
  }
  // Any command on one key; error replies become errors. `key` only routes: it stands in `arguments` too.
  template <typename Token>
  auto async_command(std::string key, std::vector<std::string> arguments, CallOptions options, Token&& token) {
    return initiate<Result<RespValue>>(
        [self = shared_from_this(), key = std::move(key), arguments = std::move(arguments), options](
            auto done) mutable { self->start_command(std::move(key), std::move(arguments), options, std::move(done)); },
        std::forward<Token>(token));
  }

  // The blocking twins. On the context's own thread they would wait for themselves: there they fail with
  // kFailedPrecondition.
  class Sync;
  Sync sync();

  // Newer versions only; links to workers that are gone are closed. From any thread.
  virtual void set_topology(std::shared_ptr<const Topology> topology) = 0;
  virtual std::shared_ptr<const Topology> topology() const = 0;
  // Called (on the context's thread) when a node answered MOVED: the topology held here is old.
  virtual void on_stale_topology(std::function<void()> callback) = 0;

  virtual bool is_context_thread() const = 0;
  virtual boost::asio::io_context& context() = 0;
  virtual ClientMetrics& metrics() = 0;

  // What repositories use; on the context's thread only. Replies arrive raw, error replies as values (MOVED followed).
  // With `wants_late_reply`, `done` may be called once more after kDeadlineExceeded, with the reply that still came.
  virtual void execute(std::string_view key, std::string request, Duration timeout, bool is_idempotent,
                       Callback<Result<RespValue>> done, bool wants_late_reply = false) = 0;
  // "host:port" of the worker that serves the key; requests to one address are pipelined on one link.
  virtual Result<std::string> address_of(std::string_view key) const = 0;
  // Closes all links; what is pending fails. On the context's thread.
  virtual void close() = 0;

 protected:
  virtual void start_get(std::string key, CallOptions options, Callback<Result<Text>> done) = 0;
  virtual void start_set(std::string key, std::string value, SetOptions options, Callback<Result<bool>> done) = 0;
  virtual void start_del(std::vector<std::string> keys, CallOptions options, Callback<Result<int64_t>> done) = 0;
  virtual void start_mget(std::vector<std::string> keys, CallOptions options,
                          Callback<std::vector<Result<Text>>> done) = 0;
  virtual void start_command(std::string key, std::vector<std::string> arguments, CallOptions options,
                             Callback<Result<RespValue>> done) = 0;
};

class CacheClient::Sync {
 public:
  explicit Sync(CacheClient& client) : client_(&client) {}

  Result<Text> get(std::string key, CallOptions options = {});
  Result<bool> set(std::string key, std::string value, SetOptions options = {});
  Result<int64_t> del(std::vector<std::string> keys, CallOptions options = {});
  std::vector<Result<Text>> mget(std::vector<std::string> keys, CallOptions options = {});
  Result<RespValue> command(std::string key, std::vector<std::string> arguments, CallOptions options = {});

 private:
  CacheClient* client_;
};

inline CacheClient::Sync CacheClient::sync() {
  return Sync(*this);
}

}  // namespace tidemark::client
