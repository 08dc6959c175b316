#include "cacheserver/command/data_support.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/parse.h"
#include "base/slot.h"
#include "cacheserver/freshness/freshness_state.h"
#include "cacheserver/session/reply_buffer.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

// Beyond this many milliseconds from now (146,000 years) the steady clock's microseconds would overflow.
constexpr int64_t kMillisAheadMax = int64_t{1} << 52;

Instant whole_millis(Instant at) {
  return at - at.time_since_epoch() % std::chrono::milliseconds(1);
}

bool is_served(CommandContext& context, const Entry& entry) {
  // Nothing vouches for a value that was set before its key belonged to a family of the database.
  if (!entry.has_claims()) return context.worker.database_family_of_key(entry.key()) == nullptr;
  const EntryClaims claims = entry.claims();
  const Slot slot = slot_of_key(entry.key());
  auto owner = context.worker.database_of_slot(slot);
  if (!owner || context.freshness.has_moved(bucket_of_slot(slot), *owner) ||
      !context.freshness.is_valid(claims, *owner)) {
    ++context.freshness.counters().hits_revalidate;
    return false;
  }
  return !claims.is_absent;
}

}  // namespace

Entry* see_entry(CommandContext& context, std::string_view key) {
  Entry* entry = context.keyspace.peek(key, context.now);
  return entry != nullptr && is_served(context, *entry) ? entry : nullptr;
}

Entry* read_entry(CommandContext& context, std::string_view key) {
  Entry* entry = see_entry(context, key);
  if (entry != nullptr) {
    context.keyspace.count_hit(*entry, context.now);
  } else {
    context.keyspace.count_miss();
  }
  return entry;
}

void reply_value(CommandContext& context, const Entry& entry) {
  if (context.replies == nullptr || entry.value().size() < kPinnedBytesMin) [[likely]]
    return context.reply.bulk(entry.value());
  ValuePin pin = pin_value(entry);
  if (!pin) return context.reply.bulk(entry.value());
  context.reply.bulk_head(pin.bytes().size());
  context.replies->pin(std::move(pin));
  context.reply.bulk_end();
}

void take_back(CommandContext& context, size_t reply_begin) {
  context.replies != nullptr ? context.replies->cut(reply_begin) : context.reply.buffer().resize(reply_begin);
}

bool erase_key(CommandContext& context, std::string_view key) {
  if (context.worker.has_database_families()) context.freshness.forget_key(hash64(key));
  return context.keyspace.erase(key, context.now);
}

std::string key_too_long(size_t key_bytes) {
  return fmt::format("ERR a key of {} bytes is too long: keys have up to {} bytes", key_bytes, kKeyBytesMax);
}

bool was_stored(CommandContext& context, const Entry* entry) {
  if (entry == nullptr) context.reply.error(kOutOfMemory);
  return entry != nullptr;
}

Instant instant_of_unix(const CommandContext& context, int64_t unix_ms) {
  int64_t ahead;
  if (__builtin_sub_overflow(unix_ms, context.unix_now.value, &ahead)) ahead = unix_ms < 0 ? -1 : kMillisAheadMax;
  ahead = std::clamp(ahead, -kMillisAheadMax, kMillisAheadMax);
  return whole_millis(context.now) + std::chrono::milliseconds(ahead);
}

int64_t millis_left(const CommandContext& context, Instant at) {
  return to_millis(at - whole_millis(context.now));
}

int64_t unix_of_instant(const CommandContext& context, Instant at) {
  return context.unix_now.value + millis_left(context, at);
}

std::optional<int64_t> read_time(CommandContext& context, const TimeArgument& argument, std::string_view command) {
  auto value = parse_i64(argument.text);
  if (!value) {
    context.reply.error(kNotAnInteger);
    return std::nullopt;
  }
  int64_t at = *value;
  bool is_bad = argument.must_be_positive && at <= 0;
  if (argument.unit == TimeUnit::kSeconds) is_bad |= __builtin_mul_overflow(at, int64_t{1000}, &at);
  if (argument.base == TimeBase::kNow) is_bad |= __builtin_add_overflow(at, context.unix_now.value, &at);
  if (is_bad) {
    context.reply.error(fmt::format("ERR invalid expire time in '{}' command", command));
    return std::nullopt;
  }
  return at;
}

}  // namespace tidemark::cacheserver
