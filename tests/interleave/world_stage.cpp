// The part of the world that stages rows: writers, and the node's installation of what they staged.
#include <fmt/format.h>

#include "base/family/family.h"
#include "replication/wal/commit_assembler.h"
#include "tests/interleave/world.h"

namespace tidemark::interleave {

using namespace cacheserver;
using namespace replication;

namespace {

const std::string kKey = "k:{a}";

WalMessage message_of(const KeyEvent& event, const std::string& content) {
  if (std::holds_alternative<uint64_t>(event)) return LogicalMessage{true, Lsn{0x180}, "cache.stage", content};
  return UpdateMessage{1, false, {}, {{TupleColumn::Kind::kText, "a"}}};
}

}  // namespace

std::optional<uint64_t> decode_stage(const std::vector<KeyEvent>& events, const Ingredients& ingredients) {
  using Rule = CommitAssembler::StageRule;
  const Keymap keymap = *Keymap::build({{.name = "k", .pattern = "k:{<id>}", .table = "s.t", .key_columns = {"id"}}});
  CommitAssembler assembler(keymap, ingredients.stage_last_event ? Rule::kLastEvent : Rule::kAnyEvent);
  constexpr Xid kReference = 725;
  auto say = [&](const WalMessage& message) { return *assembler.on_message(message, kReference); };
  say(BeginMessage{Lsn{0x1F0}, 0, kReference});
  say(RelationMessage{1, "s", "t", 'd', {{true, "id", 25}}});
  for (const KeyEvent& event : events) {
    const auto* stage = std::get_if<uint64_t>(&event);
    say(message_of(event, stage == nullptr ? "" : fmt::format("{}\n{}", kKey, *stage)));
  }
  return say(CommitMessage{Lsn{0x1F0}, Lsn{0x200}, 0})->keys.at(0).stage;
}

uint32_t World::row(size_t commit) const {
  uint32_t value = 0;
  const Transaction& last = transactions[commit];
  for (size_t i = 0; i < transactions.size(); ++i) {
    const Transaction& t = transactions[i];
    bool is_earlier = t.touches_key && t.shard == last.shard && t.db_epoch == last.db_epoch;
    if (is_earlier && t.end_lsn <= last.end_lsn) value |= uint32_t{1} << i;
  }
  return value;
}

uint32_t World::commits_on_key() const {
  uint32_t commits = 0;
  for (size_t i = 0; i < transactions.size(); ++i) commits |= transactions[i].touches_key ? uint32_t{1} << i : 0;
  return commits;
}

// The transaction of this id in this database; transactions.size(): none committed.
size_t World::committed(Xid xid, DbEpoch db_epoch) const {
  size_t of = 0;
  for (; of < transactions.size(); ++of) {
    const Transaction& t = transactions[of];
    if (t.xid == xid && t.db_epoch == db_epoch && t.is_recorded) break;
  }
  return of;
}

void World::stage(const Stage& stage) {
  const ShardTide* tide = node.find_shard(owner.shard);
  const bool has_epoch = tide != nullptr && tide->db_epoch() == stage.db_epoch;
  if (!has_epoch) return;  // -EPOCH
  if (!stage.bound.is_zero()) {
    FreshnessState::Commit hint{owner.shard, stage.db_epoch, stage.xid, stage.bound, true, {}};
    if (node.invalidate(kKeyHash, owner, hint, entry ? &entry->claims : nullptr, now)) entry.reset();
    if (!node.is_leased(kKeyHash, now)) drop_lease();
    const size_t of = committed(stage.xid, stage.db_epoch);
    if (of < transactions.size()) applied |= uint32_t{1} << of;
  }
  StagedValue value;
  value.key_hash = kKeyHash;
  value.key = kKey;
  value.value = std::to_string(stage.value);
  value.ttl = std::chrono::seconds(60);
  value.domain = {owner.shard, stage.db_epoch, owner.epoch};
  value.xid = stage.xid;
  value.stage = stage.stage;
  value.end_bound = stage.bound;
  deleted_stages.erase(stage.stage);
  node.stage(std::move(value), now);
  install_settled();
}

void World::del() {
  node.forget_key(kKeyHash);
  drop_lease();
  entry.reset();
  for (const Transaction& t : transactions) {
    if (t.stage) deleted_stages.insert(*t.stage);
  }
}

void World::install_settled() {
  while (auto staged = node.take_settled(owner.shard)) install(*staged);
}

void World::install(const StagedValue& staged) {
  const bool had_valid = entry && node.is_valid(entry->claims, owner);
  auto claims = node.on_install(staged, owner, entry ? &entry->claims : nullptr);
  if (!claims) return;
  const auto value = static_cast<uint32_t>(std::stoul(staged.value));
  const DbEpoch db_epoch = node.find_shard(owner.shard)->db_epoch();
  const size_t of = committed(staged.xid, db_epoch);
  if (of == transactions.size()) {
    broken =
        fmt::format("W1: a value staged for xid {} was installed; no such transaction is in this database", staged.xid);
  } else if (value != row(of)) {
    broken = fmt::format("W1: what xid {} committed is not what was installed for it", staged.xid);
  } else if (!transactions[of].is_visible) {
    broken = fmt::format("W2: the row of xid {} was installed before the primary shows it", staged.xid);
  }
  if (had_valid && (entry->value & ~value & commits_on_key()) != 0)
    broken = "W3: a valid entry was replaced by a row that lacks a commit";
  if (had_valid && claims->lo < entry->claims.lo) broken = "M1: a valid entry was replaced by one with a smaller lo";
  if (deleted_stages.contains(staged.stage)) broken = "W4: what was parked before a DEL came back after it";
  ++installed;
  entry = Stored{*claims, value};
  if (!node.is_valid(*claims, owner)) broken = "V1: a staged value was installed and is no hit";
}

}  // namespace tidemark::interleave
