#include "cacheserver/command/invalidation_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <vector>

#include "base/hash.h"
#include "base/slot.h"
#include "cacheserver/command/freshness_arguments.h"
#include "cacheserver/command/stage_command.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kTransactionsMax = 1024;
constexpr size_t kKeysMax = 4096;
constexpr size_t kMovedMax = 4096;
constexpr size_t kBatchBytesMax = 4u << 20;

struct Transaction {
  Xid xid = 0;
  Lsn end_lsn;
  int64_t commit_us = 0;
  Arguments keys;
};

struct StagedKey {
  Xid xid = 0;
  std::string_view key;
  uint64_t stage = 0;
  auto operator<=>(const StagedKey&) const = default;
};
using StagedKeys = std::vector<StagedKey>;  // ascending

std::optional<uint64_t> find_stage(const StagedKeys& staged, Xid xid, std::string_view key) {
  auto found = std::ranges::lower_bound(staged, StagedKey{xid, key, 0});
  if (found == staged.end() || found->xid != xid || found->key != key) return std::nullopt;
  return found->stage;
}

struct MovedBucket {
  Lsn end_lsn;
  Bucket bucket = 0;
  BucketEpoch epoch = 0;
};

struct Batch {
  ShardId shard = 0;
  BatchHead head;
  uint32_t slots_version = 0;
  bool is_replay = false;
  std::vector<Transaction> transactions;
  size_t keys = 0;
  StagedKeys staged;
  std::vector<MovedBucket> moved;
};

// [STAGED n (xid key stage)×n]: each must be a key of this message.
void read_staged(ArgumentReader& in, Batch& batch) {
  auto count = static_cast<size_t>(in.number_up_to("the number of STAGED", kKeysMax));
  batch.staged.reserve(count);
  for (size_t i = 0; i < count && !in.failed(); ++i) {
    StagedKey staged;
    staged.xid = in.number<Xid>("xid of STAGED");
    staged.key = in.text("key of STAGED");
    staged.stage = in.number<uint64_t>("stage of STAGED");
    batch.staged.push_back(staged);
  }
  if (in.failed()) return;
  std::ranges::sort(batch.staged);
  size_t named = 0;
  for (const Transaction& transaction : batch.transactions) {
    for (std::string_view key : transaction.keys) named += find_stage(batch.staged, transaction.xid, key) ? 1 : 0;
  }
  if (named < count) in.fail(fmt::format("ERR STAGED names {} keys, {} of them stand in this batch", count, named));
}

// [MOVED n (end_lsn bucket be)×n]
void read_moved(ArgumentReader& in, Batch& batch) {
  auto count = static_cast<size_t>(in.number_up_to("the number of MOVED", kMovedMax));
  batch.moved.reserve(count);
  for (size_t i = 0; i < count && !in.failed(); ++i) {
    MovedBucket moved;
    moved.end_lsn = in.lsn("end_lsn of MOVED");
    moved.bucket = static_cast<Bucket>(in.number_up_to("bucket of MOVED", kBucketCount - 1));
    moved.epoch = in.number<BucketEpoch>("bucket_epoch of MOVED");
    if (moved.end_lsn > batch.head.last_lsn) {
      in.fail(fmt::format("ERR end_lsn {} of MOVED is beyond last_lsn {}", moved.end_lsn.to_string(),
                          batch.head.last_lsn.to_string()));
    }
    batch.moved.push_back(moved);
  }
}

// Each at most once, in this order.
void read_options(ArgumentReader& in, Batch& batch) {
  std::string_view word = in.text("option");
  if (word == "STAGED") {
    read_staged(in, batch);
    if (in.failed() || in.left() == 0) return;
    word = in.text("option");
  }
  if (word == "MOVED")
    read_moved(in, batch);
  else
    in.fail(fmt::format("ERR {} follows where STAGED or MOVED may stand, once each and in this order", quoted(word)));
  if (!in.failed() && in.left() > 0) in.fail(fmt::format("ERR {} arguments follow the last MOVED", in.left()));
}

void read_transactions(ArgumentReader& in, Arguments arguments, size_t count, Batch& batch) {
  batch.transactions.reserve(count);
  Lsn previous;
  for (size_t i = 0; i < count && !in.failed(); ++i) {
    Transaction transaction;
    transaction.xid = in.number<Xid>("xid");
    if (transaction.xid == 0) in.fail("ERR xid must be the transaction's 64-bit id, not 0");
    transaction.end_lsn = in.lsn("end_lsn");
    transaction.commit_us = static_cast<int64_t>(in.number_up_to("commit_us", INT64_MAX));
    auto keys = static_cast<size_t>(in.number_up_to("nkeys", kKeysMax));
    if (keys > in.left())
      in.fail(fmt::format("ERR nkeys of transaction {} is {}, {} arguments follow", transaction.xid, keys, in.left()));
    if (transaction.end_lsn > batch.head.last_lsn) {
      in.fail(fmt::format("ERR end_lsn {} is beyond last_lsn {}", transaction.end_lsn.to_string(),
                          batch.head.last_lsn.to_string()));
    }
    if (transaction.end_lsn < previous)
      in.fail(fmt::format("ERR end_lsn {} stands behind {}: not in commit order", transaction.end_lsn.to_string(),
                          previous.to_string()));
    if (in.failed()) return;
    previous = transaction.end_lsn;
    transaction.keys = arguments.subspan(arguments.size() - in.left(), keys);
    in.skip(keys);
    batch.keys += keys;
    batch.transactions.push_back(transaction);
  }
  if (batch.keys > kKeysMax) in.fail(fmt::format("ERR a batch has at most {} keys, this one {}", kKeysMax, batch.keys));
  if (!in.failed() && in.left() > 0) read_options(in, batch);
}

