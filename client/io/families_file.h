// The families file: what `tidemarkctl families apply FILE` reads. Written by the program that declares the families:
//
//   write_families_file("families.json", families_of<ProductBySku, OrdersOfCustomer>());
//
// Threads: any. I/O: a temporary file beside it, fsync, rename.
#pragma once

#include <filesystem>
#include <vector>

#include "base/family/family.h"
#include "base/result.h"

namespace tidemark::client {

// kInvalidArgument when a family is not whole (bad pattern, missing column); kUnavailable naming the file and why.
Status write_families_file(const std::filesystem::path& file, const std::vector<Family>& families);

}  // namespace tidemark::client
