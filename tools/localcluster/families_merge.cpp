#include "tools/localcluster/families_merge.h"

#include <fmt/format.h>

#include <fstream>
#include <map>

#include "base/topology/topology_json.h"
#include "tools/shards/shards_file.h"

namespace tidemark::localcluster {

namespace fs = std::filesystem;

Result<std::vector<Family>> merge_families(const std::vector<fs::path>& files) {
  std::vector<Family> merged;
  std::map<std::string, std::pair<fs::path, size_t>> origin;  // by name: the file, its place in `merged`
  for (const fs::path& file : files) {
    const auto text = shards::read_text_file(file);
    if (!text) return std::unexpected(text.error());
    auto families = decode_families(*text);
    if (!families) return std::unexpected(families.error().with_context(file.string()));
    for (Family& family : *families) {
      const auto [known, is_new] = origin.try_emplace(family.name, file, merged.size());
      if (is_new) {
        merged.push_back(std::move(family));
      } else if (encode_families({family}) != encode_families({merged[known->second.second]})) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("family \"{}\" is in {} and, differently, in {}: give one of them another name",
                                family.name, known->second.first.string(), file.string()));
      }
    }
  }
  return merged;
}

Status write_families(const std::vector<Family>& families, const fs::path& path) {
  std::ofstream file(path);
  file << encode_families(families);
  file.close();
  if (!file) return fail(ErrorCode::kUnavailable, path.string() + ": cannot be written");
  return {};
}

}  // namespace tidemark::localcluster
