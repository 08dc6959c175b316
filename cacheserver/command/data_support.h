// What the commands on strings and keys share: reading an entry as a client may see it, times to live, common refusals.
//
// Error texts are Redis 7.0's, byte for byte: clients match on them.
// Threads: a worker's own. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cacheserver/command/command.h"
#include "cacheserver/keyspace/keyspace.h"

namespace tidemark::cacheserver {

inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kNoSuchKey = "ERR no such key";
inline constexpr std::string_view kOutOfMemory = "OOM command not allowed when used memory > 'maxmemory'.";
inline constexpr std::string_view kTtlProtected =
    "PROTECTED the time to live of a value filled from the database is never extended; delete it or fill it again";

// The entry as GET sees it: one that was filled from a database is there only while it is valid and not a proven
// absence. read_entry counts a hit or a miss and tells the eviction policy; see_entry leaves no trace.
Entry* read_entry(CommandContext& context, std::string_view key);
Entry* see_entry(CommandContext& context, std::string_view key);

// The value as a bulk reply; a large one is pinned, not copied.
void reply_value(CommandContext& context, const Entry& entry);
// Takes the reply back that has been begun at this size of the buffer.
void take_back(CommandContext& context, size_t reply_begin);

// Erases, and ends the key's fill lease, so that a load that is under way does not undo the erase.
bool erase_key(CommandContext& context, std::string_view key);

std::string key_too_long(size_t key_bytes);  // what a command answers that would store under such a key
// Writes OOM if `entry` is nullptr.
bool was_stored(CommandContext& context, const Entry* entry);

// --- time ------------------------------------------------------------------------------------------------------------
// Redis's times are whole milliseconds of the wall clock, the keyspace's are points on the steady one. Both are taken
// from the context's pair of clocks, the steady one cut to milliseconds, so that a time to live reads back as it was
// set.
Instant instant_of_unix(const CommandContext& context, int64_t unix_ms);
int64_t unix_of_instant(const CommandContext& context, Instant at);
int64_t millis_left(const CommandContext& context, Instant at);

enum class TimeUnit : uint8_t { kSeconds, kMillis };
enum class TimeBase : uint8_t { kNow, kUnix };
// Unix milliseconds of a time argument. Without a value: the refusal has been written, naming `command`.
// `must_be_positive`: as SET's options demand; EXPIRE takes the past, too.
struct TimeArgument {
  std::string_view text;
  TimeUnit unit = TimeUnit::kSeconds;
  TimeBase base = TimeBase::kNow;
  bool must_be_positive = false;
};
std::optional<int64_t> read_time(CommandContext& context, const TimeArgument& argument, std::string_view command);

}  // namespace tidemark::cacheserver
