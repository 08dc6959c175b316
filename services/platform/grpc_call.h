// One gRPC call on its way through a service: its deadline, its correlation id, its place in the limit, its metrics.
//
//   auto call = GrpcCall::begin(context, "GetProduct", host);       // nullptr: refused, the reactor is finished
//   already store.get(…, call->time_left(), [call](auto answer) { …; call->finish(status); });
//
// The context and its reactor live until finish(). Threads: any, one at a time.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/io/log.h"
#include "base/result.h"
#include "services/platform/log_limiter.h"
#include "services/platform/rpc_metrics.h"

namespace tidemark::client {
class Session;
}

namespace tidemark::services {

// What the caller of a service sees of an error. kOutcomeUnknown is UNAVAILABLE with "may have been done" in its
// message.
grpc::Status to_grpc_status(const Error& error);
std::string code_name(grpc::StatusCode code);  // "NOT_FOUND"

struct CallSettings {
  Duration deadline_default = std::chrono::seconds(5);
  RpcMetrics* metrics = nullptr;
  io::Log log{};
  std::shared_ptr<LogLimiter> failure_lines = std::make_shared<LogLimiter>();
};

// Parts that unary calls and streams share.
class CallTrace {
 public:
  CallTrace(grpc::CallbackServerContext* context, std::string method, const CallSettings& settings);

  // Until the caller's deadline (or the default one) by the steady clock; zero when it has passed.
  Duration time_left() const;
  void add_trailer(const std::string& name, const std::string& value) { context_->AddTrailingMetadata(name, value); }
  const std::string& correlation_id() const { return correlation_id_; }

  // Call once, just before the reactor's Finish: counts, and logs what is the service's own fault.
  void end(const grpc::Status& status);

 private:
  grpc::CallbackServerContext* context_;
  std::string method_;
  CallSettings settings_;
  Instant begin_;
  Instant deadline_;
  std::string correlation_id_;
};

class GrpcCall {
 public:
  static std::shared_ptr<GrpcCall> begin(grpc::CallbackServerContext* context, std::string method,
                                         const CallSettings& settings);
  GrpcCall(grpc::CallbackServerContext* context, std::string method, const CallSettings& settings);

  bool is_admitted() const { return is_admitted_; }
  CallTrace& trace() { return trace_; }
  // For ReadOptions and WriteOptions; nullptr: the caller carries none (client/grpc/session_interceptors.h).
  const std::shared_ptr<client::Session>& session() const { return session_; }
  Duration time_left() const { return trace_.time_left(); }
  grpc::ServerUnaryReactor* reactor() { return reactor_; }
  void finish(const grpc::Status& status);
  void finish(const Error& error) { finish(to_grpc_status(error)); }

 private:
  CallTrace trace_;
  grpc::ServerUnaryReactor* reactor_;  // the context gives it once
  bool is_admitted_;
  std::shared_ptr<client::Session> session_;
};

}  // namespace tidemark::services
