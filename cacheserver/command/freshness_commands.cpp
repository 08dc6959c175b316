// GETL, SETV, INVAL, VERIFY: what clients ask of the freshness protocol. docs/PROTOCOL.md states every byte.
//
// The commands of the invalidator stand in invalidation_commands.cpp, STAGE in stage_command.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/parse.h"
#include "base/slot.h"
#include "cacheserver/command/command.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/command/freshness_arguments.h"
#include "cacheserver/command/freshness_support.h"
#include "cacheserver/command/invalidation_commands.h"
#include "cacheserver/command/stage_command.h"
#include "cacheserver/freshness/freshness_state.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kInvalKeysMax = 1024;
constexpr Lsn kUnknownHi{UINT64_MAX};

int64_t bound_ms(std::optional<Duration> bound) {
  return bound ? (bound->count() + 999) / 1000 : -1;  // rounded up: the promise must hold
}

// The epoch of the answer is the shard's: an entry that an earlier one left is as good under it.
void reply_hit(CommandContext& context, const Entry& entry, const EntryClaims& claims, int64_t bound,
               DbEpoch db_epoch) {
  RespWriter& reply = context.reply;
  reply.array(claims.is_absent ? 5 : 6);
  reply.bulk(claims.is_absent ? "ABSENT" : "HIT");
  if (!claims.is_absent) reply_value(context, entry);
  reply.integer(bound);
  reply.bulk(claims.lo.to_string());
  reply.bulk(claims.hi.to_string());
  reply.integer(db_epoch);
}

void reply_bypass(RespWriter& reply, std::string_view reason, int64_t bound) {
  reply.array(3);
  reply.bulk("BYPASS");
  reply.bulk(reason);
  reply.integer(bound);
}

void reply_miss(CommandContext& context, const FreshnessState::Miss& miss) {
  RespWriter& reply = context.reply;
  switch (miss.kind) {
    case FreshnessState::Miss::Kind::kNotJoined:
      return reply_bypass(reply, "NOTJOINED", -1);
    case FreshnessState::Miss::Kind::kBusy:
      reply.array(2);
      reply.bulk("BUSY");
      reply.integer(std::max<int64_t>(1, to_millis(miss.retry_after)));
      return;
    case FreshnessState::Miss::Kind::kLease:
      reply.array(5);
      reply.bulk("MISS");
      reply.bulk(miss.lease);
      reply.bulk(miss.need.to_string());
      reply.integer(miss.visible ? 1 : 0);
      reply.bulk(miss.settled.to_string());
      return;
  }
}

struct GetlOptions {
  std::optional<uint64_t> max_stale_ms;
  std::optional<FreshnessState::After> after;
  std::optional<BucketOwner> owner;  // of the key's bucket, as the client knows it
};

GetlOptions read_getl_options(ArgumentReader& in) {
  GetlOptions options;
  while (in.left() > 0) {
    std::string_view option = in.text("option");
    if (equals_ignore_case(option, "MAXSTALE") && !options.max_stale_ms) {
      options.max_stale_ms = in.number_up_to("MAXSTALE", kTtlMsMax);
    } else if (equals_ignore_case(option, "AFTER") && !options.after) {
      auto db_epoch = in.number<DbEpoch>("AFTER's db_epoch");
      options.after = {db_epoch, in.lsn("AFTER's lsn")};
    } else if (equals_ignore_case(option, "OWNER") && !options.owner) {
      auto shard = in.number<ShardId>("OWNER's shard");
      options.owner = {shard, in.number<BucketEpoch>("OWNER's bucket_epoch")};
    } else {
      in.fail(
          fmt::format("ERR GETL does not know the option {} here; it takes MAXSTALE ms, AFTER e lsn and OWNER p be, "
                      "each once",
                      quoted(option)));
    }
  }
  return options;
}

