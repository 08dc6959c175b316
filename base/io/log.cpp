#include "base/io/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/io/system_clock.h"

namespace tidemark::io {
namespace {

using Json = nlohmann::ordered_json;

class FunctionSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> take) : take_(std::move(take)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    take_({message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

  std::function<void(std::string_view)> take_;
};

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// "2026-11-24T06:32:37.123Z"
std::string timestamp() {
  using namespace std::chrono;
  sys_time<milliseconds> now{milliseconds(unix_now().value)};
  auto day = floor<days>(now);
  year_month_day date{day};
  hh_mm_ss time{now - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

std::string cut(std::string_view text) {
  if (text.size() <= Log::kTextBytesMax) return std::string(text);
  return std::string(text.substr(0, Log::kTextBytesMax)) + "…";
}

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink, LogLevel level) {
  auto logger = std::make_shared<spdlog::logger>("tidemark", std::move(sink));
  logger->set_pattern("%v");
  logger->set_level(spdlog_level(level));
  logger->flush_on(spdlog::level::debug);
  return logger;
}

}  // namespace

Log Log::to_stderr(std::string service, LogLevel level) {
  Log log;
  log.logger_ = make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>(), level);
  log.service_ = std::make_shared<const std::string>(std::move(service));
  return log;
}

Log Log::to(std::string service, LogLevel level, std::function<void(std::string_view)> sink) {
  Log log;
  log.logger_ = make_logger(std::make_shared<FunctionSink>(std::move(sink)), level);
  log.service_ = std::make_shared<const std::string>(std::move(service));
  return log;
}

bool Log::writes(LogLevel level) const {
  return logger_ != nullptr && logger_->should_log(spdlog_level(level));
}

void Log::write(LogLevel level, std::string_view message, Fields fields, std::string_view correlation_id) const {
  if (!writes(level)) return;
  Json line = {{"ts", timestamp()}, {"level", name_of(level)}, {"service", *service_}, {"msg", cut(message)}};
  if (!correlation_id.empty()) line["correlation_id"] = cut(correlation_id);
  for (const LogField& field : fields) {
    Json& place = line[std::string(field.key)];
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>)
            place = cut(value);
          else
            place = value;
        },
        field.value);
  }
  std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace);
  logger_->log(spdlog_level(level), spdlog::string_view_t(text.data(), text.size()));
}

Result<LogLevel> parse_log_level(std::string_view text) {
  for (LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError}) {
    if (text == name_of(level)) return level;
  }
  return fail(ErrorCode::kInvalidArgument, "log level \"" + std::string(text) + "\" is not debug, info, warn or error");
}

}  // namespace tidemark::io
