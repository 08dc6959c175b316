// How a command meets the rest of a worker: one row in a table, one function that is told everything it may use.
//
// The worker finds the row by name, checks arity, authentication, slot ownership (first_key/last_key/key_step) and
// memory, then calls the handler, which writes exactly one reply. Handlers are pure: keyspace, freshness state and
// clocks are arguments. Threads: a worker's own.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/wire/resp_writer.h"

namespace tidemark::cacheserver {

class Keyspace;        // keyspace/keyspace.h: the worker's entries
class FreshnessState;  // freshness/freshness_state.h: tide marks, tombstones, leases of the worker
class ReplyBuffer;     // session/reply_buffer.h: bytes and pinned values
class Session;         // session/session.h: what one connection has said about itself
class WorkerView;      // worker/worker_view.h: topology, identity, statistics, configuration that commands may see

using Arguments = std::span<const std::string_view>;  // [0] is the command's name as the client wrote it

struct CommandContext {
  Keyspace& keyspace;
  FreshnessState& freshness;
  Session& session;
  WorkerView& worker;
  RespWriter& reply;
  Instant now;  // steady; one value for all commands of one turn of the loop
  UnixMillis unix_now;
  ReplyBuffer* replies = nullptr;  // what `reply` writes to, if large values may stand in it without a copy
};

enum CommandFlag : uint32_t {
  kWrite = 1u << 0,  // changes the keyspace
  kReadonly = 1u << 1,
  kDenyOom = 1u << 2,  // refused while memory is over the limit and nothing can be evicted
  kAdmin = 1u << 3,
  kFast = 1u << 4,    // O(1) or O(log n)
  kNoAuth = 1u << 5,  // allowed before authentication (AUTH, HELLO, QUIT, RESET)
  kLoading = 1u << 6,
  kMovableKeys = 1u << 7,  // key positions depend on the arguments
  kAllowsFamily =
      1u << 8,  // a write that is allowed on keys of db-backed families (DEL, SETV, …); others answer PROTECTED
  kInvalidator = 1u << 9,  // needs the user `invalidator` when the node has one
};

struct CommandSpec {
  std::string_view name;  // lower case; subcommands are "client|setname"
  int arity = 0;          // as in Redis: n exactly, -n at least n, counting the name
  uint32_t flags = 0;
  int first_key = 0, last_key = 0, key_step = 0;  // 0 = no keys; last_key < 0 counts from the end
  void (*handler)(CommandContext&, Arguments) = nullptr;
  std::string_view group;    // "string", "generic", "connection", "server", "cluster", "freshness"
  std::string_view summary;  // one line, for COMMAND DOCS
  std::string_view since;    // "1.0.0"
};

// Each file of commands offers its rows; command_table joins them.
std::span<const CommandSpec> string_commands();
std::span<const CommandSpec> key_commands();        // keys, expiry, scan
std::span<const CommandSpec> freshness_commands();  // GETL … TIDE
std::span<const CommandSpec> cluster_commands();
std::span<const CommandSpec> connection_commands();  // PING, HELLO, AUTH, CLIENT, …
std::span<const CommandSpec> server_commands();      // INFO, CONFIG, COMMAND, DBSIZE, FLUSHALL, MEMORY, TIME, …

}  // namespace tidemark::cacheserver
