#include "tools/shards/move/move_end.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "base/parse.h"

namespace tidemark::shards {
namespace {

using namespace std::chrono_literals;
constexpr auto kDropLimit = 5s;
constexpr auto kDropInterval = 20ms;
constexpr int kCleanBatchRows = 1000;

constexpr const char* kTables =
    "SELECT c.oid::regclass::text, n.nspname, c.relname, c.oid, pg_total_relation_size(c.oid) "
    "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE t.tgname = 'tidemark_fence' ORDER BY 1";
constexpr const char* kColumns =
    "SELECT quote_ident(a.attname), a.attname, coalesce(a.attnum = ANY (i.indkey), false), a.attidentity = 'a' "
    "FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary "
    "WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum";
constexpr const char* kReferences =
    "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint "
    "WHERE contype = 'f' AND conrelid <> confrelid";

// Referenced tables first; a cycle keeps the order of names (triggers are off while rows are applied).
std::vector<MovedTable> in_reference_order(std::vector<MovedTable> tables,
                                           const std::multimap<std::string, std::string>& references) {
  std::vector<MovedTable> ordered;
  std::set<std::string> done;
  while (!tables.empty()) {
    auto next = std::ranges::find_if(tables, [&](const MovedTable& table) {
      const auto [from, to] = references.equal_range(table.name);
      return std::all_of(from, to, [&](const auto& reference) {
        return done.contains(reference.second) ||
               std::ranges::none_of(tables, [&](const MovedTable& one) { return one.name == reference.second; });
      });
    });
    if (next == tables.end()) next = tables.begin();
    done.insert(next->name);
    ordered.push_back(std::move(*next));
    tables.erase(next);
  }
  return ordered;
}

// 55006: still in use by a session that is going away.
Status retry_while_busy(const std::function<Status()>& action) {
  const auto give_up = std::chrono::steady_clock::now() + kDropLimit;
  while (true) {
    const Status done = action();
    if (done || sqlstate_of(done.error()) != "55006" || std::chrono::steady_clock::now() > give_up) return done;
    std::this_thread::sleep_for(kDropInterval);
  }
}

}  // namespace

Result<std::vector<MovedTable>> read_tables(PgLink& link) {
  const auto set = link.query(kTables);
  if (!set) return std::unexpected(set.error());
  std::vector<MovedTable> tables;
  for (const auto& row : set->rows) {
    MovedTable table;
    table.name = row[0].value_or("");
    table.schema = row[1].value_or("");
    table.relation = row[2].value_or("");
    table.bytes = parse_i64(row[4].value_or("0")).value_or(0);
    const auto columns = link.query(kColumns, {row[3]});
    if (!columns) return std::unexpected(columns.error());
    for (const auto& cells : columns->rows)
      table.columns.push_back({cells[0].value_or(""), cells[1].value_or(""), cells[2] == "t", cells[3] == "t"});
    tables.push_back(std::move(table));
  }
  const auto pairs = link.query(kReferences);
  if (!pairs) return std::unexpected(pairs.error());
  std::multimap<std::string, std::string> references;
  for (const auto& row : pairs->rows) references.emplace(row[0].value_or(""), row[1].value_or(""));
  return in_reference_order(std::move(tables), references);
}

std::string table_list(const std::vector<MovedTable>& tables) {
  std::string list;
  for (const MovedTable& table : tables) {
    list += list.empty() ? "{\"" : ",\"";
    for (const char c : table.name) {
      if (c == '"' || c == '\\') list += '\\';
      list += c;
    }
    list += '"';
  }
  return list.empty() ? "{}" : list + "}";
}

std::string publication_sql(PgLink& link, const std::string& name, const std::vector<MovedTable>& tables,
                            BucketRange range, const std::string& marker_of) {
  std::string list;
  for (const MovedTable& table : tables)
    list += fmt::format("{} WHERE (bucket >= {} AND bucket <= {}), ", table.name, range.lo, range.hi);
  return fmt::format(
      "CREATE PUBLICATION {} FOR TABLE {} shard.move_marker WHERE (move_id = {}) "
      "WITH (publish = 'insert, update, delete')",
      name, list, link.quote_text(marker_of));
}

Result<bool> is_durable(PgLink& primary, const std::vector<std::string>& standbys, Lsn position) {
  std::string names = "{";
  for (const std::string& name : standbys) names += (names.size() > 1 ? "," : "") + name;
  const auto holds = primary.value(
      "SELECT pg_current_wal_flush_lsn() >= $2::pg_lsn AND $3::int = (SELECT count(DISTINCT application_name) "
      "FROM pg_stat_replication WHERE application_name = ANY ($1::text[]) AND flush_lsn >= $2::pg_lsn)",
      {names + "}", position.to_string(), std::to_string(standbys.size())});
  if (!holds) return std::unexpected(holds.error());
  return *holds == "t";
}

Result<Lsn> insert_position(PgLink& link) {
  const auto text = link.value("SELECT pg_current_wal_insert_lsn()");
  if (!text) return std::unexpected(text.error());
  const auto lsn = Lsn::parse(*text);
  if (!lsn) return fail(ErrorCode::kInternal, "not a WAL position: " + *text);
  return *lsn;
}

Status drop_slot(PgLink& link, const std::string& slot) {
  return retry_while_busy([&] {
    return link.run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
                    {slot});
  });
}

Status drop_publication(PgLink& link, const std::string& publication) {
  return link.run("DROP PUBLICATION IF EXISTS " + publication);
}

Status drop_origin(PgLink& link, const std::string& origin) {
  return retry_while_busy([&] {
    return link.run("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = $1", {origin});
  });
}

Status drop_artifacts(PgLink& link, const std::string& move_id) {
  Status done;
  for (const std::string& name : {stream_name(move_id), reverse_name(move_id), cleaner_name(move_id)}) {
    if (done) done = drop_slot(link, name);
    if (done) done = drop_publication(link, name);
    if (done) done = drop_origin(link, name);
  }
  return done;
}

Result<int64_t> clean_rows(const ShardEnd& end, const std::string& move_id, const std::vector<std::string>& tables,
                           const std::function<Status()>& on_batch) {
  auto link = PgLink::connect(fmt::format("shard {} (clean-up)", end.id), end.admin);
  if (!link) return std::unexpected(link.error());
  const std::string origin = cleaner_name(move_id);
  Status ready = link->run(
      "SELECT pg_replication_origin_create($1) WHERE NOT EXISTS (SELECT FROM pg_replication_origin WHERE roname = $1)",
      {origin});
  if (ready)
    ready = retry_while_busy([&] { return link->run("SELECT pg_replication_origin_session_setup($1)", {origin}); });
  if (ready) ready = link->run("SET session_replication_role = 'replica'");
  if (!ready) return std::unexpected(ready.error());
  int64_t total = 0;
  for (auto table = tables.rbegin(); table != tables.rend(); ++table) {  // those that refer to others first
    for (int64_t deleted = kCleanBatchRows; deleted == kCleanBatchRows; total += deleted) {
      const auto count = link->value("SELECT shard.move_clean($1, $2::regclass, $3)",
                                     {move_id, *table, std::to_string(kCleanBatchRows)});
      if (!count) return std::unexpected(count.error());
      deleted = parse_i64(*count).value_or(0);
      if (const Status go_on = on_batch(); !go_on) return std::unexpected(go_on.error());
    }
  }
  return total;
}

}  // namespace tidemark::shards
