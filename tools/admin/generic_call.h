// One gRPC call with bytes in and bytes out, of any kind of streaming: sends all messages, then reads to the end.
#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace tidemark::admin {

struct CallOutcome {
  std::vector<std::string> replies;
  std::vector<std::pair<std::string, std::string>> headers, trailers;
  int status_code = 0;  // gRPC's
  std::string status_message;
};

inline constexpr int kReplyBytesMax = 64 << 20;

// `method` is "/package.Service/Method". Never fails by itself: a server that cannot be reached is status UNAVAILABLE.
CallOutcome call_method(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                        const std::vector<std::string>& requests,
                        const std::vector<std::pair<std::string, std::string>>& metadata,
                        std::chrono::milliseconds timeout);

std::string status_name(int code);  // 3 -> "INVALID_ARGUMENT"

}  // namespace tidemark::admin
