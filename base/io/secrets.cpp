#include "base/io/secrets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tidemark::io {
namespace {

std::unexpected<Error> refuse(ErrorCode code, const std::filesystem::path& path, const std::string& why) {
  return fail(code, "secret file " + path.string() + ": " + why);
}

Result<std::string> read_open_file(int file, const std::filesystem::path& path) {
  struct stat info{};
  if (::fstat(file, &info) != 0) return refuse(ErrorCode::kUnavailable, path, std::strerror(errno));
  if ((info.st_mode & 077) != 0) {
    return refuse(ErrorCode::kFailedPrecondition, path, "others may read it; run: chmod 600 " + path.string());
  }
  std::string text(kSecretBytesMax + 2, '\0');
  ssize_t size = ::read(file, text.data(), text.size());
  if (size < 0) return refuse(ErrorCode::kUnavailable, path, std::strerror(errno));
  text.resize(static_cast<size_t>(size));
  if (text.ends_with('\n')) text.pop_back();
  if (text.empty()) return refuse(ErrorCode::kInvalidArgument, path, "it is empty");
  if (text.size() > kSecretBytesMax) {
    return refuse(ErrorCode::kInvalidArgument, path, "it is longer than " + std::to_string(kSecretBytesMax) + " bytes");
  }
  if (text.find('\n') != std::string::npos)
    return refuse(ErrorCode::kInvalidArgument, path, "it has more than one line");
  return text;
}

}  // namespace

Result<std::string> read_secret_file(const std::filesystem::path& path) {
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return refuse(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable, path, std::strerror(errno));
  Result<std::string> secret = read_open_file(file, path);
  ::close(file);
  return secret;
}

Status write_secret_file(const std::filesystem::path& path, const std::string& secret) {
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0)
    return refuse(errno == EEXIST ? ErrorCode::kFailedPrecondition : ErrorCode::kUnavailable, path,
                  std::strerror(errno));
  std::string line = secret + "\n";
  bool is_written = ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && ::fsync(file) == 0;
  std::string why = std::strerror(errno);
  ::close(file);
  if (!is_written) return refuse(ErrorCode::kUnavailable, path, why);
  return {};
}

}  // namespace tidemark::io
