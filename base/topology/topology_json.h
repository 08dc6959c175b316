// The topology's stored form: JSON with "format": 1. Slots and buckets are run-length ranges.
//
// decode() checks everything a later reader relies on (sizes, unknown ids, overlapping ranges, duplicate names,
// family patterns) and names what was wrong: a topology that decodes is whole.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark {

inline constexpr int kTopologyFormat = 1;

std::string encode_topology(const Topology& topology);  // stable order, indented: made to be read and diffed
Result<Topology> decode_topology(std::string_view json);

// Families alone, as `tidemarkctl families apply FILE` reads them: {"families": [...]}.
std::string encode_families(const std::vector<Family>& families);
Result<std::vector<Family>> decode_families(std::string_view json);

}  // namespace tidemark
