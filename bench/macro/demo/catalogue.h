// The Debian package index as the demo's catalogue, and its way into the database: the service's own import.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/macro/package_index.h"

namespace tidemark::bench {

// From the file, or from `apt-cache dumpavail`. kFailedPrecondition with the remedy when apt has no index.
Result<PackageIndex> read_package_index(const std::string& file);

struct ImportResult {
  uint64_t sent = 0;
  uint64_t stored = 0;                  // as the service says: new, changed or equal
  uint64_t rejected = 0;                // not valid by the service's rules
  std::vector<std::string> rejections;  // the first few, in its words
  double seconds = 0;
};
struct ImportOptions {
  uint64_t seed = 1;      // prices and stocks are made up from it
  int64_t hot_stock = 0;  // of each of the hot goods
  std::function<void(uint64_t sent)> on_progress;
};
// Streams all packages through ImportProducts.
Result<ImportResult> import_packages(const std::string& target, const std::vector<Package>& packages,
                                     const ImportOptions& options);

}  // namespace tidemark::bench
