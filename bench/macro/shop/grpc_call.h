// One gRPC call under way, whichever service it goes to: it ends itself in its callback, on gRPC's thread, and hands
// what came to the mailbox.
//
// Threads: made by the shop's, ended by gRPC's. Limits: the deadline given to begin().
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/io/system_clock.h"
#include "base/parse.h"
#include "bench/macro/shop/mailbox.h"

namespace tidemark::bench {

inline constexpr const char* kTokenMetadata = "x-tidemark-token";

inline int32_t bound_of(int64_t staleness_ms) {
  return staleness_ms < 0 ? kBoundMissing : static_cast<int32_t>(std::min<int64_t>(staleness_ms, INT32_MAX));
}

inline std::string_view trailer(const grpc::ClientContext& context, const char* name) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(name);
  return found == trailers.end() ? std::string_view() : std::string_view(found->second.data(), found->second.size());
}

// A failed read has no message: where "there is none" came from, and how old that is, stands in the trailers.
template <typename Answer>
void set_freshness_from_trailers(Answer& answer, const grpc::ClientContext& context) {
  answer.origin = parse_origin(trailer(context, "x-tidemark-origin"));
  answer.bound_ms = bound_of(parse_i64(trailer(context, "x-tidemark-staleness-ms")).value_or(-1));
}

template <typename Answer, typename Freshness>
void set_freshness(Answer& answer, const Freshness& freshness) {
  answer.origin = parse_origin(freshness.origin());
  answer.bound_ms = bound_of(freshness.staleness_ms());
}

template <typename Request, typename Response>
struct GrpcCall {
  grpc::ClientContext context;
  Request request;
  Response response;
  FinishedCall finished;
  Mailbox* mailbox = nullptr;
  // Takes what is of interest out of the context and the response; after status and times are set.
  std::function<void(GrpcCall&)> take_answer;

  void begin(Duration deadline, const std::optional<std::string>& token) {
    if (token) context.AddMetadata(kTokenMetadata, *token);
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    finished.started = io::steady_now();
    finished.start_us = io::unix_now_us();
  }

  // To be given to gRPC; the call is gone after it.
  std::function<void(grpc::Status)> ender() {
    return [this](const grpc::Status& status) {
      finished.end_us = io::unix_now_us();
      finished.ended = io::steady_now();
      finished.status = static_cast<uint8_t>(status.error_code());
      finished.message = status.error_message();
      finished.token = trailer(context, kTokenMetadata);
      take_answer(*this);
      mailbox->put(std::move(finished));
      delete this;
    };
  }
};

}  // namespace tidemark::bench
