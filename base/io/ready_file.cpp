#include "base/io/ready_file.h"

#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace tidemark::io {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kReadyBytesMax = 1 << 20;

std::optional<ReadyValue> value_of(const Json& json) {
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_array()) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const Json& item : json) {
    if (!item.is_number_integer()) return std::nullopt;
    numbers.push_back(item.get<int64_t>());
  }
  return numbers;
}

}  // namespace

Status write_ready_file(const std::filesystem::path& path, ReadyFields fields) {
  if (path.empty()) return {};
  fields["pid"] = static_cast<int64_t>(::getpid());
  fields["version"] = std::string(TIDEMARK_VERSION);
  Json document = Json::object();
  for (const auto& [name, value] : fields) std::visit([&](const auto& v) { document[name] = v; }, value);

  std::filesystem::path temporary = path;
  temporary += "." + std::to_string(::getpid()) + ".tmp";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << document.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  file.close();
  std::error_code error;
  if (!file) error = std::make_error_code(std::errc::io_error);
  if (!error) std::filesystem::rename(temporary, path, error);
  if (error) return fail(ErrorCode::kUnavailable, "ready file " + path.string() + ": " + error.message());
  return {};
}

Result<ReadyFields> read_ready_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, "ready file " + path.string() + " does not exist");
  std::string text(kReadyBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  Json document = Json::parse(text, nullptr, false);
  if (!document.is_object()) return fail(ErrorCode::kCorrupt, "ready file " + path.string() + " is no JSON object");
  ReadyFields fields;
  for (const auto& [name, json] : document.items()) {
    std::optional<ReadyValue> value = value_of(json);
    if (!value)
      return fail(ErrorCode::kCorrupt,
                  "ready file " + path.string() + ": " + name + " is no number, text or list of numbers");
    fields[name] = std::move(*value);
  }
  return fields;
}

}  // namespace tidemark::io
