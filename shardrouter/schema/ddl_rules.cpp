#include "shardrouter/schema/ddl_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "shardrouter/schema/migration_files.h"

namespace tidemark::shardrouter {
namespace {

constexpr std::string_view kNewColumn =
    "its rows would change without an event and caches would keep the old values: add a new column, backfill it, and "
    "drop the old one in the contract";

bool is_word(const SqlStatement& statement, size_t at, std::string_view word) {
  return has_words(statement, at, {word});
}

bool holds_word(const SqlStatement& statement, size_t from, size_t to, std::string_view word, int depth) {
  for (size_t i = from; i < to; ++i)
    if (statement.tokens[i].depth == depth && statement.tokens[i].is(word)) return true;
  return false;
}

// Skips "if not exists", "if exists", "only".
void skip_ifs(const SqlStatement& statement, size_t& at) {
  if (has_words(statement, at, {"if", "not", "exists"})) at += 3;
  if (has_words(statement, at, {"if", "exists"})) at += 2;
  if (is_word(statement, at, "only")) ++at;
}

std::string name_after(const SqlStatement& statement, size_t at) {
  skip_ifs(statement, at);
  return read_name(statement, at);
}

class Judge {
 public:
  explicit Judge(const MigrationFile& file) : file_(file) {
    for (const SqlStatement& statement : file.statements)
      if (has_words(statement, 0, {"create", "table"})) created_.insert(name_after(statement, 2));
  }

  std::vector<std::string> run() {
    bool any_concurrent = false, all_concurrent = true;
    for (const SqlStatement& statement : file_.statements) {
      judge(statement);
      any_concurrent = any_concurrent || is_concurrent(statement);
      all_concurrent = all_concurrent && is_concurrent(statement);
    }
    if (any_concurrent && !all_concurrent)
      findings_.push_back("CONCURRENTLY runs outside the file's transaction: give it a migration of its own");
    return std::move(findings_);
  }

 private:
  bool is_expand() const { return file_.phase == Phase::kExpand; }
  void refuse(const SqlStatement& statement, std::string_view what, std::string_view instead) {
    findings_.push_back(fmt::format("line {}: {}: {}", statement.line, what, instead));
  }

  void judge(const SqlStatement& s) {
    const std::string first = s.tokens[0].text;
    if (first == "create") return judge_create(s);
    if (first == "alter") return judge_alter(s);
    if (first == "drop") return judge_drop(s);
    if (first == "comment" || first == "grant" || first == "revoke") return;
    if (first == "truncate") return refuse(s, "TRUNCATE", "no row event says so: DELETE the rows in a backfill");
    if (first == "insert" || first == "update" || first == "delete" || first == "merge" || first == "copy")
      return judge_rows(s);
    if (std::ranges::find(kTransactionWords, first) != kTransactionWords.end())
      return refuse(s, first, "the file runs in one transaction that the tool opens and ends");
    refuse(s, first,
           "only CREATE, ALTER, DROP, COMMENT, GRANT and REVOKE can be judged here; rows are changed in a backfill");
  }

  void judge_rows(const SqlStatement& s) {
    size_t at = is_word(s, 0, "update") ? 1 : 2;
    const std::string table = name_after(s, at);
    const auto& references = file_.reference_tables;
    if (is_expand() && std::ranges::find(references, table) != references.end()) return;
    refuse(s, s.tokens[0].text,
           "rows are changed in a backfill (NUMBER_NAME.backfill.sql), in batches; only a table that this expand "
           "declares as a reference may be filled here");
  }

  void judge_create(const SqlStatement& s) {
    size_t at = 1;
    if (has_words(s, at, {"or", "replace"})) at += 2;
    for (size_t i = at; i + 1 < s.tokens.size(); ++i)
      if (has_words(s, i, {"begin", "atomic"}))
        return refuse(s, "BEGIN ATOMIC", "write the function's body as a string: AS $$ … $$");
    if (is_word(s, at, "publication") || is_word(s, at, "subscription"))
      return refuse(s, "CREATE PUBLICATION", "write \"-- tidemark: adopt TABLE\" and the tool publishes the table");
    if (is_word(s, at, "database") || is_word(s, at, "tablespace"))
      return refuse(s, "CREATE " + s.tokens[at].text, "it cannot run in a transaction");
    if (is_word(s, at, "table") || is_word(s, at, "unlogged")) return judge_create_table(s);
    if (is_word(s, at, "unique")) ++at;
    if (is_word(s, at, "index")) judge_create_index(s, at + 1);
  }

