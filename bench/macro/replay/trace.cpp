#include "bench/macro/replay/trace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tidemark::bench {
namespace {

constexpr size_t kRecordBytes = 8;
constexpr size_t kReadBytes = 256 << 10;

uint32_t little_endian(const char* at) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(at[i]);
  return value;
}

Status read_all(int file, const std::string& path, Trace& trace) {
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    const ssize_t count = ::read(file, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", path, std::strerror(errno)));
    if (count == 0) break;
    if (Status added = trace.append(std::string_view(buffer).substr(0, static_cast<size_t>(count))); !added)
      return fail(added.error().code, added.error().with_context(path).message);
  }
  Status finished = trace.finish();
  if (!finished) return fail(finished.error().code, finished.error().with_context(path).message);
  return {};
}

Status read_compressed(const std::string& path, Trace& trace) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(ErrorCode::kUnavailable, fmt::format("pipe: {}", std::strerror(errno)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  char program[] = "zstd", options[] = "-dcq", no_more_options[] = "--";
  std::string file = path;
  char* arguments[] = {program, options, no_more_options, file.data(), nullptr};
  pid_t child = -1;
  const int failed = ::posix_spawnp(&child, program, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failed != 0) {
    ::close(ends[0]);
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("zstd: {} (install it, or decompress the trace first)", std::strerror(failed)));
  }
  Status read = read_all(ends[0], path, trace);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (read && status != 0) return fail(ErrorCode::kCorrupt, fmt::format("{}: zstd could not decompress it", path));
  return read;
}

}  // namespace

Status Trace::append(std::string_view bytes) {
  const auto add = [this](const char* record) -> Status {
    const uint32_t key = little_endian(record);
    if (key >= kKeysMax)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("request {}: key number {} is not below {}; number the keys densely", requests.size() + 1,
                              key, kKeysMax));
    if (key >= sizes.size()) sizes.resize(size_t{key} + 1);
    sizes[key] = std::max(sizes[key], little_endian(record + 4));
    requests.push_back(key);
    return {};
  };
  if (!rest_.empty()) {
    const size_t missing = std::min(kRecordBytes - rest_.size(), bytes.size());
    rest_.append(bytes.substr(0, missing));
    bytes.remove_prefix(missing);
    if (rest_.size() < kRecordBytes) return {};
    if (Status added = add(rest_.data()); !added) return added;
    rest_.clear();
  }
  for (; bytes.size() >= kRecordBytes; bytes.remove_prefix(kRecordBytes)) {
    if (Status added = add(bytes.data()); !added) return added;
  }
  rest_ = bytes;
  return {};
}

Status Trace::finish() const {
  if (!rest_.empty())
    return fail(ErrorCode::kCorrupt, fmt::format("{} bytes are left after the last record of {}; a trace is records of "
                                                 "4 bytes key number and 4 bytes size",
                                                 rest_.size(), kRecordBytes));
  if (requests.empty()) return fail(ErrorCode::kInvalidArgument, "the trace holds no request");
  return {};
}

Result<Trace> read_trace(const std::string& path) {
  Trace trace;
  if (path.ends_with(".zst")) {
    if (::access(path.c_str(), R_OK) != 0)
      return fail(ErrorCode::kNotFound, fmt::format("{}: {}", path, std::strerror(errno)));
    if (Status read = read_compressed(path, trace); !read) return std::unexpected(read.error());
    return trace;
  }
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail(ErrorCode::kNotFound, fmt::format("{}: {}", path, std::strerror(errno)));
  Status read = read_all(file, path, trace);
  ::close(file);
  if (!read) return std::unexpected(read.error());
  return trace;
}

}  // namespace tidemark::bench
