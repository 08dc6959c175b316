#include "tools/shards/fleet/schema_compare.h"

#include <fmt/format.h>

namespace tidemark::shards {

Result<TableShapes> read_table_shapes(PgSession& session) {
  // Columns by name: a column that was added later stands elsewhere, which matters to nobody who names it.
  const auto set = session.query(
      "SELECT format('%I.%I', n.nspname, c.relname), (SELECT string_agg(format('%I %s%s%s', a.attname, "
      "format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' not null' END, CASE WHEN a.attgenerated <> "
      "'' "
      "THEN ' generated' END), ', ' ORDER BY a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 "
      "AND "
      "NOT a.attisdropped) || coalesce((SELECT '; ' || lower(pg_get_constraintdef(p.oid)) FROM pg_constraint p WHERE "
      "p.conrelid = c.oid AND p.contype = 'p'), '; no primary key') FROM pg_class c JOIN pg_namespace n ON n.oid = "
      "c.relnamespace WHERE EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'tidemark_fence') "
      "OR "
      "c.oid IN (SELECT to_regclass(name) FROM shard.reference_table) ORDER BY 1");
  if (!set) return std::unexpected(set.error());
  TableShapes shapes;
  for (const auto& row : set->rows) shapes[row[0].value_or("")] = row[1].value_or("");
  return shapes;
}

std::vector<std::string> compare_shapes(const std::string& name_a, const TableShapes& a, const std::string& name_b,
                                        const TableShapes& b) {
  std::vector<std::string> lines;
  for (const auto& [table, shape] : a) {
    const auto other = b.find(table);
    if (other == b.end())
      lines.push_back(fmt::format("{}: it is on {}, but not on {}", table, name_a, name_b));
    else if (other->second != shape)
      lines.push_back(fmt::format("{}: on {} ({}), on {} ({})", table, name_a, shape, name_b, other->second));
  }
  for (const auto& [table, shape] : b)
    if (!a.contains(table)) lines.push_back(fmt::format("{}: it is on {}, but not on {}", table, name_b, name_a));
  return lines;
}

}  // namespace tidemark::shards
