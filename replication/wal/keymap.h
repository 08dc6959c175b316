// From row changes to cache keys: the families of the topology, bound to the columns of one table.
//
//   family "orders:{<bucket>}:<customer_id>" of table shop.orders, an UPDATE of customer_id 5 -> 6 in bucket 77:
//   both "orders:{…77…}:5" and "orders:{…77…}:6" are invalidated: the old value lost a row, the new one gained one.
//
// The key of the old row can only be told if every key column is part of the table's replica identity, and key text
// from the stream equals key text of clients only for types with one spelling (kKeyTypes). A family that breaks either
// rule is refused when its table's Relation message arrives: every change of that table then invalidates the whole
// shard, which is slow and right, and the refusal says what to change.
// Threads: immutable after build(). I/O: none.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/family/family.h"
#include "base/family/key_pattern.h"
#include "base/result.h"
#include "replication/wal/commit.h"
#include "replication/wal/wal_message.h"

namespace tidemark::replication {

class Keymap {
 public:
  // One family bound to a relation: where its key columns stand in a tuple.
  struct BoundFamily {
    size_t family = 0;  // index into families()
    std::vector<size_t> columns;
  };
  struct Binding {
    size_t column_count = 0;
    std::vector<BoundFamily> families;
    std::vector<std::string> refusals;  // not empty: keys of this relation cannot be told
  };
  enum class Outcome : uint8_t { kOk, kUnknownKeys };

  // Families without a table have nothing to do with the stream and are left out.
  static Result<Keymap> build(const std::vector<Family>& families);

  Binding bind(const RelationMessage& relation) const;

  // Appends the keys of a tuple. `before` (may be null) stands in for unchanged TOASTed columns of an update. A NULL
  // key column, or a value no key can hold, has no key.
  Outcome append_keys(const Binding& binding, const Tuple& tuple, const Tuple* before,
                      std::vector<InvalidatedKey>& out) const;

  const std::vector<Family>& families() const { return families_; }

  // Changes exactly when some row change could map to other keys than before.
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  std::vector<Family> families_;
  std::vector<KeyPattern> patterns_;  // one per family
  uint64_t fingerprint_ = 0;
};

// May a column of this type be part of a key? int2, int4, int8, text, varchar, uuid.
bool is_key_type(uint32_t type_oid);

}  // namespace tidemark::replication
