#include "shardrouter/schema/migration_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "base/parse.h"
#include "base/sha1.h"
#include "shardrouter/schema/backfill_sql.h"
#include "shardrouter/schema/ddl_rules.h"

namespace tidemark::shardrouter {
namespace {

constexpr std::string_view kDirective = "-- tidemark:";

struct FileName {
  std::string id;
  Phase phase = Phase::kExpand;
};

std::optional<FileName> parse_file_name(std::string_view name) {
  if (!name.ends_with(".sql")) return std::nullopt;
  name.remove_suffix(4);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto phase = parse_phase(name.substr(dot + 1));
  if (!phase || !number_of_migration(name.substr(0, dot))) return std::nullopt;
  return FileName{std::string(name.substr(0, dot)), *phase};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

Status read_directives(std::string_view text, MigrationFile& file) {
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with(kDirective)) continue;
    const std::string_view directive = trimmed(line.substr(kDirective.size()));
    const size_t space = directive.find(' ');
    const std::string_view word = directive.substr(0, space);
    const std::string table(space == std::string_view::npos ? "" : trimmed(directive.substr(space)));
    const bool is_known = word == "adopt" || word == "reference";
    if (!is_known || table.empty() || table.find(' ') != std::string::npos || file.phase != Phase::kExpand)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\": known are \"{} adopt TABLE\" and \"{} reference TABLE\", in an expand", line,
                              kDirective, kDirective));
    (word == "adopt" ? file.adopted_tables : file.reference_tables).push_back(table);
  }
  return {};
}

Status check_backfill(const MigrationFile& file) {
  if (file.statements.size() != 1)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a backfill is one UPDATE or DELETE, {} statements stand here", file.statements.size()));
  const auto read = read_backfill(file.statements.front());
  if (!read) return std::unexpected(read.error());
  return {};
}

Result<MigrationFile> read_file(Phase phase, const std::string& name, const std::string& text) {
  MigrationFile file;
  file.phase = phase;
  file.name = name;
  file.checksum = sha1_hex(text);
  auto statements = split_statements(text);
  if (!statements) return std::unexpected(statements.error());
  file.statements = std::move(*statements);
  if (file.statements.empty()) return fail(ErrorCode::kInvalidArgument, "it holds no statement");
  const Status directives = read_directives(text, file);
  if (!directives) return std::unexpected(directives.error());
  if (phase == Phase::kBackfill) {
    const Status checked = check_backfill(file);
    if (!checked) return std::unexpected(checked.error());
    return file;
  }
  const auto findings = check_ddl(file);
  if (!findings.empty()) {
    std::string all;
    for (const std::string& finding : findings) all += (all.empty() ? "" : "\n  ") + finding;
    return fail(ErrorCode::kInvalidArgument, all);
  }
  file.dropped_tables = dropped_tables_of(file.statements);
  file.is_concurrent = is_concurrent(file.statements.front());
  return file;
}

Status check_whole(const Migration& migration) {
  if (migration.undo && !migration.expand)
    return fail(ErrorCode::kInvalidArgument, migration.id + ": it has an undo, but no expand");
  return {};
}

}  // namespace

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::kExpand:
      return "expand";
    case Phase::kBackfill:
      return "backfill";
    case Phase::kContract:
      return "contract";
    case Phase::kUndo:
      return "undo";
  }
  return "?";
}

std::optional<Phase> parse_phase(std::string_view text) {
  for (const Phase phase : {Phase::kExpand, Phase::kBackfill, Phase::kContract, Phase::kUndo})
    if (to_string(phase) == text) return phase;
  return std::nullopt;
}

const MigrationFile* Migration::file(Phase phase) const {
  const auto& found = phase == Phase::kExpand     ? expand
                      : phase == Phase::kBackfill ? backfill
                      : phase == Phase::kContract ? contract
                                                  : undo;
  return found ? &*found : nullptr;
}

std::optional<uint64_t> number_of_migration(std::string_view id) {
  const size_t bar = id.find('_');
  if (bar == 0 || bar == std::string_view::npos || bar + 1 == id.size()) return std::nullopt;
  const bool is_plain = std::ranges::all_of(
      id, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-'; });
  std::string_view digits = id.substr(0, bar);
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  const auto number = parse_u64(digits);
  if (!is_plain || !number || *number == 0) return std::nullopt;
  return number;
}

Result<std::vector<Migration>> read_migrations(const std::vector<std::pair<std::string, std::string>>& files) {
  std::map<uint64_t, Migration> migrations;
  std::string wrong;
  const auto note = [&wrong](const std::string& what) { wrong += "\n  " + what; };
  for (const auto& [name, text] : files) {
    const auto parsed = parse_file_name(name);
    if (!parsed) {
      note(fmt::format("{}: its name must be NUMBER_NAME.PHASE.sql, PHASE one of expand, backfill, contract, undo",
                       name));
      continue;
    }
    auto file = read_file(parsed->phase, name, text);
    if (!file) {
      note(name + ": " + file.error().message);
      continue;
    }
    Migration& migration = migrations[*number_of_migration(parsed->id)];
    if (!migration.id.empty() && migration.id != parsed->id) {
      note(fmt::format("{}: its number is that of {}: give it the next free one", name, migration.id));
      continue;
    }
    migration.id = parsed->id;
    migration.number = *number_of_migration(parsed->id);
    auto& place = parsed->phase == Phase::kExpand     ? migration.expand
                  : parsed->phase == Phase::kBackfill ? migration.backfill
                  : parsed->phase == Phase::kContract ? migration.contract
                                                      : migration.undo;
    place = std::move(*file);
  }
  std::vector<Migration> sorted;
  for (auto& [number, migration] : migrations) {
    const Status whole = check_whole(migration);
    if (!whole) note(whole.error().message);
    sorted.push_back(std::move(migration));
  }
  if (!wrong.empty()) return fail(ErrorCode::kInvalidArgument, "migrations that cannot be run:" + wrong);
  return sorted;
}

}  // namespace tidemark::shardrouter
