#include "base/io/topology_store_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "base/invariant.h"
#include "base/parse.h"
#include "base/topology/topology_check.h"
#include "base/topology/topology_json.h"

namespace tidemark::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNamePrefix = "topology.";
constexpr std::string_view kNameSuffix = ".json";
constexpr std::string_view kTemporaryPrefix = ".topology.";
constexpr size_t kVersionDigits = 20;
constexpr int kReadAttempts = 10;  // a version may be pruned between the listing and the reading
constexpr auto kTemporaryAgeMax = std::chrono::minutes(10);  // older: its writer is dead
constexpr auto kRetryPause = std::chrono::milliseconds(1);

Error system_error(const std::string& what) {
  return {ErrorCode::kUnavailable, "topology store: " + what + ": " + std::strerror(errno)};
}

std::string name_of(uint64_t version) {
  std::string digits = std::to_string(version);
  return std::string(kNamePrefix) + std::string(kVersionDigits - digits.size(), '0') + digits +
         std::string(kNameSuffix);
}

std::optional<uint64_t> version_of(std::string_view name) {
  if (!name.starts_with(kNamePrefix) || !name.ends_with(kNameSuffix)) return std::nullopt;
  name.remove_prefix(kNamePrefix.size());
  name.remove_suffix(kNameSuffix.size());
  if (name.size() != kVersionDigits) return std::nullopt;
  while (name.size() > 1 && name.starts_with('0')) name.remove_prefix(1);
  return parse_u64(name);
}

// 0 when no version was ever written.
Result<uint64_t> newest_version(const fs::path& directory) {
  std::error_code error;
  uint64_t newest = 0;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    newest = std::max(newest, version_of(at->path().filename().string()).value_or(0));
  }
  if (error)
    return fail(ErrorCode::kUnavailable, "topology store: list " + directory.string() + ": " + error.message());
  return newest;
}

Status write_durably(const fs::path& path, std::string_view text) {
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(system_error("create " + path.string()));
  while (!text.empty()) {
    ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    text.remove_prefix(static_cast<size_t>(written));
  }
  bool is_durable = text.empty() && ::fsync(file) == 0;
  Error error = system_error("write " + path.string());
  ::close(file);
  if (!is_durable) return std::unexpected(error);
  return {};
}

Status sync_directory(const fs::path& directory) {
  int file = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return std::unexpected(system_error("open " + directory.string()));
  bool is_synced = ::fsync(file) == 0;
  Error error = system_error("sync " + directory.string());
  ::close(file);
  if (!is_synced) return std::unexpected(error);
  return {};
}

// Errors are ignored: another process prunes the same files, and the next write tries again.
void prune(const fs::path& directory, uint64_t newest) {
  std::error_code error;
  auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    std::string name = at->path().filename().string();
    auto version = version_of(name);
    bool is_old = version && *version + TopologyStoreFile::kVersionsKept <= newest;
    bool is_abandoned =
        name.starts_with(kTemporaryPrefix) && now - at->last_write_time(ignored) > kTemporaryAgeMax && !ignored;
    if (is_old || is_abandoned) fs::remove(at->path(), ignored);
  }
}

fs::path temporary_path(const fs::path& directory) {
  std::random_device device;
  uint64_t bits = (uint64_t{device()} << 32) | device();
  return directory / (std::string(kTemporaryPrefix) + std::to_string(::getpid()) + "." + std::to_string(bits));
}

std::unexpected<Error> lost_race(uint64_t expected) {
  return fail(ErrorCode::kAborted,
              "topology store: version " + std::to_string(expected) + " is not the newest any more");
}

