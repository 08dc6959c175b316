// SET with all its options, the older commands that are special cases of it, and GETEX, which shares its times.
#include "base/parse.h"
#include "cacheserver/command/data_support.h"
#include "cacheserver/command/string_handlers.h"

namespace tidemark::cacheserver {
namespace {

struct SetOptions {
  bool if_missing = false;   // NX
  bool if_existing = false;  // XX
  bool gives_old = false;    // GET
  bool keeps_expiry = false;
  bool persists = false;  // GETEX … PERSIST
  std::optional<std::string_view> if_equal;
  std::optional<TimeArgument> time;

  bool has_condition() const { return if_missing || if_existing || if_equal; }
  bool has_time() const { return time || keeps_expiry || persists; }
};

enum class OptionsOf : uint8_t { kSet, kGetex };

// EX PX EXAT PXAT and the number behind it.
bool read_time_option(std::string_view word, Arguments rest, SetOptions& options) {
  bool is_seconds = equals_ignore_case(word, "EX") || equals_ignore_case(word, "EXAT");
  bool is_unix = equals_ignore_case(word, "EXAT") || equals_ignore_case(word, "PXAT");
  if (!is_seconds && !is_unix && !equals_ignore_case(word, "PX")) return false;
  if (rest.empty() || options.has_time()) return false;
  options.time = TimeArgument{.text = rest[0],
                              .unit = is_seconds ? TimeUnit::kSeconds : TimeUnit::kMillis,
                              .base = is_unix ? TimeBase::kUnix : TimeBase::kNow,
                              .must_be_positive = true};
  return true;
}

// Options without a number.
bool read_word_option(std::string_view word, SetOptions& options, OptionsOf of) {
  if (of == OptionsOf::kGetex) {
    if (!equals_ignore_case(word, "PERSIST") || options.time) return false;
    return options.persists = true;
  }
  if (equals_ignore_case(word, "NX")) {
    return !options.if_existing && !options.if_equal && (options.if_missing = true);
  }
  if (equals_ignore_case(word, "XX")) {
    return !options.if_missing && !options.if_equal && (options.if_existing = true);
  }
  if (equals_ignore_case(word, "GET")) return options.gives_old = true;
  if (equals_ignore_case(word, "KEEPTTL")) {
    return !options.time && (options.keeps_expiry = true);
  }
  return false;
}

std::optional<SetOptions> read_options(CommandContext& context, Arguments words, OptionsOf of) {
  SetOptions options;
  for (size_t i = 0; i < words.size(); ++i) {
    const Arguments rest = words.subspan(i + 1);
    if (read_word_option(words[i], options, of)) continue;
    if (read_time_option(words[i], rest, options)) {
      ++i;
    } else if (of == OptionsOf::kSet && equals_ignore_case(words[i], "IFEQ") && !rest.empty() &&
               !options.has_condition()) {
      options.if_equal = words[++i];
    } else {
      context.reply.error(kSyntaxError);
      return std::nullopt;
    }
  }
  return options;
}

bool is_condition_met(const SetOptions& options, const Entry* old) {
  if (options.if_missing) return old == nullptr;
  if (options.if_existing) return old != nullptr;
  if (options.if_equal) return old != nullptr && old->value() == *options.if_equal;
  return true;
}

// SETEX and PSETEX: key, time, value.
void set_with_time(CommandContext& context, Arguments arguments, TimeUnit unit, std::string_view command) {
  auto at = read_time(context, {.text = arguments[2], .unit = unit, .must_be_positive = true}, command);
  if (!at) return;
  Keyspace::PutOptions options{.expires_at = instant_of_unix(context, *at)};
  if (was_stored(context, context.keyspace.put(arguments[1], arguments[3], options, context.now))) context.reply.ok();
}

}  // namespace

void set_command(CommandContext& context, Arguments arguments) {
  const std::string_view key = arguments[1], value = arguments[2];
  if (arguments.size() == 3) [[likely]] {
    if (was_stored(context, context.keyspace.put(key, value, context.now))) context.reply.ok();
    return;
  }
  auto options = read_options(context, arguments.subspan(3), OptionsOf::kSet);
  if (!options) return;
  Keyspace::PutOptions put{.keep_expiry = options->keeps_expiry};
  if (options->time) {
    auto at = read_time(context, *options->time, "set");
    if (!at) return;
    put.expires_at = instant_of_unix(context, *at);
  }
  RespWriter& reply = context.reply;
  const size_t reply_begin = reply.buffer().size();
  if (options->gives_old || options->has_condition()) {
    const Entry* old = options->gives_old ? read_entry(context, key) : see_entry(context, key);
    if (options->gives_old) old != nullptr ? reply_value(context, *old) : reply.null();
    if (!is_condition_met(*options, old)) {
      if (!options->gives_old) reply.null();
      return;
    }
  }
  if (context.keyspace.put(key, value, put, context.now) == nullptr) {
    take_back(context, reply_begin);  // the old value, if GET has written it
    return reply.error(kOutOfMemory);
  }
  if (!options->gives_old) reply.ok();
}

void setnx_command(CommandContext& context, Arguments arguments) {
  if (see_entry(context, arguments[1]) != nullptr) return context.reply.integer(0);
  if (was_stored(context, context.keyspace.put(arguments[1], arguments[2], context.now))) context.reply.integer(1);
}

void setex_command(CommandContext& context, Arguments arguments) {
  set_with_time(context, arguments, TimeUnit::kSeconds, "setex");
}

void psetex_command(CommandContext& context, Arguments arguments) {
  set_with_time(context, arguments, TimeUnit::kMillis, "psetex");
}

void getset_command(CommandContext& context, Arguments arguments) {
  RespWriter& reply = context.reply;
  const size_t reply_begin = reply.buffer().size();
  const Entry* old = read_entry(context, arguments[1]);
  old != nullptr ? reply_value(context, *old) : reply.null();
  if (context.keyspace.put(arguments[1], arguments[2], context.now) != nullptr) return;
  take_back(context, reply_begin);
  reply.error(kOutOfMemory);
}

void getex_command(CommandContext& context, Arguments arguments) {
  auto options = read_options(context, arguments.subspan(2), OptionsOf::kGetex);
  if (!options) return;
  const Entry* entry = read_entry(context, arguments[1]);
  if (entry == nullptr) return context.reply.null();
  std::optional<Instant> expires_at;
  if (options->time) {
    auto at = read_time(context, *options->time, "getex");
    if (!at) return;
    expires_at = instant_of_unix(context, *at);
  }
  if (options->has_time() && entry->has_claims()) return context.reply.error(kTtlProtected);
  const size_t reply_begin = context.reply.buffer().size();
  reply_value(context, *entry);
  if (!options->has_time()) return;
  if (context.keyspace.expire(arguments[1], expires_at, context.now) == Keyspace::ExpireOutcome::kNoRoom) {
    take_back(context, reply_begin);
    context.reply.error(kOutOfMemory);
  }
}

}  // namespace tidemark::cacheserver