// GETL key [MAXSTALE ms] [AFTER e lsn] [OWNER p be]
void getl(CommandContext& context, Arguments arguments) {
  ArgumentReader in(arguments);
  std::string_view key = in.text("key");
  GetlOptions options = read_getl_options(in);
  if (in.failed()) return context.reply.error(in.error());
  auto database = database_key(context.worker, key);
  if (!database) return context.reply.error(no_family(key));

  FreshnessState& freshness = context.freshness;
  const BucketOwner& owner = database->owner;
  const ShardTide* tide = freshness.find_shard(owner.shard);
  // The bucket has moved, and one of us does not know it yet: positions of two logs cannot be compared.
  if (options.owner && *options.owner != owner) {
    context.keyspace.count_miss();
    return reply_bypass(context.reply, "MOVED", bound_ms(freshness.bound(owner.shard, context.now)));
  }
  // Nor does this shard's tide mark speak of a bucket that its own log has given away.
  if (freshness.has_moved(bucket_of_slot(slot_of_key(key)), owner)) {
    context.keyspace.count_miss();
    ++freshness.counters().bypassed_moved;
    return reply_bypass(context.reply, "MOVED", -1);
  }
  const auto verdict =
      options.after ? freshness.translate(owner.shard, *options.after) : FreshnessState::AfterVerdict::kComparable;
  if (verdict != FreshnessState::AfterVerdict::kComparable) {
    context.keyspace.count_miss();
    const bool is_lost = verdict == FreshnessState::AfterVerdict::kLost;
    freshness.counters().lost_positions += is_lost;
    return reply_bypass(context.reply, is_lost ? "LOST" : "EPOCH", bound_ms(freshness.bound(owner.shard, context.now)));
  }
  Entry* entry = context.keyspace.peek(key, context.now);
  if (entry != nullptr && entry->has_claims()) {
    EntryClaims claims = entry->claims();
    const bool is_valid = freshness.is_valid(claims, owner);
    if (is_valid && (!options.after || freshness.contains_after(claims, *options.after))) {
      int64_t bound = bound_ms(freshness.bound(owner.shard, context.now));
      bool is_behind = options.max_stale_ms && (bound < 0 || static_cast<uint64_t>(bound) > *options.max_stale_ms);
      if (is_behind) return reply_bypass(context.reply, "BEHIND", bound);
      context.keyspace.count_hit(*entry, context.now);
      return reply_hit(context, *entry, claims, bound, tide->db_epoch());
    }
    ++(is_valid ? freshness.counters().hits_behind_session : freshness.counters().hits_revalidate);
  }
  context.keyspace.count_miss();
  FreshnessState::Miss miss = freshness.on_miss(hash64(key), owner, context.now);
  if (options.after) miss.need = std::max(miss.need, options.after->lsn);
  reply_miss(context, miss);
}

struct SetvOptions {
  std::optional<Lsn> hi;
  std::optional<uint64_t> ttl_ms;
  bool is_absent = false;
};

SetvOptions read_setv_options(ArgumentReader& in, const Proof& proof, std::string_view value) {
  SetvOptions options;
  while (in.left() > 0) {
    std::string_view option = in.text("option");
    if (equals_ignore_case(option, "HI") && !options.hi) {
      options.hi = in.lsn("HI");
      if (proof.kind != Proof::Kind::kReplica)
        in.fail("ERR HI belongs to an R proof; an S proof carries it as its last field");
      if (*options.hi < proof.lsn)
        in.fail(fmt::format("ERR HI {} is below the proof's LSN {}", options.hi->to_string(), proof.lsn.to_string()));
    } else if (equals_ignore_case(option, "PX") && !options.ttl_ms) {
      options.ttl_ms = in.number_up_to("PX", kTtlMsMax);
      if (*options.ttl_ms == 0) in.fail("ERR PX must be at least 1 millisecond");
    } else if (equals_ignore_case(option, "NEG") && !options.is_absent) {
      options.is_absent = true;
      if (!value.empty()) in.fail("ERR NEG fills a proven absence: the value must be empty");
    } else {
      in.fail(fmt::format("ERR SETV does not know the option {} here; it takes HI lsn, PX ms and NEG, each once",
                          quoted(option)));
    }
  }
  return options;
}

EntryClaims claims_of(const FreshnessState::Fill& fill, const Proof& proof, const BucketOwner& owner,
                      const SetvOptions& options) {
  bool is_snapshot = proof.kind == Proof::Kind::kSnapshot;
  EntryClaims claims;
  claims.shard = owner.shard;
  claims.db_epoch = fill.db_epoch;
  claims.bucket_epoch = owner.epoch;
  claims.proof = is_snapshot ? ProofKind::kSnapshot : ProofKind::kReplica;
  claims.is_absent = options.is_absent;
  claims.lo = fill.lo;
  claims.hi = is_snapshot ? std::max(proof.lsn, fill.lo) : options.hi.value_or(kUnknownHi);
  claims.xmin = is_snapshot ? proof.snapshot.xmin : 0;
  return claims;
}

void install(CommandContext& context, std::string_view key, std::string_view value, const EntryClaims& claims,
             uint64_t ttl_ms) {
  Keyspace::PutOptions put;
  put.expires_at = context.now + std::chrono::milliseconds(ttl_ms);
  put.claims = &claims;
  if (context.keyspace.put(key, value, put, context.now) != nullptr) return context.reply.ok();
  context.reply.error(
      "OOM no room for this value: it was not installed; raise the memory limit or choose a policy that evicts");
}