Batch read_batch(ArgumentReader& in, Arguments arguments) {
  Batch batch;
  batch.shard = in.number<ShardId>("shard");
  batch.head.db_epoch = in.number<DbEpoch>("db_epoch");
  batch.slots_version = in.number<uint32_t>("slots_version");
  batch.head.prev_lsn = in.lsn("prev_lsn");
  batch.head.last_lsn = in.lsn("last_lsn");
  uint64_t more = in.number<uint32_t>("more");  // 2 * part, plus 1 if more parts follow
  batch.head.part = more / 2;
  batch.head.has_more = more % 2 == 1;
  batch.is_replay = in.flag("replay");
  auto count = static_cast<size_t>(in.number_up_to("ntx", kTransactionsMax));
  if (batch.head.last_lsn < batch.head.prev_lsn) in.fail("ERR last_lsn is before prev_lsn");
  size_t bytes = 0;
  for (std::string_view argument : arguments) bytes += argument.size();
  if (bytes > kBatchBytesMax)
    in.fail(fmt::format("ERR a batch has at most {} bytes, this one {}", kBatchBytesMax, bytes));
  if (!in.failed()) read_transactions(in, arguments, count, batch);
  return batch;
}

// True if the sender's slot table is not older than ours; else answers.
bool has_current_map(CommandContext& context, uint32_t slots_version) {
  uint32_t ours = context.worker.slots_version();
  if (slots_version >= ours) return true;
  context.reply.error(
      fmt::format("STALEMAP {} is the slots_version here, yours is {}; reload the topology", ours, slots_version));
  return false;
}

// True if the command was applied; else answers.
bool is_applied(CommandContext& context, ShardId shard, DbEpoch db_epoch, TideAdmission admission) {
  const ShardTide* found = context.freshness.find_shard(shard);
  switch (admission) {
    case TideAdmission::kApplied:
      return true;
    case TideAdmission::kGap:
      context.reply.error(fmt::format("GAP {}", (found == nullptr ? Lsn{} : found->complete_through()).to_string()));
      return false;
    case TideAdmission::kOldEpoch:
    case TideAdmission::kNewEpoch:
      context.reply.error(fmt::format("EPOCH {} is the db_epoch of shard {} here, yours is {}",
                                      found == nullptr ? 0 : found->db_epoch(), shard, db_epoch));
      return false;
  }
  return false;
}

void reply_position(CommandContext& context, ShardId shard) {
  context.reply.array(2);
  context.reply.bulk(context.freshness.find_shard(shard)->complete_through().to_string());
  context.reply.integer(static_cast<int64_t>(context.freshness.stamp(context.now)));
}

// True if the key had an entry.
bool invalidate_key(CommandContext& context, const FreshnessState::Commit& commit, std::string_view key) {
  Entry* entry = context.keyspace.peek(key, context.now);
  std::optional<EntryClaims> claims;
  if (entry != nullptr && entry->has_claims()) claims = entry->claims();
  auto owner = context.worker.database_of_slot(slot_of_key(key));
  bool must_drop = context.freshness.invalidate(hash64(key), owner, commit, claims ? &*claims : nullptr, context.now);
  if (entry == nullptr) return false;
  // An entry without claims on such a key was there before its family: nothing vouches for it.
  if (must_drop || !claims) context.keyspace.erase(key, context.now);
  return true;
}

}  // namespace

size_t invalidate_keys(CommandContext& context, const FreshnessState::Commit& commit, Arguments keys) {
  size_t found = 0;
  for (std::string_view key : keys) found += invalidate_key(context, commit, key) ? 1 : 0;
  return found;
}

