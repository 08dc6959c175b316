#include "client/io/families_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/family/family_check.h"
#include "base/topology/topology_json.h"

namespace tidemark::client {
namespace {

std::unexpected<Error> failed(const std::filesystem::path& file, std::string_view what) {
  return fail(ErrorCode::kUnavailable, file.string() + ": " + std::string(what) + ": " + std::strerror(errno));
}

Status write_whole(const std::filesystem::path& file, std::string_view bytes) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failed(file, "open");
  Status status;
  while (!bytes.empty() && status) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      status = failed(file, "write");
    } else {
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  if (status && ::fsync(fd) != 0) status = failed(file, "fsync");
  if (::close(fd) != 0 && status) status = failed(file, "close");
  return status;
}

}  // namespace

Status write_families_file(const std::filesystem::path& file, const std::vector<Family>& families) {
  if (auto status = check_families(families); !status) return status;
  std::filesystem::path temporary = file;
  temporary += ".tmp";
  if (auto status = write_whole(temporary, encode_families(families)); !status) return status;
  if (::rename(temporary.c_str(), file.c_str()) != 0) return failed(file, "rename");
  return {};
}

}  // namespace tidemark::client
