// Key families: typed patterns of cache keys with their source in the database.
//
// A family reaches servers as data: the client library writes it, `tidemarkctl families apply` stores it in the
// topology, nodes and the invalidator read it there. Longest prefix wins.
//
//   name "product"   pattern "product:{<sku>}"   table "catalog.product"   key columns: sku
//   name "orders"    pattern "orders:{<bucket>}:<customer_id>"  — <bucket> renders as a short tag of that bucket
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/family/key_pattern.h"

namespace tidemark {

struct Family {
  std::string name;           // unique, [a-z0-9_]+
  std::string pattern;        // KeyPattern text
  std::string table;          // "schema.table" whose rows decide the value; empty: the family is not db-backed (ttl only)
  std::vector<std::string> key_columns;  // the columns that the pattern's parameters name, in their order
  uint64_t ttl_ms = 3'600'000;           // hard time to live of a filled value
  uint64_t negative_ttl_ms = 10'000;     // of a proven absence
  uint64_t max_stale_ms = 60'000;        // a read that the node cannot bound by this goes to the database

  bool operator==(const Family&) const = default;
};

}  // namespace tidemark
