#include "client/strategy/staged_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/parse.h"

namespace tidemark::client {
namespace {

// Behind white space and comments.
std::string_view skip_blank(std::string_view sql) {
  while (!sql.empty()) {
    size_t skip = 0;
    if (std::isspace(static_cast<unsigned char>(sql[0])) != 0) {
      skip = 1;
    } else if (sql.starts_with("--")) {
      skip = sql.find('\n');
    } else if (sql.starts_with("/*")) {
      skip = sql.find("*/");
      if (skip != std::string_view::npos) skip += 2;
    } else {
      break;
    }
    sql.remove_prefix(std::min(skip, sql.size()));
  }
  return sql;
}

std::string first_word(std::string_view sql) {
  sql = skip_blank(sql);
  std::string word;
  for (const char c : sql) {
    if (std::isalpha(static_cast<unsigned char>(c)) == 0) break;
    word += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return word;
}

std::string_view without_end(std::string_view sql) {
  while (!sql.empty() && (sql.back() == ';' || std::isspace(static_cast<unsigned char>(sql.back())) != 0))
    sql.remove_suffix(1);
  return sql;
}

}  // namespace

Result<StagedStatement> stage_statement(shardrouter::Statement statement, std::string_view key, uint64_t stage) {
  const std::string word = first_word(statement.sql);
  if (word != "INSERT" && word != "UPDATE" && word != "DELETE") {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a write-through ends with an INSERT, UPDATE or DELETE … RETURNING of the key's row, not "
                            "with '{}': use async_update for other statements",
                            statement.sql.substr(0, 60)));
  }
  StagedStatement staged;
  staged.is_delete = word == "DELETE";
  const size_t count = statement.params.size();
  staged.statement.sql = fmt::format(
      "WITH tm_row AS (\n{}\n) SELECT tm_row.*, pg_logical_emit_message(true, 'cache.stage', ${}::text || E'\\n' || "
      "${}::text) AS {} FROM tm_row",
      without_end(statement.sql), count + 1, count + 2, kStagedColumn);
  staged.statement.params = std::move(statement.params);
  staged.statement.params.emplace_back(std::string(key));
  staged.statement.params.emplace_back(std::to_string(stage));
  return staged;
}

void drop_staged_column(shardrouter::ResultSet& set) {
  if (set.columns.empty() || set.columns.back() != kStagedColumn) return;
  set.columns.pop_back();
  for (auto& row : set.rows) row.pop_back();
}

std::string make_stage(const Stage& stage) {
  const std::string numbers[] = {std::to_string(stage.shard), std::to_string(stage.db_epoch), stage.lsn.to_string(),
                                 std::to_string(stage.xid), std::to_string(stage.stage)};
  std::vector<std::string_view> arguments{"STAGE"};
  arguments.insert(arguments.end(), std::begin(numbers), std::end(numbers));
  arguments.push_back(stage.key);
  arguments.push_back(stage.is_absent ? "" : stage.value);
  if (stage.is_absent) arguments.push_back("NEG");
  std::string out;
  append_request(out, arguments);
  return out;
}

std::string_view to_string(StageVerdict verdict) {
  switch (verdict) {
    case StageVerdict::kAccepted:
      return "accepted";
    case StageVerdict::kSuperseded:
      return "superseded";
    case StageVerdict::kNoStage:
      return "nostage";
    case StageVerdict::kFull:
      return "full";
    case StageVerdict::kDropped:
      return "dropped";
    case StageVerdict::kEpoch:
      return "epoch";
    case StageVerdict::kRefused:
      return "refused";
  }
  return "refused";
}

StageVerdict parse_stage(const RespValue& reply) {
  const auto words = split(reply.text, ' ');
  if (words.empty()) return StageVerdict::kRefused;
  if (reply.is_error()) return words[0] == "EPOCH" ? StageVerdict::kEpoch : StageVerdict::kRefused;
  if (words[0] == "STAGED") return StageVerdict::kAccepted;
  if (words[0] != "DROPPED") return StageVerdict::kRefused;
  const std::string_view reason = words.size() > 1 ? words[1] : "";
  if (reason == "SUPERSEDED") return StageVerdict::kSuperseded;
  if (reason == "NOSTAGE") return StageVerdict::kNoStage;
  if (reason == "FULL") return StageVerdict::kFull;
  return StageVerdict::kDropped;
}

}  // namespace tidemark::client
