#include "tools/shards/passwords.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/io/random_source.h"
#include "base/parse.h"
#include "tools/shards/shards_file.h"

namespace tidemark::shards {
namespace {

namespace fs = std::filesystem;
constexpr size_t kPasswordBytes = 32;

// Only lines of our own form; others (a person's own entries) are kept out of our files on purpose.
Status read_passfile(const fs::path& path, std::map<std::string, std::string>& passwords) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};  // not made yet
  if ((status.st_mode & 077) != 0)
    return fail(ErrorCode::kFailedPrecondition, path.string() + ": others may read it; run chmod 600 " + path.string());
  const auto text = read_text_file(path);
  if (!text) return std::unexpected(text.error());
  for (const std::string_view line : split(*text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() == 5) passwords[std::string(fields[3])] = std::string(fields[4]);
  }
  return {};
}

Status write_private_file(const fs::path& path, const std::string& text) {
  std::error_code ignored;
  if (path.has_parent_path() && fs::create_directories(path.parent_path(), ignored))
    fs::permissions(path.parent_path(), fs::perms::owner_all, ignored);
  const std::string temporary = path.string() + ".new";
  ::unlink(temporary.c_str());
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool is_good = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (file >= 0) is_good = ::fsync(file) == 0 && ::close(file) == 0 && is_good;
  if (!is_good || ::rename(temporary.c_str(), path.c_str()) != 0)
    return fail(ErrorCode::kUnavailable, path.string() + ": cannot be written: " + std::strerror(errno));
  return {};
}

std::string line_of(const std::string& role, const std::string& password) {
  return "*:*:*:" + role + ":" + password + "\n";
}

}  // namespace

Result<Passwords> Passwords::open(PasswordPlace place, const std::vector<std::string>& roles) {
  if (place.passfile.empty() == place.directory.empty())
    return fail(ErrorCode::kInvalidArgument, "give exactly one of --passfile FILE and --passwords-dir DIR");
  Passwords passwords;
  if (!place.passfile.empty()) {
    const Status read = read_passfile(place.passfile, passwords.passwords_);
    if (!read) return std::unexpected(read.error());
  } else {
    for (const std::string& role : roles) {
      const Status read = read_passfile(place.directory / (role + ".pgpass"), passwords.passwords_);
      if (!read) return std::unexpected(read.error());
    }
  }
  passwords.place_ = std::move(place);
  return passwords;
}

void Passwords::generate(const std::string& role) {
  passwords_[role] = io::random_hex(kPasswordBytes);
}

Status Passwords::save() const {
  if (!place_.passfile.empty()) {
    std::string text;
    for (const auto& [role, password] : passwords_) text += line_of(role, password);
    return write_private_file(place_.passfile, text);
  }
  for (const auto& [role, password] : passwords_) {
    const Status written = write_private_file(place_.directory / (role + ".pgpass"), line_of(role, password));
    if (!written) return written;
  }
  return {};
}

}  // namespace tidemark::shards
