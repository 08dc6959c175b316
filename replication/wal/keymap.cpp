#include "replication/wal/keymap.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/hash.h"

namespace tidemark::replication {
namespace {

// Oids of pg_type; they are part of Postgres's stable interface.
constexpr uint32_t kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25, kVarchar = 1043, kUuid = 2950;
constexpr uint32_t kKeyTypes[] = {kInt8, kInt2, kInt4, kText, kVarchar, kUuid};

std::string qualified_name(const RelationMessage& relation) {
  std::string schema(relation.schema.empty() ? std::string_view("pg_catalog") : relation.schema);
  return schema + "." + std::string(relation.name);
}

// Why `column` cannot be a key column of this relation; nothing if it can.
std::optional<std::string> reason_to_refuse(const RelationMessage& relation, const RelationColumn* column) {
  if (column == nullptr) return "does not exist (dropped, renamed, generated, or left out of the publication)";
  if (!column->is_identity) {
    return fmt::format(
        "is not part of the replica identity ('{}'): the key of an old row cannot be told; add it to the primary key, "
        "or ALTER TABLE {} REPLICA IDENTITY USING INDEX over the key columns",
        relation.identity, qualified_name(relation));
  }
  if (!is_key_type(column->type)) {
    return fmt::format("has type oid {}, whose text form is not unique; use int2, int4, int8, text, varchar or uuid",
                       column->type);
  }
  return std::nullopt;
}

uint64_t fingerprint_of(const std::vector<Family>& families) {
  std::string text;
  for (const Family& family : families) {
    text += family.name + '\n' + family.pattern + '\n' + family.table + '\n';
    for (const std::string& column : family.key_columns) text += column + ',';
    text += '\n';
  }
  return hash64(text);
}

}  // namespace

bool is_key_type(uint32_t type_oid) {
  return std::ranges::find(kKeyTypes, type_oid) != std::end(kKeyTypes);
}

Result<Keymap> Keymap::build(const std::vector<Family>& families) {
  Keymap keymap;
  for (const Family& family : families) {
    if (family.table.empty()) continue;
    auto pattern = KeyPattern::parse(family.pattern);
    if (!pattern) return std::unexpected(pattern.error().with_context("family " + family.name));
    if (family.key_columns.size() != pattern->parameters().size()) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("family {}: pattern {} has {} parameters but {} key columns are named", family.name,
                              family.pattern, pattern->parameters().size(), family.key_columns.size()));
    }
    keymap.families_.push_back(family);
    keymap.patterns_.push_back(std::move(*pattern));
  }
  keymap.fingerprint_ = fingerprint_of(keymap.families_);
  return keymap;
}

Keymap::Binding Keymap::bind(const RelationMessage& relation) const {
  Binding binding;
  binding.column_count = relation.columns.size();
  std::string table = qualified_name(relation);
  for (size_t i = 0; i < families_.size(); ++i) {
    const Family& family = families_[i];
    if (family.table != table) continue;
    BoundFamily bound{i, {}};
    for (const std::string& name : family.key_columns) {
      auto column = std::ranges::find(relation.columns, name, &RelationColumn::name);
      bool is_found = column != relation.columns.end();
      if (auto reason = reason_to_refuse(relation, is_found ? &*column : nullptr)) {
        binding.refusals.push_back(fmt::format("family {}: column {} of {} {}", family.name, name, table, *reason));
      } else {
        bound.columns.push_back(static_cast<size_t>(column - relation.columns.begin()));
      }
    }
    binding.families.push_back(std::move(bound));
  }
  return binding;
}

Keymap::Outcome Keymap::append_keys(const Binding& binding, const Tuple& tuple, const Tuple* before,
                                    std::vector<InvalidatedKey>& out) const {
  std::vector<std::string_view> values;
  for (const BoundFamily& bound : binding.families) {
    values.clear();
    for (size_t column : bound.columns) {
      const TupleColumn* cell = &tuple[column];
      if (cell->kind == TupleColumn::Kind::kUnchanged && before != nullptr) cell = &(*before)[column];
      if (cell->kind == TupleColumn::Kind::kUnchanged) return Outcome::kUnknownKeys;
      if (cell->kind == TupleColumn::Kind::kNull) break;
      values.push_back(cell->text);
    }
    if (values.size() != bound.columns.size()) continue;  // a NULL: no such key
    auto key = patterns_[bound.family].render(values);
    if (!key) continue;  // no client can name such a key either
    Slot slot = slot_of_key(*key);
    out.push_back({std::move(*key), slot});
  }
  return Outcome::kOk;
}

}  // namespace tidemark::replication
