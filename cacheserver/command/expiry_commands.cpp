// EXPIRE and its kin, TTL and its kin, PERSIST.
#include <fmt/format.h>

#include "base/parse.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/command/key_handlers.h"

namespace tidemark::cacheserver {
namespace {

struct ExpireCondition {
  bool if_none = false;     // NX
  bool if_some = false;     // XX
  bool if_later = false;    // GT; no expiry counts as the latest of all
  bool if_earlier = false;  // LT
};

bool read_condition(CommandContext& context, Arguments words, ExpireCondition& condition) {
  for (std::string_view word : words) {
    if (equals_ignore_case(word, "NX"))
      condition.if_none = true;
    else if (equals_ignore_case(word, "XX"))
      condition.if_some = true;
    else if (equals_ignore_case(word, "GT"))
      condition.if_later = true;
    else if (equals_ignore_case(word, "LT"))
      condition.if_earlier = true;
    else
      return context.reply.error(fmt::format("ERR Unsupported option {}", word)), false;
  }
  if (condition.if_none && (condition.if_some || condition.if_later || condition.if_earlier)) {
    context.reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (condition.if_later && condition.if_earlier) {
    context.reply.error("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

bool is_met(const ExpireCondition& condition, std::optional<Instant> current, Instant wanted) {
  if (condition.if_none && current) return false;
  if (condition.if_some && !current) return false;
  if (condition.if_later && (!current || wanted <= *current)) return false;
  return !condition.if_earlier || !current || wanted < *current;
}

struct Clock {
  TimeUnit unit;
  TimeBase base;
};

void expire(CommandContext& context, Arguments arguments, Clock clock, std::string_view command) {
  const std::string_view key = arguments[1];
  ExpireCondition condition;
  if (!read_condition(context, arguments.subspan(3), condition)) return;
  auto unix_ms = read_time(context, {.text = arguments[2], .unit = clock.unit, .base = clock.base}, command);
  if (!unix_ms) return;
  const Entry* entry = see_entry(context, key);
  if (entry == nullptr) return context.reply.integer(0);
  const Instant at = instant_of_unix(context, *unix_ms);
  const auto current = entry->expires_at();
  if (!is_met(condition, current, at)) return context.reply.integer(0);
  if (entry->has_claims() && current && at > *current) return context.reply.error(kTtlProtected);
  if (*unix_ms <= context.unix_now.value) {
    erase_key(context, key);
  } else if (context.keyspace.expire(key, at, context.now) == Keyspace::ExpireOutcome::kNoRoom) {
    return context.reply.error(kOutOfMemory);
  }
  context.reply.integer(1);
}

enum class Answer : uint8_t { kLeft, kUnix };

// -2: no such key; -1: it never expires.
void reply_expiry(CommandContext& context, std::string_view key, Answer answer, TimeUnit unit) {
  const Entry* entry = see_entry(context, key);
  if (entry == nullptr) return context.reply.integer(-2);
  auto at = entry->expires_at();
  if (!at) return context.reply.integer(-1);
  const int64_t millis = answer == Answer::kUnix ? unix_of_instant(context, *at) : millis_left(context, *at);
  context.reply.integer(unit == TimeUnit::kMillis ? millis : (millis + 500) / 1000);
}

}  // namespace

void expire_command(CommandContext& context, Arguments arguments) {
  expire(context, arguments, {TimeUnit::kSeconds, TimeBase::kNow}, "expire");
}

void pexpire_command(CommandContext& context, Arguments arguments) {
  expire(context, arguments, {TimeUnit::kMillis, TimeBase::kNow}, "pexpire");
}

void expireat_command(CommandContext& context, Arguments arguments) {
  expire(context, arguments, {TimeUnit::kSeconds, TimeBase::kUnix}, "expireat");
}

void pexpireat_command(CommandContext& context, Arguments arguments) {
  expire(context, arguments, {TimeUnit::kMillis, TimeBase::kUnix}, "pexpireat");
}

void ttl_command(CommandContext& context, Arguments arguments) {
  reply_expiry(context, arguments[1], Answer::kLeft, TimeUnit::kSeconds);
}

void pttl_command(CommandContext& context, Arguments arguments) {
  reply_expiry(context, arguments[1], Answer::kLeft, TimeUnit::kMillis);
}

void expiretime_command(CommandContext& context, Arguments arguments) {
  reply_expiry(context, arguments[1], Answer::kUnix, TimeUnit::kSeconds);
}

void pexpiretime_command(CommandContext& context, Arguments arguments) {
  reply_expiry(context, arguments[1], Answer::kUnix, TimeUnit::kMillis);
}

void persist_command(CommandContext& context, Arguments arguments) {
  const Entry* entry = see_entry(context, arguments[1]);
  if (entry == nullptr || !entry->expires_at()) return context.reply.integer(0);
  if (entry->has_claims()) return context.reply.error(kTtlProtected);
  context.keyspace.expire(arguments[1], std::nullopt, context.now);
  context.reply.integer(1);
}

}  // namespace tidemark::cacheserver
