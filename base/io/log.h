// Structured logs: one JSON object per line on stderr.
//
//   {"ts":"2026-11-24T06:32:37.123Z","level":"info","service":"tidemark-cache","msg":"listening","port":7001}
//
// log.info("listening", {{"port", 7001}});   log.warn("load failed", {{"key", key}, {"error", e.to_string()}},
// correlation_id); A Log is a cheap handle; copies write to the same place. A default-made Log is silent. Log once,
// where an error is handled. Texts longer than kTextBytesMax are cut; bytes that are not UTF-8 are replaced. Threads:
// any. I/O: a line is written before the call returns.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace spdlog {
class logger;
}

namespace tidemark::io {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };

struct LogField {
  std::string_view key;
  std::variant<std::string_view, int64_t, uint64_t, double, bool> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  template <std::signed_integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<int64_t>(v)) {}
  template <std::unsigned_integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<uint64_t>(v)) {}
  template <std::floating_point T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<double>(v)) {}
};

class Log {
 public:
  using Fields = std::initializer_list<LogField>;
  static constexpr size_t kTextBytesMax = 4096;

  Log() = default;
  static Log to_stderr(std::string service, LogLevel level);
  static Log to(std::string service, LogLevel level, std::function<void(std::string_view line)> sink);  // for tests

  void debug(std::string_view message, Fields fields = {}, std::string_view correlation_id = {}) const {
    write(LogLevel::kDebug, message, fields, correlation_id);
  }
  void info(std::string_view message, Fields fields = {}, std::string_view correlation_id = {}) const {
    write(LogLevel::kInfo, message, fields, correlation_id);
  }
  void warn(std::string_view message, Fields fields = {}, std::string_view correlation_id = {}) const {
    write(LogLevel::kWarn, message, fields, correlation_id);
  }
  void error(std::string_view message, Fields fields = {}, std::string_view correlation_id = {}) const {
    write(LogLevel::kError, message, fields, correlation_id);
  }
  bool writes(LogLevel level) const;

 private:
  void write(LogLevel level, std::string_view message, Fields fields, std::string_view correlation_id) const;

  std::shared_ptr<spdlog::logger> logger_;
  std::shared_ptr<const std::string> service_;
};

// "debug", "info", "warn" or "error".
Result<LogLevel> parse_log_level(std::string_view text);

}  // namespace tidemark::io
