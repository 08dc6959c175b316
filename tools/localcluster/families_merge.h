// Several services' families files as one: each service writes its own, the topology holds them all.
//
// A family that two files name is refused, with both files, unless it is the same family. Threads: any. I/O: files.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark::localcluster {

Result<std::vector<Family>> merge_families(const std::vector<std::filesystem::path>& files);
Status write_families(const std::vector<Family>& families, const std::filesystem::path& file);

}  // namespace tidemark::localcluster
