#include "services/platform/grpc_call.h"

#include <algorithm>

#include "base/io/system_clock.h"
#include "client/grpc/session_interceptors.h"

namespace tidemark::services {
namespace {

constexpr size_t kCorrelationIdBytesMax = 128;
constexpr Duration kDeadlineMax = std::chrono::hours(24);  // further away is "none", and would overflow

Duration given_deadline(const grpc::CallbackServerContext& context, Duration fallback) {
  auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return fallback;
  auto left = deadline - std::chrono::system_clock::now();
  if (left > kDeadlineMax) return fallback;
  return std::max(Duration::zero(), std::chrono::duration_cast<Duration>(left));
}

std::string given_correlation_id(const grpc::CallbackServerContext& context) {
  auto found = context.client_metadata().find("x-correlation-id");
  if (found == context.client_metadata().end() || found->second.size() > kCorrelationIdBytesMax) return {};
  return {found->second.data(), found->second.size()};
}

grpc::StatusCode to_grpc_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case ErrorCode::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case ErrorCode::kFailedPrecondition:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case ErrorCode::kAborted:
      return grpc::StatusCode::ABORTED;
    case ErrorCode::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case ErrorCode::kOutcomeUnknown:
      return grpc::StatusCode::UNAVAILABLE;
    case ErrorCode::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case ErrorCode::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    // The service's own credentials are wrong, not the caller's.
    case ErrorCode::kUnauthenticated:
      return grpc::StatusCode::INTERNAL;
    case ErrorCode::kCorrupt:
      return grpc::StatusCode::INTERNAL;
    case ErrorCode::kInternal:
      return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

bool is_own_fault(grpc::StatusCode code) {
  return code == grpc::StatusCode::INTERNAL || code == grpc::StatusCode::UNAVAILABLE ||
         code == grpc::StatusCode::UNKNOWN;
}

}  // namespace

grpc::Status to_grpc_status(const Error& error) {
  std::string message = error.message;
  if (error.code == ErrorCode::kOutcomeUnknown) message = "it may or may not have been done: " + message;
  return {to_grpc_code(error.code), message};
}

std::string code_name(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return "OK";
    case grpc::StatusCode::CANCELLED:
      return "CANCELLED";
    case grpc::StatusCode::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::StatusCode::NOT_FOUND:
      return "NOT_FOUND";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case grpc::StatusCode::ALREADY_EXISTS:
      return "ALREADY_EXISTS";
    case grpc::StatusCode::FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case grpc::StatusCode::ABORTED:
      return "ABORTED";
    case grpc::StatusCode::INTERNAL:
      return "INTERNAL";
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    default:
      return "OTHER";
  }
}

CallTrace::CallTrace(grpc::CallbackServerContext* context, std::string method, const CallSettings& settings)
    : context_(context),
      method_(std::move(method)),
      settings_(settings),
      begin_(io::steady_now()),
      deadline_(begin_ + given_deadline(*context, settings.deadline_default)),
      correlation_id_(given_correlation_id(*context)) {
  if (!correlation_id_.empty()) add_trailer("x-correlation-id", correlation_id_);
}

Duration CallTrace::time_left() const {
  return std::max(Duration::zero(), deadline_ - io::steady_now());
}

void CallTrace::end(const grpc::Status& status) {
  Duration latency = io::steady_now() - begin_;
  std::string code = code_name(status.error_code());
  settings_.metrics->end(method_, code, latency);
  if (is_own_fault(status.error_code())) {
    auto kept_back = settings_.failure_lines->admit(io::steady_now());
    if (!kept_back) return;
    settings_.log.warn("call failed",
                       {{"method", method_},
                        {"code", code},
                        {"error", status.error_message()},
                        {"latency_us", latency.count()},
                        {"kept_back", *kept_back}},
                       correlation_id_);
  } else if (settings_.log.writes(io::LogLevel::kDebug)) {
    settings_.log.debug("call", {{"method", method_}, {"code", code}, {"latency_us", latency.count()}},
                        correlation_id_);
  }
}

std::shared_ptr<GrpcCall> GrpcCall::begin(grpc::CallbackServerContext* context, std::string method,
                                          const CallSettings& settings) {
  auto call = std::make_shared<GrpcCall>(context, std::move(method), settings);
  if (!call->is_admitted_) {
    call->reactor_->Finish(
        {grpc::StatusCode::RESOURCE_EXHAUSTED, "the service answers as many calls as it may; try again later"});
  }
  return call;
}

GrpcCall::GrpcCall(grpc::CallbackServerContext* context, std::string method, const CallSettings& settings)
    : trace_(context, std::move(method), settings),
      reactor_(context->DefaultReactor()),
      is_admitted_(settings.metrics->begin()),
      session_(client::session_of(context)) {}

void GrpcCall::finish(const grpc::Status& status) {
  trace_.end(status);
  reactor_->Finish(status);
}

}  // namespace tidemark::services
