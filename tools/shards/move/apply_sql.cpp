#include "tools/shards/move/apply_sql.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::shards {
namespace {

using replication::Tuple;
using replication::TupleColumn;
using Kind = TupleColumn::Kind;

std::optional<std::string> value_of(const TupleColumn& column) {
  if (column.kind == Kind::kNull) return std::nullopt;
  return std::string(column.text);
}

Status check_width(const BoundRelation& bound, const Tuple& tuple) {
  if (tuple.size() == bound.columns.size()) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("{}: a row of {} columns, {} were described", bound.table->name,
                                               tuple.size(), bound.columns.size()));
}

// " WHERE a = $3 AND b = $4" over the columns that name a row. FULL sends all columns; the primary key is enough.
void append_where(const BoundRelation& bound, const Tuple& key, RowStatement& statement) {
  std::string_view glue = " WHERE ";
  for (size_t i = 0; i < key.size(); ++i) {
    const TableColumn& column = bound.table->columns[bound.columns[i]];
    if (!(bound.is_identity_full ? column.is_primary_key : bound.is_identity[i])) continue;
    statement.params.push_back(value_of(key[i]));
    statement.sql += fmt::format("{}{} = ${}", glue, column.name, statement.params.size());
    glue = " AND ";
  }
}

}  // namespace

Result<BoundRelation> bind_relation(const replication::RelationMessage& relation,
                                    const std::vector<MovedTable>& tables) {
  const auto table = std::ranges::find_if(
      tables, [&](const MovedTable& one) { return one.schema == relation.schema && one.relation == relation.name; });
  if (table == tables.end())
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("the stream has rows of {}.{}, which is not moved", relation.schema, relation.name));
  BoundRelation bound;
  bound.table = &*table;
  bound.is_identity_full = relation.identity == 'f';
  for (const replication::RelationColumn& column : relation.columns) {
    const auto known = std::ranges::find(table->columns, column.name, &TableColumn::plain_name);
    if (known == table->columns.end()) break;
    bound.columns.push_back(static_cast<size_t>(known - table->columns.begin()));
    bound.is_identity.push_back(column.is_identity);
  }
  if (bound.columns.size() != relation.columns.size() || bound.columns.size() != table->columns.size())
    return fail(ErrorCode::kFailedPrecondition,
                table->name + ": its columns are not those that were copied; a schema change and a move do not mix");
  return bound;
}

Result<RowStatement> insert_statement(const BoundRelation& bound, const replication::InsertMessage& message) {
  if (const Status fits = check_width(bound, message.after); !fits) return std::unexpected(fits.error());
  RowStatement statement;
  statement.name = "insert " + bound.table->name;
  std::string names, places;
  for (size_t i = 0; i < message.after.size(); ++i) {
    if (message.after[i].kind == Kind::kUnchanged)
      return fail(ErrorCode::kCorrupt, bound.table->name + ": an inserted row lacks a column");
    statement.params.push_back(value_of(message.after[i]));
    names += fmt::format("{}{}", i ? ", " : "", bound.table->columns[bound.columns[i]].name);
    places += fmt::format("{}${}", i ? ", " : "", i + 1);
  }
  statement.sql =
      fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})", bound.table->name, names, places);
  return statement;
}

Result<RowStatement> update_statement(const BoundRelation& bound, const replication::UpdateMessage& message) {
  Status fits = check_width(bound, message.after);
  if (fits && message.has_before) fits = check_width(bound, message.before);
  if (!fits) return std::unexpected(fits.error());
  RowStatement statement;
  std::string shape;
  for (size_t i = 0; i < message.after.size(); ++i) {
    const TableColumn& column = bound.table->columns[bound.columns[i]];
    if (message.after[i].kind == Kind::kUnchanged || column.is_identity_always) continue;
    statement.params.push_back(value_of(message.after[i]));
    statement.sql += statement.sql.empty() ? fmt::format("UPDATE {} SET ", bound.table->name) : ", ";
    statement.sql += fmt::format("{} = ${}", column.name, statement.params.size());
    shape += fmt::format(" {}", i);
  }
  append_where(bound, message.has_before ? message.before : message.after, statement);
  statement.name = fmt::format("update {}{}", bound.table->name, shape);
  return statement;
}

Result<RowStatement> delete_statement(const BoundRelation& bound, const replication::DeleteMessage& message) {
  if (const Status fits = check_width(bound, message.before); !fits) return std::unexpected(fits.error());
  RowStatement statement;
  statement.name = "delete " + bound.table->name;
  statement.sql = "DELETE FROM " + bound.table->name;
  append_where(bound, message.before, statement);
  return statement;
}

}  // namespace tidemark::shards
