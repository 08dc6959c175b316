#include "replication/wal/commit_assembler.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/parse.h"
#include "replication/wal/widen_xid.h"

namespace tidemark::replication {
namespace {

bool is_too_large(const std::vector<InvalidatedKey>& keys) {
  size_t bytes = 0;
  for (const auto& key : keys) {
    if (key.key.size() > CommitAssembler::kKeyBytesMax) return true;
    bytes += key.key.size();
  }
  return keys.size() > CommitAssembler::kCommitKeysMax || bytes > CommitAssembler::kCommitKeyBytesMax;
}

// Of each key's events the last stays: it alone decides about the key's stage.
void remove_repeats(std::vector<InvalidatedKey>& keys, CommitAssembler::StageRule rule) {
  std::vector<uint32_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, [&](uint32_t a, uint32_t b) {
    int compared = keys[a].key.compare(keys[b].key);
    return compared != 0 ? compared < 0 : a < b;
  });
  std::vector<InvalidatedKey> kept;
  for (uint32_t at : order) {
    InvalidatedKey& event = keys[at];
    if (kept.empty() || kept.back().key != event.key)
      kept.push_back(std::move(event));
    else if (event.stage || rule == CommitAssembler::StageRule::kLastEvent)
      kept.back().stage = event.stage;
  }
  keys = std::move(kept);
}

// Of each bucket the greatest epoch.
void keep_newest(std::vector<MovedBucket>& moved) {
  std::ranges::sort(moved, [](const MovedBucket& a, const MovedBucket& b) {
    return a.bucket != b.bucket ? a.bucket < b.bucket : a.epoch > b.epoch;
  });
  auto repeats = std::ranges::unique(moved, {}, &MovedBucket::bucket);
  moved.erase(repeats.begin(), repeats.end());
}

template <typename Message>
constexpr bool kIsIgnored = std::is_same_v<Message, TypeMessage>;

}  // namespace

Result<std::optional<Commit>> CommitAssembler::on_message(const WalMessage& message, Xid xid_reference) {
  if (const auto* commit = std::get_if<CommitMessage>(&message)) {
    auto finished = finish(*commit);
    if (!finished) return std::unexpected(finished.error());
    return std::optional<Commit>(std::move(*finished));
  }
  Status status = std::visit(
      [&]<typename Message>(const Message& m) -> Status {
        if constexpr (std::is_same_v<Message, BeginMessage>)
          return apply(m, xid_reference);
        else if constexpr (kIsIgnored<Message> || std::is_same_v<Message, CommitMessage>)
          return {};
        else
          return apply(m);
      },
      message);
  if (!status) return std::unexpected(status.error());
  return std::optional<Commit>();
}

Status CommitAssembler::apply(const BeginMessage& message, Xid xid_reference) {
  if (current_) return fail(ErrorCode::kCorrupt, "Begin inside a transaction");
  current_.emplace();
  current_->xid = widen_xid(message.xid_low, xid_reference);
  keys_checked_ = message_bytes_ = 0;
  is_of_move_ = false;
  return {};
}

// Stands right behind Begin.
Status CommitAssembler::apply(const OriginMessage& message) {
  if (!current_) return fail(ErrorCode::kCorrupt, "Origin outside a transaction");
  is_of_move_ = message.name.starts_with(kMoveOriginPrefix);
  return {};
}

Status CommitAssembler::apply(const RelationMessage& message) {
  Keymap::Binding binding = keymap_->bind(message);
  refusals_.insert(refusals_.end(), binding.refusals.begin(), binding.refusals.end());
  bindings_[message.id] = std::move(binding);
  return {};
}

Status CommitAssembler::apply(const InsertMessage& message) {
  auto binding = binding_for(message.relation);
  if (!binding) return std::unexpected(binding.error());
  return add_tuple(**binding, message.after, nullptr);
}

Status CommitAssembler::apply(const UpdateMessage& message) {
  auto binding = binding_for(message.relation);
  if (!binding) return std::unexpected(binding.error());
  if (message.has_before) {
    if (Status status = add_tuple(**binding, message.before, nullptr); !status) return status;
  }
  return add_tuple(**binding, message.after, message.has_before ? &message.before : nullptr);
}

Status CommitAssembler::apply(const DeleteMessage& message) {
  auto binding = binding_for(message.relation);
  if (!binding) return std::unexpected(binding.error());
  return add_tuple(**binding, message.before, nullptr);
}

Status CommitAssembler::apply(const TruncateMessage& message) {
  for (RelationId relation : message.relations) {
    auto binding = binding_for(relation);
    if (!binding) return std::unexpected(binding.error());
    if (!(*binding)->families.empty()) invalidate_all();
  }
  return {};
}

