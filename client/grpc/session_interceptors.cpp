#include "client/grpc/session_interceptors.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/client_interceptor.h>
#include <grpcpp/support/server_interceptor.h>

#include <array>
#include <mutex>
#include <unordered_map>

namespace tidemark::client {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;

using Options = std::shared_ptr<const SessionInterceptorOptions>;

// Sessions of the calls under way, by their context.
class CallSessions {
 public:
  static CallSessions& instance() {
    static CallSessions sessions;
    return sessions;
  }
  void put(const grpc::ServerContextBase* context, std::shared_ptr<Session> session) {
    Part& part = part_of(context);
    std::lock_guard lock(part.mutex);
    part.sessions[context] = std::move(session);
  }
  void erase(const grpc::ServerContextBase* context) {
    Part& part = part_of(context);
    std::lock_guard lock(part.mutex);
    part.sessions.erase(context);
  }
  std::shared_ptr<Session> find(const grpc::ServerContextBase* context) {
    Part& part = part_of(context);
    std::lock_guard lock(part.mutex);
    auto found = part.sessions.find(context);
    return found == part.sessions.end() ? nullptr : found->second;
  }

 private:
  struct Part {
    std::mutex mutex;
    std::unordered_map<const grpc::ServerContextBase*, std::shared_ptr<Session>> sessions;
  };
  Part& part_of(const grpc::ServerContextBase* context) {
    return parts_[std::hash<const void*>{}(context) / alignof(std::max_align_t) % parts_.size()];
  }
  std::array<Part, 16> parts_;
};

std::shared_ptr<Session> read_session(std::string_view text, const SessionInterceptorOptions& options) {
  auto session = Session::from_text(text, options.key);
  if (session) return std::move(*session);
  if (options.on_bad_token) options.on_bad_token(session.error());
  return std::make_shared<Session>();
}

class ServerInterceptor final : public Interceptor {
 public:
  ServerInterceptor(grpc::ServerContextBase* context, Options options)
      : context_(context), options_(std::move(options)) {}
  ~ServerInterceptor() override {
    if (session_) CallSessions::instance().erase(context_);
  }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) begin(*methods);
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) end(*methods);
    methods->Proceed();
  }

 private:
  void begin(InterceptorBatchMethods& methods) {
    const auto* metadata = methods.GetRecvInitialMetadata();
    if (metadata == nullptr) return;
    const auto given = metadata->find(kSessionMetadata);
    if (given == metadata->end()) return;
    session_ = read_session({given->second.data(), given->second.size()}, *options_);
    CallSessions::instance().put(context_, session_);
  }
  void end(InterceptorBatchMethods& methods) {
    auto* trailers = methods.GetSendTrailingMetadata();
    if (session_ && trailers != nullptr) trailers->emplace(kSessionMetadata, session_->to_text(options_->key));
  }

  grpc::ServerContextBase* context_;
  Options options_;
  std::shared_ptr<Session> session_;
};

class ServerFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit ServerFactory(SessionInterceptorOptions options)
      : options_(std::make_shared<const SessionInterceptorOptions>(std::move(options))) {}
  Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    return new ServerInterceptor(info->server_context(), options_);  // gRPC owns it
  }

 private:
  Options options_;
};

thread_local std::shared_ptr<Session> current_session;

class ClientInterceptor final : public Interceptor {
 public:
  ClientInterceptor(std::shared_ptr<Session> session, Options options)
      : session_(std::move(session)), options_(std::move(options)) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      if (auto* metadata = methods->GetSendInitialMetadata())
        metadata->emplace(kSessionMetadata, session_->to_text(options_->key));
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_STATUS)) absorb(*methods);
    methods->Proceed();
  }

 private:
  void absorb(InterceptorBatchMethods& methods) {
    const auto* trailers = methods.GetRecvTrailingMetadata();
    if (trailers == nullptr) return;
    const auto given = trailers->find(kSessionMetadata);
    if (given == trailers->end()) return;
    auto token = SessionToken::from_text({given->second.data(), given->second.size()}, options_->key);
    if (token) return session_->absorb(*token);
    if (options_->on_bad_token) options_->on_bad_token(token.error());
  }

  std::shared_ptr<Session> session_;
  Options options_;
};

class ClientFactory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit ClientFactory(SessionInterceptorOptions options)
      : options_(std::make_shared<const SessionInterceptorOptions>(std::move(options))) {}
  // On the thread that begins the call.
  Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return current_session ? new ClientInterceptor(current_session, options_) : nullptr;
  }

 private:
  Options options_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> session_server_interceptor(
    SessionInterceptorOptions options) {
  return std::make_unique<ServerFactory>(std::move(options));
}

std::shared_ptr<Session> session_of(const grpc::ServerContextBase* context) {
  return CallSessions::instance().find(context);
}

std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface> session_client_interceptor(
    SessionInterceptorOptions options) {
  return std::make_unique<ClientFactory>(std::move(options));
}

SessionScope::SessionScope(std::shared_ptr<Session> session)
    : outer_(std::exchange(current_session, std::move(session))) {}

SessionScope::~SessionScope() {
  current_session = std::move(outer_);
}

}  // namespace tidemark::client
