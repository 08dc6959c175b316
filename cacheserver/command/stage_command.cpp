#include "cacheserver/command/stage_command.h"

#include <fmt/format.h>

#include <utility>

#include "base/hash.h"
#include "base/parse.h"
#include "base/slot.h"
#include "cacheserver/command/freshness_arguments.h"
#include "cacheserver/command/freshness_support.h"
#include "cacheserver/command/invalidation_commands.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

// A fence comes 20 times a second: about a millisecond's work each.
constexpr size_t kInstalledPerCall = 1024;

struct StageMessage {
  FreshnessState::Commit commit;
  uint64_t stage = 0;
  std::string_view key, value;
  std::optional<uint64_t> ttl_ms;
  bool is_absent = false;
};

void read_options(ArgumentReader& in, StageMessage& message) {
  while (in.left() > 0) {
    std::string_view option = in.text("option");
    if (equals_ignore_case(option, "PX") && !message.ttl_ms) {
      message.ttl_ms = in.number_up_to("PX", kTtlMsMax);
      if (*message.ttl_ms == 0) in.fail("ERR PX must be at least 1 millisecond");
    } else if (equals_ignore_case(option, "NEG") && !message.is_absent) {
      message.is_absent = true;
      if (!message.value.empty()) in.fail("ERR NEG stages a row that is gone: the value must be empty");
    } else {
      in.fail(
          fmt::format("ERR STAGE does not know the option {} here; it takes PX ms and NEG, each once", quoted(option)));
    }
  }
}

StageMessage read_stage(ArgumentReader& in) {
  StageMessage message;
  message.commit.is_hint = true;
  message.commit.shard = in.number<ShardId>("shard");
  message.commit.db_epoch = in.number<DbEpoch>("db_epoch");
  message.commit.end_lsn = in.lsn("lsn");
  message.commit.xid = in.number<Xid>("xid");
  if (message.commit.xid == 0) in.fail("ERR xid must be the transaction's 64-bit id, not 0");
  message.stage = in.number<uint64_t>("stage");
  message.key = in.text("key");
  message.value = in.text("value");
  read_options(in, message);
  return message;
}

StagedValue value_of(const StageMessage& message, const DatabaseKey& database) {
  StagedValue value;
  value.key_hash = hash64(message.key);
  value.key = message.key;
  value.value = message.value;
  value.is_absent = message.is_absent;
  value.ttl = std::chrono::milliseconds(database.ttl_ms(message.ttl_ms, message.is_absent));
  value.domain = {message.commit.shard, message.commit.db_epoch, database.owner.epoch};
  value.xid = message.commit.xid;
  value.stage = message.stage;
  value.end_bound = message.commit.end_lsn;
  return value;
}

std::string refusal_of_stage(const CommandContext& context, const StageMessage& message,
                             const std::optional<DatabaseKey>& database) {
  if (!database) return no_family(message.key);
  if (database->owner.shard != message.commit.shard) {
    return fmt::format("ERR shard {} is not the key's: its bucket is in shard {} with bucket_epoch {}; reload the map",
                       message.commit.shard, database->owner.shard, database->owner.epoch);
  }
  return refusal_of_hint(context.freshness, message.commit, 1);
}

void install(CommandContext& context, const StagedValue& staged) {
  const Slot slot = slot_of_key(staged.key);
  const bool is_ours = context.worker.owns_slot(slot) && context.worker.database_family_of_key(staged.key) != nullptr;
  std::optional<EntryClaims> existing;
  if (Entry* entry = context.keyspace.peek(staged.key, context.now); entry != nullptr && entry->has_claims())
    existing = entry->claims();
  auto owner = is_ours ? context.worker.database_of_slot(slot) : std::nullopt;
  if (owner && context.freshness.has_moved(bucket_of_slot(slot), *owner)) owner.reset();
  auto claims = context.freshness.on_install(staged, owner, existing ? &*existing : nullptr);
  if (!claims) return;
  Keyspace::PutOptions put;
  put.expires_at = context.now + staged.ttl;
  put.claims = &*claims;
  if (context.keyspace.put(staged.key, staged.value, put, context.now) == nullptr) context.freshness.count_no_room();
}

}  // namespace

void install_settled(CommandContext& context, ShardId shard) {
  for (size_t i = 0; i < kInstalledPerCall; ++i) {
    auto staged = context.freshness.take_settled(shard);
    if (!staged) return;
    install(context, *staged);
  }
}

// STAGE p e lsn xid stage key value [PX ms] [NEG]
void stage(CommandContext& context, Arguments arguments) {
  ArgumentReader in(arguments);
  const StageMessage message = read_stage(in);
  if (in.failed()) return context.reply.error(in.error());
  const auto database = database_key(context.worker, message.key);
  const std::string refusal = refusal_of_stage(context, message, database);
  if (!refusal.empty()) return context.reply.error(refusal);

  if (!message.commit.end_lsn.is_zero()) invalidate_keys(context, message.commit, {&message.key, 1});
  const auto answer = context.freshness.stage(value_of(message, *database), context.now);
  install_settled(context, message.commit.shard);  // the stream may have been faster
  RespWriter& reply = context.reply;
  switch (answer) {
    case FreshnessState::StageAnswer::kStaged:
      return reply.simple("STAGED");
    case FreshnessState::StageAnswer::kSuperseded:
      return reply.simple("DROPPED SUPERSEDED");
    case FreshnessState::StageAnswer::kNoStage:
      return reply.simple("DROPPED NOSTAGE");
    case FreshnessState::StageAnswer::kFull:
      return reply.simple("DROPPED FULL");
    case FreshnessState::StageAnswer::kNotJoined:
      return reply.simple("DROPPED NOTJOINED");
  }
}

}  // namespace tidemark::cacheserver