// SETV key lease proof value [HI lsn] [PX ms] [NEG]
void setv(CommandContext& context, Arguments arguments) {
  ArgumentReader in(arguments);
  std::string_view key = in.text("key");
  std::string_view lease = in.text("lease");
  if (lease.size() > kLeaseTextMax)
    in.fail(fmt::format("ERR lease of {} bytes: a lease has at most {}", lease.size(), kLeaseTextMax));
  Proof proof = in.proof("proof");
  std::string_view value = in.text("value");
  SetvOptions options = read_setv_options(in, proof, value);
  if (in.failed()) return context.reply.error(in.error());
  auto database = database_key(context.worker, key);
  if (!database) return context.reply.error(no_family(key));

  const BucketOwner& owner = database->owner;
  std::optional<EntryClaims> existing;
  if (Entry* entry = context.keyspace.peek(key, context.now); entry != nullptr && entry->has_claims())
    existing = entry->claims();
  // No proof names the epoch of a bucket that nobody owns: none has been given out as 0.
  const bool has_moved = context.freshness.has_moved(bucket_of_slot(slot_of_key(key)), owner);
  const BucketOwner judged{owner.shard, has_moved ? 0 : owner.epoch};
  auto fill =
      context.freshness.on_fill(hash64(key), lease, proof, judged, existing ? &*existing : nullptr, context.now);
  RespWriter& reply = context.reply;
  switch (fill.judgement.verdict) {
    case FillVerdict::kAccepted: {
      EntryClaims claims = claims_of(fill, proof, owner, options);
      return install(context, key, value, claims, database->ttl_ms(options.ttl_ms, options.is_absent));
    }
    case FillVerdict::kKept:
      return reply.simple("KEPT");
    case FillVerdict::kLease:
      return reply.error("REJECT LEASE it is not the key's current lease; read again with GETL");
    case FillVerdict::kEpoch:
      return reply.error(
          fmt::format("REJECT EPOCH {} {} the key's rows are in shard {} with this db_epoch and bucket_epoch",
                      fill.db_epoch, owner.epoch, owner.shard));
    case FillVerdict::kOlder:
      return reply.error(fmt::format("REJECT OLDER {} the value may lack a commit that was invalidated here",
                                     fill.judgement.need.to_string()));
    case FillVerdict::kFloor:
      return reply.error(
          fmt::format("REJECT FLOOR {} the proof does not reach the shard's floor", fill.judgement.need.to_string()));
  }
}

// Nothing is done unless every key may be invalidated here.
std::string refusal_of_inval_keys(const WorkerView& worker, Arguments keys) {
  for (std::string_view key : keys) {
    Slot slot = slot_of_key(key);
    if (!worker.owns_slot(slot)) {
      auto endpoint = worker.endpoint_of_slot(slot);
      if (!endpoint) return fmt::format("CLUSTERDOWN slot {} of key {} is served by nobody", slot, quoted(key));
      return fmt::format("MOVED {} {}:{}", slot, endpoint->host, endpoint->port);
    }
    if (!database_key(worker, key)) return no_family(key);
  }
  return {};
}

// INVAL p e lsn xid key [key …]
void inval(CommandContext& context, Arguments arguments) {
  ArgumentReader in(arguments);
  FreshnessState::Commit commit;
  commit.is_hint = true;
  commit.shard = in.number<ShardId>("shard");
  commit.db_epoch = in.number<DbEpoch>("db_epoch");
  commit.end_lsn = in.lsn("lsn");
  commit.xid = in.number<Xid>("xid");
  if (commit.xid == 0) in.fail("ERR xid must be the transaction's 64-bit id, not 0");
  size_t count = in.left();
  if (count > kInvalKeysMax)
    in.fail(fmt::format("ERR INVAL takes at most {} keys, {} were given", kInvalKeysMax, count));
  if (in.failed()) return context.reply.error(in.error());
  Arguments keys = arguments.subspan(arguments.size() - count);
  std::string refusal = refusal_of_inval_keys(context.worker, keys);
  if (refusal.empty()) refusal = refusal_of_hint(context.freshness, commit, count);
  if (!refusal.empty()) return context.reply.error(refusal);
  context.reply.integer(static_cast<int64_t>(invalidate_keys(context, commit, keys)));
}

std::string_view state_name(const FreshnessState& freshness, std::string_view key, const Entry* entry,
                            const std::optional<EntryClaims>& claims, const std::optional<BucketOwner>& owner) {
  if (entry == nullptr) return "none";
  if (!claims) return "value";  // a plain SET on a key without a database
  if (!owner || freshness.has_moved(bucket_of_slot(slot_of_key(key)), *owner) || !freshness.is_valid(*claims, *owner)) {
    return "revalidate";
  }
  return claims->is_absent ? "absent" : "value";
}

std::string_view proof_name(ProofKind kind) {
  switch (kind) {
    case ProofKind::kReplica:
      return "R";
    case ProofKind::kSnapshot:
      return "S";
    case ProofKind::kStream:
      return "W";
  }
  return "-";
}

