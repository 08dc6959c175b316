#include "services/session/session_service.h"

#include <utility>

#include "services/session/session_rules.h"
#include "services/session/token_digest.h"
#include "services/session/validation.h"

namespace tidemark::session {
namespace {

using client::Cached;
using services::GrpcCall;

void add_freshness_trailers(GrpcCall& call, std::string_view origin, int64_t staleness_ms) {
  call.trace().add_trailer("x-tidemark-origin", std::string(origin));
  call.trace().add_trailer("x-tidemark-staleness-ms", std::to_string(staleness_ms));
}
void add_freshness_trailers(GrpcCall& call, const Cached<pb::Session>& answer) {
  add_freshness_trailers(call, client::to_string(answer.origin()), answer.staleness_ms());
}

void fill(pb::Session& out, const pb::Session& session, const std::string& token) {
  out = session;
  out.set_token(token);
}

client::ReadOptions from_primary(const GrpcCall& call) {
  return {.timeout = call.time_left(), .is_cache_bypassed = true, .may_use_replica = false, .session = call.session()};
}

client::ReadOptions read_options(const GrpcCall& call, std::optional<int64_t> max_stale_ms) {
  if (max_stale_ms == 0) return from_primary(call);
  client::ReadOptions options{.timeout = call.time_left(), .session = call.session()};
  if (max_stale_ms) options.max_stale = milliseconds(*max_stale_ms);
  return options;
}

// Nobody may be turned away by an answer for being a moment old. A replica does not know a session that was created
// just now (a node that answers "absent" has proof); and an answer may lack a touch, but only if it saw the session
// alive: whoever had ended by then cannot be touched any more.
bool wants_confirmation(const Cached<pb::Session>& answer, UnixMillis now) {
  if (answer.is_absent()) return answer.origin() == client::Origin::kReplica;
  if (answer.staleness_ms() == 0 || !has_ended(answer.value(), now)) return false;
  return !has_ended(answer.value(), {now.value - answer.staleness_ms()});
}

pb::Session make_session(const pb::CreateSessionRequest& request, int64_t customer_id, UnixMillis now) {
  pb::Session session;
  session.set_customer_id(customer_id);
  session.set_created_ms(now.value);
  session.set_touched_ms(now.value);
  session.set_idle_timeout_ms(request.idle_timeout_ms() == 0 ? kIdleTimeoutDefault.count() : request.idle_timeout_ms());
  session.set_expires_ms(now.value + kLifetime.count());
  *session.mutable_attributes() = request.attributes();
  return session;
}

}  // namespace

SessionService::SessionService(std::shared_ptr<SessionStore> store, services::CallSettings call_settings,
                               SessionOptions options, std::shared_ptr<SessionMetrics> metrics)
    : store_(std::move(store)),
      call_settings_(std::move(call_settings)),
      options_(std::move(options)),
      metrics_(std::move(metrics)) {}

grpc::ServerUnaryReactor* SessionService::CreateSession(grpc::CallbackServerContext* context,
                                                        const pb::CreateSessionRequest* request,
                                                        pb::CreateSessionResponse* response) {
  auto call = GrpcCall::begin(context, "CreateSession", call_settings_);
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (!call->is_admitted()) return reactor;
  if (Status checked = check_create(*request); !checked) return call->finish(checked.error()), reactor;
  Result<int64_t> customer_id = request->customer_id();
  if (*customer_id == 0) customer_id = options_.new_customer_id();
  if (!customer_id) return call->finish(customer_id.error().with_context("a new customer's id")), reactor;
  std::string token = new_token();
  std::string digest = digest_of_token(token);
  store_->create(std::move(digest), make_session(*request, *customer_id, options_.now()),
                 {.timeout = call->time_left(), .session = call->session()},
                 [call, response, token = std::move(token)](Result<pb::Session> session) {
                   if (!session) return call->finish(session.error());
                   fill(*response->mutable_session(), *session, token);
                   add_freshness_trailers(*call, "primary", 0);
                   call->finish(grpc::Status::OK);
                 });
  return reactor;
}

grpc::ServerUnaryReactor* SessionService::GetSession(grpc::CallbackServerContext* context,
                                                     const pb::GetSessionRequest* request,
                                                     pb::GetSessionResponse* response) {
  auto call = GrpcCall::begin(context, "GetSession", call_settings_);
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (!call->is_admitted()) return reactor;
  if (Status checked = check_get(*request); !checked) return call->finish(checked.error()), reactor;
  auto max_stale = request->has_max_stale_ms() ? std::optional(request->max_stale_ms()) : std::nullopt;
  find(call, digest_of_token(request->token()), read_options(*call, max_stale),
       [this, call, response, token = request->token()](SessionAnswer answer) {
         if (!answer) return call->finish(answer.error());
         add_freshness_trailers(*call, *answer);
         if (auto refusal = refusal_of(*answer)) return call->finish(*refusal);
         fill(*response->mutable_session(), answer->value(), token);
         response->mutable_freshness()->set_origin(std::string(client::to_string(answer->origin())));
         response->mutable_freshness()->set_staleness_ms(answer->staleness_ms());
         call->finish(grpc::Status::OK);
       });
  return reactor;
}

grpc::ServerUnaryReactor* SessionService::TouchSession(grpc::CallbackServerContext* context,
                                                       const pb::TouchSessionRequest* request,
                                                       pb::TouchSessionResponse* response) {
  auto call = GrpcCall::begin(context, "TouchSession", call_settings_);
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (!call->is_admitted()) return reactor;
  if (Status checked = check_token(request->token()); !checked) return call->finish(checked.error()), reactor;
  find(call, digest_of_token(request->token()), read_options(*call, {}),
       [this, call, response, token = request->token()](SessionAnswer answer) mutable {
         if (!answer) return call->finish(answer.error());
         if (auto refusal = refusal_of(*answer)) {
           add_freshness_trailers(*call, *answer);
           return call->finish(*refusal);
         }
         if (wants_touch(answer->value(), options_.now())) return touch(call, std::move(token), response);
         ++metrics_->touches_young;
         add_freshness_trailers(*call, *answer);
         fill(*response->mutable_session(), answer->value(), token);
         call->finish(grpc::Status::OK);
       });
  return reactor;
}

void SessionService::touch(const Call& call, std::string token, pb::TouchSessionResponse* response) {
  store_->touch(digest_of_token(token), options_.now(), {.timeout = call->time_left(), .session = call->session()},
                [this, call, token, response](Result<std::optional<pb::Session>> touched) {
                  if (!touched) return call->finish(touched.error());
                  if (!*touched) return answer_overtaken(call, token, response);
                  ++metrics_->touches_written;
                  add_freshness_trailers(*call, "primary", 0);
                  fill(*response->mutable_session(), **touched, token);
                  response->set_written(true);
                  call->finish(grpc::Status::OK);
                });
}

// The UPDATE found nothing to do: the primary says which of the reasons it was.
void SessionService::answer_overtaken(const Call& call, std::string token, pb::TouchSessionResponse* response) {
  ++metrics_->touches_overtaken;
  store_->get(digest_of_token(token), from_primary(*call), [this, call, token, response](SessionAnswer answer) {
    if (!answer) return call->finish(answer.error());
    add_freshness_trailers(*call, *answer);
    if (auto refusal = refusal_of(*answer)) return call->finish(*refusal);
    fill(*response->mutable_session(), answer->value(), token);
    call->finish(grpc::Status::OK);
  });
}

grpc::ServerUnaryReactor* SessionService::RevokeSession(grpc::CallbackServerContext* context,
                                                        const pb::RevokeSessionRequest* request,
                                                        pb::RevokeSessionResponse* response) {
  auto call = GrpcCall::begin(context, "RevokeSession", call_settings_);
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (!call->is_admitted()) return reactor;
  if (Status checked = check_token(request->token()); !checked) return call->finish(checked.error()), reactor;
  store_->revoke(digest_of_token(request->token()), {.timeout = call->time_left(), .session = call->session()},
                 [call, response](Result<bool> was) {
                   if (!was) return call->finish(was.error());
                   response->set_revoked(*was);
                   add_freshness_trailers(*call, "primary", 0);
                   call->finish(grpc::Status::OK);
                 });
  return reactor;
}

void SessionService::find(const Call& call, std::string digest, client::ReadOptions options,
                          client::Callback<SessionAnswer> done) {
  store_->get(digest, options, [this, call, digest, done = std::move(done)](SessionAnswer answer) mutable {
    if (!answer || !wants_confirmation(*answer, options_.now())) return done(std::move(answer));
    ++metrics_->confirmed;
    store_->get(std::move(digest), from_primary(*call), std::move(done));
  });
}

std::optional<Error> SessionService::refusal_of(const Cached<pb::Session>& answer) const {
  if (answer.has_value() && !has_ended(answer.value(), options_.now())) return std::nullopt;
  ++(answer.is_absent() ? metrics_->refused_absent : metrics_->refused_ended);
  return Error{ErrorCode::kNotFound, "token: there is no such session, or it has ended"};
}

}  // namespace tidemark::session