// link(2) is the compare-and-set: exactly one writer makes the name of a version.
Status link_version(const fs::path& directory, const fs::path& temporary, uint64_t expected) {
  uint64_t version = expected + 1;
  fs::path target = directory / name_of(version);
  if (::link(temporary.c_str(), target.c_str()) != 0) {
    if (errno == EEXIST) return lost_race(expected);
    return std::unexpected(system_error("link " + target.string()));
  }
  // A writer that slept while kVersionsKept newer versions came may have made a name that was already pruned: whether
  // its change was ever the newest cannot be told. Removing the file is right either way, for it is due to be pruned.
  Result<uint64_t> newest = newest_version(directory);
  if (!newest) return fail(ErrorCode::kOutcomeUnknown, newest.error().message);
  if (*newest >= version + TopologyStoreFile::kVersionsKept) {
    ::unlink(target.c_str());
    return fail(ErrorCode::kOutcomeUnknown, "topology store: this writer was overtaken by " +
                                                std::to_string(TopologyStoreFile::kVersionsKept) + " versions");
  }
  if (Status synced = sync_directory(directory); !synced)
    return fail(ErrorCode::kOutcomeUnknown, synced.error().message);
  return {};
}

}  // namespace

Result<TopologyStoreFile> TopologyStoreFile::open(fs::path directory) {
  std::error_code error;
  bool is_new = fs::create_directories(directory, error);
  if (!error && is_new) fs::permissions(directory, fs::perms::owner_all, error);
  if (!error && !fs::is_directory(directory, error) && !error) error = std::make_error_code(std::errc::not_a_directory);
  if (error)
    return fail(ErrorCode::kUnavailable, "topology store: create " + directory.string() + ": " + error.message());
  return TopologyStoreFile(std::move(directory));
}

Result<Topology> TopologyStoreFile::load() const {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    Result<uint64_t> newest = newest_version(directory_);
    if (!newest) return std::unexpected(newest.error());
    if (*newest == 0) {
      return fail(ErrorCode::kNotFound,
                  "topology store " + directory_.string() + " holds no topology; run tidemarkctl init");
    }
    fs::path path = directory_ / name_of(*newest);
    std::ifstream file(path, std::ios::binary);
    if (!file) continue;
    std::stringstream text;
    text << file.rdbuf();
    Result<Topology> topology = decode_topology(text.str());
    if (!topology) return std::unexpected(topology.error().with_context(path.string()));
    if (topology->version != *newest) {
      return fail(ErrorCode::kCorrupt, path.string() + ": it says it is version " + std::to_string(topology->version));
    }
    return topology;
  }
  return fail(ErrorCode::kUnavailable,
              "topology store " + directory_.string() + ": its newest version cannot be opened");
}

Result<Topology> TopologyStoreFile::compare_and_set(uint64_t expected, Topology next) const {
  next.version = expected + 1;
  if (Status checked = check_topology(next); !checked) return std::unexpected(checked.error());
  Result<uint64_t> newest = newest_version(directory_);
  if (!newest) return std::unexpected(newest.error());
  if (*newest != expected) return lost_race(expected);

  fs::path temporary = temporary_path(directory_);
  Status stored = write_durably(temporary, encode_topology(next));
  if (stored) stored = link_version(directory_, temporary, expected);
  ::unlink(temporary.c_str());
  if (!stored) return std::unexpected(stored.error());
  prune(directory_, next.version);
  return next;
}

Result<Topology> TopologyStoreFile::update(const std::function<Status(Topology&)>& change) const {
  for (int attempt = 0; attempt < kUpdateAttempts; ++attempt) {
    Result<Topology> current = load();
    if (!current && current.error().code != ErrorCode::kNotFound) return current;
    Topology next = current ? *current : Topology{};
    if (Status changed = change(next); !changed) return std::unexpected(changed.error());
    if (current && next == *current) return current;
    Result<Topology> stored = compare_and_set(current ? current->version : 0, std::move(next));
    if (stored || stored.error().code != ErrorCode::kAborted) return stored;
    std::this_thread::sleep_for(kRetryPause * (attempt % 8));
  }
  return fail(ErrorCode::kAborted,
              "topology store: lost the race " + std::to_string(kUpdateAttempts) + " times; try again later");
}

Result<TopologyStoreFile> open_topology_store(std::string_view address) {
  constexpr std::string_view kScheme = "file:";
  if (!address.starts_with(kScheme) || address.size() == kScheme.size()) {
    return fail(ErrorCode::kInvalidArgument,
                "topology store \"" + std::string(address) + "\": file:DIR is what this version supports");
  }
  return TopologyStoreFile::open(fs::path(address.substr(kScheme.size())));
}

}  // namespace tidemark::io
