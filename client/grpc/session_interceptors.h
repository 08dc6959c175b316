// Session tokens in gRPC's metadata, ready made, both directions (client/session_token.h).
//
//   server   options.push_back(session_server_interceptor({.key = key}));   // ServerBuilder's InterceptorCreators
//            handler: session_of(context) -> ReadOptions.session, WriteOptions.session; nullptr: the caller wants none
//            the trailer x-tidemark-token then carries what the session has become
//   client   CreateCustomChannelWithInterceptors(…, {session_client_interceptor(key)})
//            { SessionScope scope(session); stub->async()->GetProduct(&context, …); }     // carries and absorbs
//
// A call carries its session on if it brings the metadata x-tidemark-token; empty begins one. A token that cannot be
// read is told to on_bad_token and begins a new session: nobody is refused for it. A program without the key (a
// browser's backend) keeps the text of the newest trailer and sends it back.
// The handler's session is found by its context, not passed through it: gRPC has no slot for it. It is there from
// before the handler begins until the call is over. SessionScope belongs to the calling thread and the calls that begin
// while it lasts; callbacks run outside of it. Threads: any. Limits: a token's 86 bytes.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "client/session_token.h"

namespace grpc {
class ServerContextBase;
namespace experimental {
class ClientInterceptorFactoryInterface;
class ServerInterceptorFactoryInterface;
}  // namespace experimental
}  // namespace grpc

namespace tidemark::client {

inline constexpr const char* kSessionMetadata = "x-tidemark-token";

struct SessionInterceptorOptions {
  TokenKey key;
  std::function<void(const Error&)> on_bad_token{};  // from any of gRPC's threads
};
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> session_server_interceptor(
    SessionInterceptorOptions options);
std::shared_ptr<Session> session_of(const grpc::ServerContextBase* context);

std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface> session_client_interceptor(
    SessionInterceptorOptions options);

class SessionScope {
 public:
  explicit SessionScope(std::shared_ptr<Session> session);  // nullptr: calls carry no token
  ~SessionScope();
  SessionScope(const SessionScope&) = delete;
  SessionScope& operator=(const SessionScope&) = delete;

 private:
  std::shared_ptr<Session> outer_;
};

}  // namespace tidemark::client
