// A cluster's status as aligned tables for people and as JSON for programs (keys: docs/STATUS.md). Pure functions.
#pragma once

#include <string>

#include "tools/admin/cluster_status.h"

namespace tidemark::admin {

std::string status_as_tables(const ClusterStatus& status);
std::string status_as_json(const ClusterStatus& status);  // {"format": 1, …}, indented

std::string human_bytes(uint64_t bytes);  // "512 B", "1.5 MB"

}  // namespace tidemark::admin
