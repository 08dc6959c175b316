// Decodes one pgoutput message (protocol version 1, messages 'true') from the body of an XLogData frame.
//
// Every read is bounds-checked; a message that is cut, has bytes left over or names an unknown kind is kCorrupt and
// the message says where. Layout: PostgreSQL documentation, "Logical Replication Message Formats".
// Threads: pure function. Limits: columns and relations are 16 and 32 bit counts that must fit the bytes at hand.
#pragma once

#include <string_view>

#include "base/result.h"
#include "replication/wal/wal_message.h"

namespace tidemark::replication {

// The result views into `bytes`.
Result<WalMessage> decode_pgoutput(std::string_view bytes);

// Microseconds between the epochs of Unix (1970) and Postgres (2000).
inline constexpr int64_t kPostgresEpochUs = 946'684'800'000'000;

}  // namespace tidemark::replication