// INVALB p e sv prev_lsn last_lsn more replay ntx (xid end_lsn commit_us nkeys key …)×ntx [STAGED n (xid key stage)×n]
//        [MOVED n (end_lsn bucket be)×n]
void invalb(CommandContext& context, Arguments arguments) {
  ArgumentReader in(arguments);
  Batch batch = read_batch(in, arguments);
  if (in.failed()) return context.reply.error(in.error());
  if (!has_current_map(context, batch.slots_version)) return;
  TideAdmission admission = context.freshness.admit(batch.shard, batch.head);
  if (!is_applied(context, batch.shard, batch.head.db_epoch, admission)) return;
  for (const Transaction& transaction : batch.transactions) {
    FreshnessState::Commit commit{batch.shard, batch.head.db_epoch, transaction.xid, transaction.end_lsn, false};
    for (std::string_view key : transaction.keys) {
      commit.stage = find_stage(batch.staged, transaction.xid, key);
      invalidate_key(context, commit, key);
    }
    if (transaction.commit_us > 0) {
      context.freshness.record_lag(context.unix_now.value * 1000 - transaction.commit_us, batch.is_replay);
    }
  }
  for (const MovedBucket& moved : batch.moved)
    context.freshness.bucket_moved(moved.bucket, moved.epoch, batch.shard, moved.end_lsn);
  context.freshness.advance(batch.shard, batch.head, batch.keys, context.now);
  install_settled(context, batch.shard);
  reply_position(context, batch.shard);
}

// FENCE p e sv prev_lsn lsn settled snapshot echo
void fence(CommandContext& context, Arguments arguments) {
  ArgumentReader in(arguments);
  auto shard = in.number<ShardId>("shard");
  FenceMessage message;
  message.db_epoch = in.number<DbEpoch>("db_epoch");
  auto slots_version = in.number<uint32_t>("slots_version");
  message.prev_lsn = in.lsn("prev_lsn");
  message.lsn = in.lsn("lsn");
  message.settled = in.lsn("settled");
  message.snapshot = in.snapshot("snapshot");
  auto echo = in.number<uint64_t>("echo");
  if (message.lsn < message.prev_lsn) in.fail("ERR lsn is before prev_lsn");
  if (!message.settled.is_zero() && !message.snapshot) {
    in.fail(fmt::format("ERR settled {} needs the snapshot in which it is visible; send 0/0 and - if there is none",
                        message.settled.to_string()));
  }
  if (in.failed()) return context.reply.error(in.error());
  if (!has_current_map(context, slots_version)) return;
  if (echo != 0) {
    message.echo = context.freshness.instant_of_stamp(echo, context.now);
    if (!message.echo) ++context.freshness.counters().foreign_echoes;
  }
  // A sender with a newer slot table may leave out keys that are still served here: no bound from it.
  if (slots_version > context.worker.slots_version()) message.echo.reset();
  TideAdmission admission = context.freshness.fence(shard, message, context.now);
  if (!is_applied(context, shard, message.db_epoch, admission)) return;
  install_settled(context, shard);
  reply_position(context, shard);
}

// EPOCH p e sv prev_e switch_lsn
void epoch(CommandContext& context, Arguments arguments) {
  ArgumentReader in(arguments);
  auto shard = in.number<ShardId>("shard");
  auto db_epoch = in.number<DbEpoch>("db_epoch");
  auto slots_version = in.number<uint32_t>("slots_version");
  auto prev_epoch = in.number<DbEpoch>("prev_e");
  Lsn switch_lsn = in.lsn("switch_lsn");
  if (switch_lsn.is_zero()) in.fail("ERR switch_lsn 0/0 is no position of a promotion");
  if (prev_epoch >= db_epoch) in.fail("ERR prev_e is not below the db_epoch that succeeds it");
  if (in.failed()) return context.reply.error(in.error());
  if (!has_current_map(context, slots_version)) return;
  TideAdmission admission = context.freshness.succeed(shard, prev_epoch, db_epoch, switch_lsn);
  if (is_applied(context, shard, db_epoch, admission)) reply_position(context, shard);
}

// FENCEALL p e sv lsn
void fenceall(CommandContext& context, Arguments arguments) {
  ArgumentReader in(arguments);
  auto shard = in.number<ShardId>("shard");
  auto db_epoch = in.number<DbEpoch>("db_epoch");
  auto slots_version = in.number<uint32_t>("slots_version");
  Lsn lsn = in.lsn("lsn");
  if (lsn.is_zero()) in.fail("ERR lsn 0/0 is no position to join at");
  if (in.failed()) return context.reply.error(in.error());
  if (!has_current_map(context, slots_version)) return;
  if (!context.freshness.has_room_for_shard(shard))
    return context.reply.error("ERR this node follows as many shards as it may");
  bool joined = context.freshness.fence_all(shard, db_epoch, lsn);
  if (is_applied(context, shard, db_epoch, joined ? TideAdmission::kApplied : TideAdmission::kOldEpoch)) {
    reply_position(context, shard);
  }
}

// TIDE
void tide(CommandContext& context, Arguments) {
  auto joined = context.freshness.joined_shards();
  RespWriter& reply = context.reply;
  reply.array(joined.size());
  for (ShardId id : joined) {
    const ShardTide& shard = *context.freshness.find_shard(id);
    auto bound = shard.bound(context.now);
    reply.array(6);
    reply.integer(id);
    reply.integer(shard.db_epoch());
    reply.bulk(shard.complete_through().to_string());
    reply.bulk(shard.settled().to_string());
    reply.bulk(shard.floor().lsn.to_string());
    reply.integer(bound ? (bound->count() + 999) / 1000 : -1);
  }
}

}  // namespace tidemark::cacheserver