// VERIFY key
void verify(CommandContext& context, Arguments arguments) {
  std::string_view key = arguments[1];
  const FreshnessState& freshness = context.freshness;
  auto owner = context.worker.database_of_slot(slot_of_key(key));
  const Entry* entry = context.keyspace.peek(key, context.now);
  std::optional<EntryClaims> claims;
  if (entry != nullptr && entry->has_claims()) claims = entry->claims();
  const ShardTide* tide = owner ? freshness.find_shard(owner->shard) : nullptr;

  int64_t tombstones = 0;
  Lsn tombstone_lsn;
  for (auto* record = freshness.first_tombstone(hash64(key)); record != nullptr;
       record = freshness.next_tombstone(*record)) {
    tombstones += record->count + (record->has_overflow ? 1 : 0);
    tombstone_lsn = std::max(tombstone_lsn, record->greatest_lsn());
  }
  auto expires_at = entry == nullptr ? std::nullopt : entry->expires_at();
  EntryClaims shown = claims.value_or(EntryClaims{});

  RespWriter& reply = context.reply;
  auto text = [&](std::string_view name, std::string_view value) { reply.bulk(name), reply.bulk(value); };
  auto number = [&](std::string_view name, int64_t value) { reply.bulk(name), reply.integer(value); };
  reply.array(2 * 18);
  text("state", state_name(freshness, key, entry, claims, owner));
  number("shard", claims ? shown.shard : owner ? owner->shard : -1);
  number("db_epoch", claims ? shown.db_epoch : tide != nullptr ? tide->db_epoch() : 0);
  number("bucket_epoch", claims ? shown.bucket_epoch : owner ? owner->epoch : 0);
  text("proof", claims ? proof_name(shown.proof) : "-");
  text("lo", shown.lo.to_string());
  text("hi", shown.hi.to_string());
  text("xmin", std::to_string(shown.xmin));
  number("ttl_ms", expires_at ? to_millis(*expires_at - context.now) : -1);
  number("bytes", entry == nullptr ? 0 : static_cast<int64_t>(entry->value().size()));
  text("complete_through", (tide == nullptr ? Lsn{} : tide->complete_through()).to_string());
  text("settled", (tide == nullptr ? Lsn{} : tide->settled()).to_string());
  text("floor", (tide == nullptr ? Lsn{} : tide->floor().lsn).to_string());
  number("bound", owner ? bound_ms(freshness.bound(owner->shard, context.now)) : -1);
  number("tombstones", tombstones);
  text("tombstone_lsn", tombstone_lsn.to_string());
  number("leased", freshness.is_leased(hash64(key), context.now) ? 1 : 0);
  number("staged", freshness.is_staged(hash64(key), key) ? 1 : 0);
}

constexpr std::string_view kGroup = "freshness";
constexpr std::string_view kSince = "0.1.0";

constexpr CommandSpec kCommands[] = {
    {"getl", -2, kReadonly | kFast | kAllowsFamily, 1, 1, 1, getl, kGroup,
     "Reads a key of a family, or leases its filling.", kSince},
    {"setv", -5, kWrite | kDenyOom | kFast | kAllowsFamily, 1, 1, 1, setv, kGroup,
     "Fills a key under a lease with a proof.", kSince},
    {"inval", -6, kWrite | kAllowsFamily, 0, 0, 0, inval, kGroup, "Drops keys that a committed transaction changed.",
     kSince},
    {"stage", -8, kWrite | kFast | kAllowsFamily, 6, 6, 1, stage, kGroup,
     "Parks a row written through, to be installed by the stream.", kSince},
    {"verify", 2, kReadonly | kFast | kAllowsFamily, 1, 1, 1, verify, kGroup,
     "What is known of a key, without its value.", kSince},
    {"invalb", -9, kWrite | kAllowsFamily | kInvalidator, 0, 0, 0, invalb, kGroup,
     "Applies a batch of a shard's commits.", kSince},
    {"fence", 9, kFast | kInvalidator, 0, 0, 0, fence, kGroup, "Moves a shard's tide mark and says what has settled.",
     kSince},
    {"fenceall", 5, kFast | kInvalidator, 0, 0, 0, fenceall, kGroup,
     "Joins a shard: what is older is revalidated first.", kSince},
    {"epoch", 6, kFast | kInvalidator, 0, 0, 0, epoch, kGroup,
     "A promotion: positions go back to the switch, what may be lost is dropped.", kSince},
    {"tide", 1, kReadonly | kFast, 0, 0, 0, tide, kGroup, "The tide mark of every joined shard.", kSince},
};

}  // namespace

std::span<const CommandSpec> freshness_commands() {
  return kCommands;
}

}  // namespace tidemark::cacheserver
