// The file by which a program says that it is up and where: {"pid":123,"port":7001,…}, written whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace tidemark::io {

using ReadyValue = std::variant<int64_t, std::string, std::vector<int64_t>>;
using ReadyFields = std::map<std::string, ReadyValue>;

// Adds "pid" and "version". An empty path writes nothing.
Status write_ready_file(const std::filesystem::path& path, ReadyFields fields);

// kNotFound while the file does not exist.
Result<ReadyFields> read_ready_file(const std::filesystem::path& path);

}  // namespace tidemark::io
