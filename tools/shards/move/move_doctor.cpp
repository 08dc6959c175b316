#include "tools/shards/move/move_doctor.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::shards {
namespace {

constexpr double kSilentMs = 5000;

constexpr const char* kArtifacts =
    "SELECT 'slot', slot_name::text FROM pg_replication_slots WHERE slot_name LIKE 'mv\\_%' AND NOT temporary UNION "
    "ALL "
    "SELECT 'publication', pubname::text FROM pg_publication WHERE pubname LIKE 'mv\\_%' UNION ALL "
    "SELECT 'origin', roname FROM pg_replication_origin WHERE roname LIKE 'mv\\_%'";

// Does the move still need something of this name? Its own, or its rollback's.
bool is_of_move(const std::string& name, const std::string& move_id) {
  const std::string base = stream_name(move_id);
  return name == base || name == base + "_r" || name == base + "_c" || name == base + "_r_r" || name == base + "_r_c";
}

}  // namespace

Result<std::vector<MoveFinding>> examine_moves(const std::vector<ShardEnd>& ends) {
  const auto moves = read_moves(ends);
  if (!moves) return std::unexpected(moves.error());
  std::vector<MoveFinding> findings;
  for (const ShardEnd& end : ends) {
    auto link = PgLink::connect(fmt::format("shard {}", end.id), end.admin);
    if (!link) return std::unexpected(link.error());
    const auto artifacts = link->query(kArtifacts);
    if (!artifacts) return std::unexpected(artifacts.error());
    for (const auto& row : artifacts->rows) {
      const std::string name = row[1].value_or("");
      const bool is_needed = std::ranges::any_of(*moves, [&](const MoveRow& move) {
        return !move.has_ended &&
               (is_of_move(name, move.move_id) || (!move.undoes.empty() && is_of_move(name, move.undoes)));
      });
      if (is_needed) continue;
      findings.push_back({MoveFinding::Kind::kOrphan, end.id, row[0].value_or("") + " " + name, "",
                          "belongs to no move under way: tidemark-shards doctor --fix drops it"});
    }
  }
  for (const MoveRow& move : *moves) {
    if (move.role != "source") continue;
    const bool is_live = std::ranges::any_of(
        *moves, [&](const MoveRow& other) { return other.move_id == move.move_id && !other.has_ended; });
    if (!is_live || move.silent_ms < kSilentMs || (move.is_held && move.step == "moved")) continue;
    findings.push_back(
        {MoveFinding::Kind::kUndriven, move.shard,
         fmt::format("move {}: {}, nobody drives it for {:.0f} s", move.move_id, move.step, move.silent_ms / 1e3),
         move.move_id, fmt::format("tidemark-shards resume --id {0}, or abort --id {0}", move.move_id)});
  }
  return findings;
}

Status drop_orphan(const std::vector<ShardEnd>& ends, const MoveFinding& finding) {
  const ShardEnd* end = find_end(ends, finding.shard);
  if (!end) return fail(ErrorCode::kNotFound, "the shard is gone");
  auto link = PgLink::connect(fmt::format("shard {}", end->id), end->admin);
  if (!link) return std::unexpected(link.error());
  const size_t space = finding.what.find(' ');
  const std::string kind = finding.what.substr(0, space);
  const std::string name = finding.what.substr(space + 1);
  if (kind == "slot") return drop_slot(*link, name);
  if (kind == "publication") return drop_publication(*link, link->quote(name));
  return drop_origin(*link, name);
}

}  // namespace tidemark::shards
