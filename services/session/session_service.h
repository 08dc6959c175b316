// The sessions' gRPC face: checks what comes in, asks the store, judges by its clock whether a session is still valid.
//
// gRPC callback API: calls arrive on gRPC's threads and are finished from the client library's loop; nothing blocks.
#pragma once

#include <functional>
#include <memory>

#include "services/platform/grpc_call.h"
#include "services/session/proto/session.grpc.pb.h"
#include "services/session/session_metrics.h"
#include "services/session/session_store.h"

namespace tidemark::session {

struct SessionOptions {
  std::function<UnixMillis()> now;                   // from any thread
  std::function<Result<int64_t>()> new_customer_id;  // a row id; from any thread
};

class SessionService final : public pb::Sessions::CallbackService {
 public:
  SessionService(std::shared_ptr<SessionStore> store, services::CallSettings call_settings, SessionOptions options,
                 std::shared_ptr<SessionMetrics> metrics);

  grpc::ServerUnaryReactor* CreateSession(grpc::CallbackServerContext* context, const pb::CreateSessionRequest* request,
                                          pb::CreateSessionResponse* response) override;
  grpc::ServerUnaryReactor* GetSession(grpc::CallbackServerContext* context, const pb::GetSessionRequest* request,
                                       pb::GetSessionResponse* response) override;
  grpc::ServerUnaryReactor* TouchSession(grpc::CallbackServerContext* context, const pb::TouchSessionRequest* request,
                                         pb::TouchSessionResponse* response) override;
  grpc::ServerUnaryReactor* RevokeSession(grpc::CallbackServerContext* context, const pb::RevokeSessionRequest* request,
                                          pb::RevokeSessionResponse* response) override;

 private:
  using Call = std::shared_ptr<services::GrpcCall>;

  void find(const Call& call, std::string digest, client::ReadOptions options, client::Callback<SessionAnswer> done);
  std::optional<Error> refusal_of(const client::Cached<pb::Session>& answer) const;
  void touch(const Call& call, std::string token, pb::TouchSessionResponse* response);
  void answer_overtaken(const Call& call, std::string token, pb::TouchSessionResponse* response);

  std::shared_ptr<SessionStore> store_;
  services::CallSettings call_settings_;
  SessionOptions options_;
  std::shared_ptr<SessionMetrics> metrics_;
};

}  // namespace tidemark::session