Status CommitAssembler::apply(const LogicalMessage& message) {
  if (!message.is_transactional) return {};
  if (!current_) return fail(ErrorCode::kCorrupt, "transactional message outside a transaction");
  if (message.prefix == kInvalidationPrefix) add_explicit_keys(message.content);
  if (message.prefix == kStagePrefix) add_staged_key(message.content);
  if (message.prefix == kDdlPrefix) invalidate_all();
  if (message.prefix == kMovedPrefix) add_moved_buckets(message.content);
  return {};
}

void CommitAssembler::add_explicit_keys(std::string_view lines) {
  if (current_->invalidates_all) return;
  for (std::string_view key : split(lines, '\n')) {
    if (!key.empty()) add_message_key(key, std::nullopt);
  }
}

// FENCEALL, which a commit that invalidates all brings about, ends ownerships as well: nothing is lost by it.
void CommitAssembler::add_moved_buckets(std::string_view lines) {
  if (current_->invalidates_all) return;
  for (std::string_view line : split(lines, '\n')) {
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    const auto bucket = parse_u64(line.substr(0, space));
    const auto epoch = space == std::string_view::npos ? std::nullopt : parse_u64(line.substr(space + 1));
    if (!bucket || *bucket >= kBucketCount || !epoch || *epoch > UINT32_MAX) return invalidate_all();
    current_->moved.push_back({static_cast<Bucket>(*bucket), static_cast<BucketEpoch>(*epoch)});
    if (current_->moved.size() >= 2 * kBucketCount) keep_newest(current_->moved);
  }
}

// The key may hold a newline, the stage cannot.
void CommitAssembler::add_staged_key(std::string_view content) {
  if (current_->invalidates_all) return;
  size_t end = content.rfind('\n');
  std::string_view key = content.substr(0, end);
  if (key.empty()) return;
  auto stage = end == std::string_view::npos ? std::nullopt : parse_u64(content.substr(end + 1));
  add_message_key(key, stage);
}

void CommitAssembler::add_message_key(std::string_view key, std::optional<uint64_t> stage) {
  if (current_->invalidates_all) return;
  current_->keys.push_back({std::string(key), slot_of_key(key), stage});
  message_bytes_ += key.size();
  if (key.size() > kKeyBytesMax) return invalidate_all();
  shorten_keys();
}

Result<const Keymap::Binding*> CommitAssembler::binding_for(RelationId id) const {
  if (!current_) return fail(ErrorCode::kCorrupt, "row change outside a transaction");
  auto found = bindings_.find(id);
  if (found == bindings_.end()) {
    return fail(ErrorCode::kCorrupt, fmt::format("change of relation {} that was never described", id));
  }
  return &found->second;
}

Status CommitAssembler::add_tuple(const Keymap::Binding& binding, const Tuple& tuple, const Tuple* before) {
  if (tuple.size() != binding.column_count) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("tuple of {} columns for a relation of {}", tuple.size(), binding.column_count));
  }
  if (current_->invalidates_all || binding.families.empty() || is_of_move_) return {};
  if (!binding.refusals.empty()) {
    invalidate_all();
    return {};
  }
  if (keymap_->append_keys(binding, tuple, before, current_->keys) == Keymap::Outcome::kUnknownKeys) {
    invalidate_all();
    return {};
  }
  shorten_keys();
  return {};
}

// Removes repeats each time the list has doubled, so that a transaction that hammers one row stays small; and whenever
// messages, whose keys may be long, have brought as much as a commit may have.
void CommitAssembler::shorten_keys() {
  constexpr size_t kCheckFrom = 4096;
  if (current_->keys.size() < std::max(kCheckFrom, 2 * keys_checked_) && message_bytes_ <= kCommitKeyBytesMax) return;
  message_bytes_ = 0;
  remove_repeats(current_->keys, stage_rule_);
  keys_checked_ = current_->keys.size();
  if (is_too_large(current_->keys)) invalidate_all();
}

void CommitAssembler::invalidate_all() {
  current_->invalidates_all = true;
  current_->keys.clear();
  current_->moved.clear();
}

Result<Commit> CommitAssembler::finish(const CommitMessage& message) {
  if (!current_) return fail(ErrorCode::kCorrupt, "Commit outside a transaction");
  Commit commit = std::move(*current_);
  current_.reset();
  commit.end_lsn = message.end_lsn;
  commit.commit_us = message.commit_us;
  keep_newest(commit.moved);
  remove_repeats(commit.keys, stage_rule_);
  if (is_too_large(commit.keys)) {
    commit.invalidates_all = true;
    commit.keys.clear();
    commit.moved.clear();
  }
  return commit;
}

}  // namespace tidemark::replication