  void judge_create_table(const SqlStatement& s) {
    const size_t end = s.tokens.size();
    if (is_word(s, 1, "unlogged")) return refuse(s, "an unlogged table", "its changes are in no stream");
    if (holds_word(s, 2, end, "partition", 0))
      return refuse(s, "a partitioned table",
                    "attached and detached rows give no event: use one table, its primary key "
                    "begins with the bucket");
    if (holds_word(s, 2, end, "as", 0))
      refuse(s, "CREATE TABLE AS", "create the table empty and fill it by writes, which give events");
  }

  void judge_create_index(const SqlStatement& s, size_t at) {
    if (is_word(s, at, "concurrently")) {
      if (name_after(s, at + 1).empty() || is_word(s, at + 1, "on"))
        refuse(s, "an index without a name", "name it, so that an interrupted build is found and built again");
      return;
    }
    for (; at < s.tokens.size() && !s.tokens[at].is("on"); ++at) {
    }
    if (!created_.contains(name_after(s, at + 1)))
      refuse(s, "CREATE INDEX",
             "it blocks every writer while it is built: CREATE INDEX CONCURRENTLY, in a migration of "
             "its own");
  }

  void judge_alter(const SqlStatement& s) {
    if (is_word(s, 1, "publication") || is_word(s, 1, "subscription"))
      return refuse(s, "ALTER PUBLICATION",
                    "rows leave or enter the stream without an event: \"-- tidemark: adopt "
                    "TABLE\" publishes a new table");
    if (is_word(s, 1, "system") || is_word(s, 1, "database"))
      return refuse(s, "ALTER " + s.tokens[1].text, "it is no part of a schema");
    if (!is_word(s, 1, "table")) {
      for (size_t i = 2; is_expand() && i < s.tokens.size(); ++i)
        if (s.tokens[i].depth == 0 && s.tokens[i].is("rename"))
          return refuse(s, "RENAME", "code that runs knows the old name");
      return;
    }
    size_t at = 2;
    skip_ifs(s, at);
    const std::string table = read_name(s, at);
    while (at < s.tokens.size()) {
      size_t end = at;
      while (end < s.tokens.size() && !(s.tokens[end].depth == 0 && s.tokens[end].is(","))) ++end;
      judge_action(s, table, at, end);
      at = end + 1;
    }
  }

  void judge_action(const SqlStatement& s, const std::string& table, size_t at, size_t end) {
    const auto holds = [&](std::string_view word) { return holds_word(s, at, end, word, 0); };
    if (is_word(s, at, "rename"))
      return refuse(s, "RENAME",
                    "code that runs knows the old name, and so do the key families: add the new one, "
                    "backfill it, and drop the old one in the contract");
    if (is_word(s, at, "attach") || is_word(s, at, "detach") || is_word(s, at, "inherit") ||
        has_words(s, at, {"no", "inherit"}))
      return refuse(s, s.tokens[at].text, "rows come or go without an event");
    if (is_word(s, at, "alter")) return judge_alter_column(s, at, end);
    if (is_word(s, at, "set") && (holds("unlogged") || holds("tablespace") || holds("schema") || holds("access")))
      return refuse(s, "SET " + s.tokens[at + 1].text,
                    "it takes the table out of the stream, or rewrites or renames it");
    if (is_word(s, at, "disable")) return refuse(s, "DISABLE", "the table's protection must stay on");
    if (is_word(s, at, "drop") && is_expand())
      return refuse(s, "DROP in an expand", "code that runs still uses it: put it into the contract");
    if (is_word(s, at, "add")) judge_add(s, table, at, end);
  }

  void judge_alter_column(const SqlStatement& s, size_t at, size_t end) {
    const auto holds = [&](std::string_view word) { return holds_word(s, at, end, word, 0); };
    if (holds("type") && holds("using")) return refuse(s, "ALTER COLUMN TYPE … USING", kNewColumn);
    if (!is_expand()) return;
    if (holds("not") && holds("set"))
      refuse(s, "SET NOT NULL in an expand",
             "writers that run do not give the column: ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID and VALIDATE "
             "it in the contract, then SET NOT NULL");
    if (holds("drop") && holds("default"))
      refuse(s, "DROP DEFAULT in an expand", "writers that run rely on it: put it into the contract");
  }

