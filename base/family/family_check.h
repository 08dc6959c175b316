// What must be true of a set of key families before anybody serves by them. Threads: pure functions.
#pragma once

#include <vector>

#include "base/family/family.h"
#include "base/result.h"

namespace tidemark {

inline constexpr uint64_t kFamilyMillisMax = uint64_t{10} * 365 * 86'400 * 1000;  // ten years; larger is a slip

// Names unique and [a-z0-9_]+; patterns parse and differ in prefix (the longest prefix decides, so two equal ones would
// be one family); a db-backed family names "schema.table" and one column per parameter; kInvalidArgument otherwise.
Status check_families(const std::vector<Family>& families);

}  // namespace tidemark
