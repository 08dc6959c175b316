#include "tools/admin/verb.h"

#include <fstream>
#include <iostream>
#include <sstream>

namespace tidemark::admin {

Result<Topology> load_topology(const Common& common) {
  Result<io::TopologyStoreFile> store = io::open_topology_store(common.topology);
  if (!store) return std::unexpected(store.error());
  return store->load();
}

Result<std::string> read_text_file(const std::string& path) {
  std::stringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    return text.str();
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, "file " + path + " cannot be opened");
  text << file.rdbuf();
  return text.str();
}

}  // namespace tidemark::admin
