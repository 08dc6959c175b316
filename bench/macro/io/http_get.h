// One GET from a program of this machine (its admin HTTP): the body of a 200, or why not.
//
// Threads: any. Limits: kBodyBytesMax; the whole takes at most `timeout`.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bench/macro/metrics_text.h"

namespace tidemark::bench {

inline constexpr size_t kBodyBytesMax = 16 << 20;

Result<std::string> http_get(uint16_t port, std::string_view path, std::chrono::milliseconds timeout);

// /metrics of the program that listens there.
Result<MetricsText> read_metrics(uint16_t port, std::chrono::milliseconds timeout = std::chrono::seconds(2));

}  // namespace tidemark::bench
