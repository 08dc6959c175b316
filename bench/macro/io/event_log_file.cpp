#include "bench/macro/io/event_log_file.h"

#include <fmt/format.h>

namespace tidemark::bench {

Result<EventLogWriter> EventLogWriter::create(const std::filesystem::path& path, uint64_t events_max) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file) return fail(ErrorCode::kUnavailable, fmt::format("cannot write the events to '{}'", path.string()));
  return EventLogWriter(std::move(file), path, events_max);
}

void EventLogWriter::append(const ShopEvent& event) {
  if (written_ == events_max_) {
    ++dropped_;
    return;
  }
  file_ << encode_event(event) << '\n';
  ++written_;
}

Status EventLogWriter::close() {
  file_.close();
  if (file_.fail()) return fail(ErrorCode::kUnavailable, fmt::format("cannot write '{}' to its end", path_.string()));
  return {};
}

Status read_event_log(const std::filesystem::path& path, const std::function<void(const ShopEvent&)>& visit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, fmt::format("cannot read the events in '{}'", path.string()));
  for (std::string line; std::getline(file, line);) {
    const auto event = decode_event(line);
    if (!event) return std::unexpected(event.error().with_context(path.string()));
    visit(*event);
  }
  return {};
}

}  // namespace tidemark::bench