  void judge_add(const SqlStatement& s, const std::string& table, size_t at, size_t end) {
    if (created_.contains(table)) return;
    const auto holds = [&](std::string_view word) { return holds_word(s, at, end, word, 0); };
    const bool is_constraint = is_word(s, at + 1, "constraint") || is_word(s, at + 1, "check") ||
                               is_word(s, at + 1, "foreign") || is_word(s, at + 1, "unique") ||
                               is_word(s, at + 1, "primary") || is_word(s, at + 1, "exclude");
    if (is_constraint) return judge_constraint(s, at, end);
    if (holds("generated"))
      return refuse(s, "a generated column",
                    "adding it rewrites the table, and its values are in no event: add a "
                    "column and backfill it");
    if (holds("serial") || holds("bigserial") || holds("smallserial"))
      return refuse(s, "a serial column", "a sequence does not move with a bucket: ids are made by the router");
    if (holds("not") && !holds("default"))
      return refuse(s, "a NOT NULL column without a default",
                    "it fails on rows that exist and breaks writers that run: "
                    "add it nullable, backfill it, SET NOT NULL in the contract");
    if (holds("unique") || holds("primary") || holds("references"))
      refuse(s, "a column with a constraint",
             "the table is locked while it is checked: add the column, then an index "
             "CONCURRENTLY or the constraint NOT VALID");
  }

  void judge_constraint(const SqlStatement& s, size_t at, size_t end) {
    const auto holds = [&](std::string_view word) { return holds_word(s, at, end, word, 0); };
    if (holds("check") || holds("foreign")) {
      if (!holds("valid"))
        refuse(s, "ADD CONSTRAINT",
               "the table is locked while every row is checked: add it NOT VALID, and VALIDATE "
               "CONSTRAINT in the contract");
      return;
    }
    if (!holds("using") || holds("exclude"))
      refuse(s, "ADD CONSTRAINT",
             "the table is locked while its index is built: CREATE UNIQUE INDEX CONCURRENTLY in an "
             "earlier migration, then ADD CONSTRAINT … USING INDEX");
  }

  void judge_drop(const SqlStatement& s) {
    if (is_expand()) return refuse(s, "DROP in an expand", "code that runs still uses it: put it into the contract");
    if (is_word(s, 1, "schema") || is_word(s, 1, "owned") || is_word(s, 1, "publication") || is_word(s, 1, "database"))
      return refuse(s, "DROP " + s.tokens[1].text,
                    "tables would go with their rows, and no event would say so: DROP "
                    "TABLE each one after a backfill has deleted its rows");
    if (is_concurrent(s) && !has_words(s, 3, {"if", "exists"}))
      refuse(s, "DROP INDEX CONCURRENTLY", "write IF EXISTS: it may be run again after an interruption");
  }

  static constexpr std::array<std::string_view, 9> kTransactionWords{
      "begin", "start", "commit", "end", "rollback", "savepoint", "release", "abort", "prepare"};
  const MigrationFile& file_;
  std::set<std::string> created_;
  std::vector<std::string> findings_;
};

}  // namespace

std::vector<std::string> check_ddl(const MigrationFile& file) {
  return Judge(file).run();
}

bool is_concurrent(const SqlStatement& s) {
  return has_words(s, 0, {"create", "index", "concurrently"}) ||
         has_words(s, 0, {"create", "unique", "index", "concurrently"}) ||
         has_words(s, 0, {"drop", "index", "concurrently"});
}

std::vector<std::string> dropped_tables_of(const std::vector<SqlStatement>& statements) {
  std::vector<std::string> tables;
  for (const SqlStatement& s : statements) {
    if (!has_words(s, 0, {"drop", "table"})) continue;
    size_t at = 2;
    skip_ifs(s, at);
    while (at < s.tokens.size()) {
      std::string name = read_name(s, at);
      if (name.empty()) break;
      tables.push_back(std::move(name));
      if (!is_word(s, at, ",")) break;
      ++at;
    }
  }
  return tables;
}

ConcurrentIndex concurrent_index_of(const SqlStatement& s) {
  size_t at = 0;
  while (at < s.tokens.size() && !s.tokens[at].is("concurrently")) ++at;
  ++at;
  skip_ifs(s, at);
  ConcurrentIndex index{is_word(s, 0, "create"), read_name(s, at), ""};
  if (is_word(s, at, "on")) index.table = name_after(s, at + 1);
  return index;
}

}  // namespace tidemark::shardrouter
