// Passwords come from files that only their owner may read, never from a command line.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace tidemark::io {

inline constexpr size_t kSecretBytesMax = 4096;

// The file's text without its last newline. Refuses a file that group or others may read (kFailedPrecondition, with the
// chmod to run), an empty one, one with more than one line, and one beyond kSecretBytesMax.
Result<std::string> read_secret_file(const std::filesystem::path& path);

// Creates the file with mode 0600; kFailedPrecondition if it exists already.
Status write_secret_file(const std::filesystem::path& path, const std::string& secret);

}  // namespace tidemark::io
