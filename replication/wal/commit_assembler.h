// Puts the messages of the stream together into commits, with their keys.
//
// Lives as long as one replication connection: Postgres describes each relation anew on a new one. A change of a
// relation that was never described, a tuple of the wrong width, or a message out of place is kCorrupt: the connection
// is then given up and the stream read again from the last durable position.
// Transactional messages of prefix "cache.inval" add explicit keys, one a line. "cache.stage" (content
// "<key>\n<stage>") adds its key and, if it is the key's last event in the transaction, its stage: a later row change
// of the key, a later message for it, or a stage that is no number leave the key invalidated and nothing more.
// (Rolled-back subtransactions are not decoded at all.)
// "shard.moved" (lines "<bucket> <epoch>", from a trigger of shard.bucket) tells of moved buckets; a line that is not
// understood invalidates all. "cache.ddl" invalidates all: a statement has changed rows without an event for each.
// Other prefixes are ignored, as are non-transactional messages. Commits of a bucket move (origin "mv_…", a name kept
// for them) have no keys: a move's copy is no change of a value. What it applies at the target comes before the
// hand-over, and a proof names the epoch that only the hand-over gave the bucket, read in the proof's own snapshot;
// what it cleans belongs to buckets that no proof of this shard can name any more. Commits of every other origin are
// invalidated. Threads: one. I/O: none. Limits: kCommitKeysMax keys of kKeyBytesMax, kCommitKeyBytesMax in all; a
// commit beyond them invalidates all: a batch that no worker accepts would hold up everything behind it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "replication/wal/keymap.h"

namespace tidemark::replication {

class CommitAssembler {
 public:
  static constexpr size_t kCommitKeysMax = 262'144;
  static constexpr size_t kCommitKeyBytesMax = 16u << 20;  // of all keys of a commit
  static constexpr size_t kKeyBytesMax = 64u << 10;        // of one key: an INVALB must always hold it
  static constexpr std::string_view kInvalidationPrefix = "cache.inval";
  static constexpr std::string_view kStagePrefix = "cache.stage";
  static constexpr std::string_view kMovedPrefix = "shard.moved";
  static constexpr std::string_view kDdlPrefix = "cache.ddl";
  static constexpr std::string_view kMoveOriginPrefix = "mv_";
  static constexpr std::string_view kTickPrefix = "tidemark.tick";

  // kAnyEvent: a stage stands whatever follows it. Only the interleaving tests ask for it, to show why it must not.
  enum class StageRule : uint8_t { kLastEvent, kAnyEvent };

  // `keymap` outlives this object.
  explicit CommitAssembler(const Keymap& keymap, StageRule rule = StageRule::kLastEvent)
      : keymap_(&keymap), stage_rule_(rule) {}

  // A commit, once it is whole. `xid_reference`: any recent 64-bit xid of this server.
  Result<std::optional<Commit>> on_message(const WalMessage& message, Xid xid_reference);

  bool is_in_transaction() const { return current_.has_value(); }

  // Refusals of families since the last call, for the log.
  std::vector<std::string> take_refusals() { return std::exchange(refusals_, {}); }

 private:
  Status apply(const BeginMessage& message, Xid xid_reference);
  Status apply(const OriginMessage& message);
  Status apply(const RelationMessage& message);
  Status apply(const InsertMessage& message);
  Status apply(const UpdateMessage& message);
  Status apply(const DeleteMessage& message);
  Status apply(const TruncateMessage& message);
  Status apply(const LogicalMessage& message);
  Result<Commit> finish(const CommitMessage& message);

  Result<const Keymap::Binding*> binding_for(RelationId id) const;
  Status add_tuple(const Keymap::Binding& binding, const Tuple& tuple, const Tuple* before);
  void add_explicit_keys(std::string_view lines);
  void add_staged_key(std::string_view content);
  void add_moved_buckets(std::string_view lines);
  void add_message_key(std::string_view key, std::optional<uint64_t> stage);
  void shorten_keys();
  void invalidate_all();

  const Keymap* keymap_;
  StageRule stage_rule_;
  std::unordered_map<RelationId, Keymap::Binding> bindings_;
  std::optional<Commit> current_;
  bool is_of_move_ = false;   // the current one
  size_t keys_checked_ = 0;   // size up to which repeats were removed
  size_t message_bytes_ = 0;  // of keys that messages brought since then
  std::vector<std::string> refusals_;
};

}  // namespace tidemark::replication
