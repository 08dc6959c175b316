// INFO, DBSIZE, FLUSHDB, FLUSHALL, MEMORY, TIME, LOLWUT, WAIT, ROLE, SLOWLOG, ACL WHOAMI; CONFIG and COMMAND stand in
// files of their own.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/parse.h"
#include "cacheserver/command/command.h"
#include "cacheserver/command/command_commands.h"
#include "cacheserver/command/config_commands.h"
#include "cacheserver/command/help.h"
#include "cacheserver/command/info_report.h"
#include "cacheserver/command/versions.h"
#include "cacheserver/freshness/freshness_state.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

void info(CommandContext& context, Arguments arguments) {
  context.reply.verbatim(info_report(context, arguments.subspan(1)));
}

void dbsize(CommandContext& context, Arguments) {
  context.reply.integer(static_cast<int64_t>(context.keyspace.size()));
}

// ASYNC or SYNC: the tables are put aside at once and freed bit by bit in either case, so nothing waits.
void flush(CommandContext& context, Arguments arguments) {
  bool is_valid = arguments.size() == 1 || (arguments.size() == 2 && (equals_ignore_case(arguments[1], "async") ||
                                                                      equals_ignore_case(arguments[1], "sync")));
  if (!is_valid) return reply_syntax_error(context);
  context.keyspace.flush();
  context.freshness.forget_all();
  context.reply.ok();
}

void memory_usage(CommandContext& context, Arguments arguments) {
  if (arguments.size() != 3 && !(arguments.size() == 5 && equals_ignore_case(arguments[3], "samples"))) {
    return reply_syntax_error(context);
  }
  int64_t samples = 0;
  if (arguments.size() == 5 && !read_integer(context, arguments[4], samples)) return;
  const Entry* entry = context.keyspace.peek(arguments[2], context.now);
  if (entry == nullptr) return context.reply.null();
  context.reply.integer(static_cast<int64_t>(context.keyspace.bytes_of(*entry)));
}

void memory_stats(CommandContext& context, Arguments) {
  const MemoryBudget& memory = context.keyspace.memory();
  const MemoryReport report = context.keyspace.memory_report();
  const uint64_t keys = context.keyspace.size();
  uint64_t clients = 0;
  for (const auto& [id, session] : context.worker.sessions()) {
    clients += sizeof(Session) + session->query_buffer_bytes + session->output_buffer_bytes;
  }
  const std::pair<std::string_view, uint64_t> fields[] = {
      {"peak.allocated", std::max(context.worker.stats().memory_bytes_peak.get(), memory.bytes_used)},
      {"total.allocated", memory.bytes_used},
      {"clients.normal", clients},
      {"keys.count", keys},
      {"keys.bytes-per-key", keys == 0 ? 0 : memory.bytes_used / keys},
      {"dataset.bytes", report.entries + report.far_values},
      {"overhead.tables", report.tables},
      {"overhead.policy", report.policy},
      {"far.values", report.far_values},
      {"allocator.held", memory.bytes_held},
      {"allocator.holes", report.holes},
      {"allocator.blocks-moved", report.blocks_moved},
      {"flushed.bytes", report.flushed},
      {"maxmemory", memory.bytes_max},
  };
  context.reply.map(std::size(fields));
  for (const auto& [name, value] : fields) {
    context.reply.bulk(name);
    context.reply.integer(static_cast<int64_t>(value));
  }
}

void memory_doctor(CommandContext& context, Arguments) {
  const MemoryBudget& memory = context.keyspace.memory();
  if (memory.bytes_max == 0) {
    return context.reply.verbatim("There is no memory limit: set one with --memory or CONFIG SET maxmemory.\n");
  }
  context.reply.verbatim(fmt::format("{} of {} used ({}%), {} evicted, {} writes refused for memory.\n",
                                     human_bytes(memory.bytes_used), human_bytes(memory.bytes_max),
                                     memory.bytes_used * 100 / memory.bytes_max, context.keyspace.stats().evicted,
                                     context.keyspace.stats().refused_for_memory));
}

void memory_help(CommandContext& context, Arguments) {
  reply_help(context, "memory");
}

void time(CommandContext& context, Arguments) {
  context.reply.array(2);
  context.reply.bulk_integer(context.unix_now.value / 1000);
  context.reply.bulk_integer(context.unix_now.value % 1000 * 1000);
}

void lolwut(CommandContext& context, Arguments) {
  context.reply.verbatim(fmt::format("     ~  ~~ ~   ~\n  ~~ ~~~~ ~~~ ~~ ~\n~~~~~~~~~~~~~~~~~~~~\n\nTidemark ver. {}\n",
                                     kTidemarkVersion));
}

// Nothing is replicated yet: no replica has acknowledged anything, and waiting would not change it.
void wait(CommandContext& context, Arguments arguments) {
  int64_t replicas = 0, timeout_ms = 0;
  if (!read_integer(context, arguments[1], replicas)) return;
  auto timeout = parse_i64(arguments[2]);
  if (!timeout) return context.reply.error("ERR timeout is not an integer or out of range");
  timeout_ms = *timeout;
  if (timeout_ms < 0) return context.reply.error("ERR timeout is negative");
  context.reply.integer(0);
}

void role(CommandContext& context, Arguments) {
  context.reply.array(3);
  context.reply.bulk("master");
  context.reply.integer(0);
  context.reply.array(0);
}

void slowlog_get(CommandContext& context, Arguments arguments) {
  int64_t wanted = 10;
  if (arguments.size() > 3) return context.reply.error("ERR wrong number of arguments for 'slowlog|get' command");
  if (arguments.size() == 3) wanted = parse_i64(arguments[2]).value_or(-2);
  if (wanted < -1) return context.reply.error("ERR count should be greater than or equal to -1");
  const auto& entries = context.worker.slow_log().entries();
  size_t count = wanted == -1 ? entries.size() : std::min(entries.size(), static_cast<size_t>(wanted));
  context.reply.array(count);
  for (size_t i = 0; i < count; ++i) {
    const SlowLog::Entry& entry = entries[i];
    context.reply.array(6);
    context.reply.integer(static_cast<int64_t>(entry.id));
    context.reply.integer(entry.unix_seconds);
    context.reply.integer(static_cast<int64_t>(entry.micros));
    context.reply.array(entry.arguments.size());
    for (const std::string& argument : entry.arguments) context.reply.bulk(argument);
    context.reply.bulk(entry.peer_address);
    context.reply.bulk(entry.client_name);
  }
}

void slowlog_len(CommandContext& context, Arguments) {
  context.reply.integer(static_cast<int64_t>(context.worker.slow_log().entries().size()));
}

void slowlog_reset(CommandContext& context, Arguments) {
  context.worker.slow_log().clear();
  context.reply.ok();
}

void slowlog_help(CommandContext& context, Arguments) {
  reply_help(context, "slowlog");
}

void acl_whoami(CommandContext& context, Arguments) {
  context.reply.bulk(context.session.user == User::kInvalidator ? "invalidator" : "default");
}

void acl_help(CommandContext& context, Arguments) {
  reply_help(context, "acl");
}

constexpr std::string_view kGroup = "server";
constexpr std::array kRows = {
    CommandSpec{"acl|help", 2, kLoading, 0, 0, 0, acl_help, kGroup, "Returns helpful text.", "6.0.0"},
    CommandSpec{"acl|whoami", 2, kLoading, 0, 0, 0, acl_whoami, kGroup, "Returns the user of the connection.", "6.0.0"},
    CommandSpec{"dbsize", 1, kReadonly | kFast, 0, 0, 0, dbsize, kGroup, "Returns the number of keys.", "1.0.0"},
    CommandSpec{"flushall", -1, kWrite | kAllowsFamily, 0, 0, 0, flush, kGroup, "Removes all keys of this worker.",
                "1.0.0"},
    CommandSpec{"flushdb", -1, kWrite | kAllowsFamily, 0, 0, 0, flush, kGroup, "Removes all keys of this worker.",
                "1.0.0"},
    CommandSpec{"info", -1, kLoading, 0, 0, 0, info, kGroup, "Returns information and statistics about the server.",
                "1.0.0"},
    CommandSpec{"lolwut", -1, kReadonly | kFast, 0, 0, 0, lolwut, kGroup, "Displays computer art and the version.",
                "5.0.0"},
    CommandSpec{"memory|doctor", 2, 0, 0, 0, 0, memory_doctor, kGroup, "Outputs a memory report.", "4.0.0"},
    CommandSpec{"memory|help", 2, kLoading, 0, 0, 0, memory_help, kGroup, "Returns helpful text.", "4.0.0"},
    CommandSpec{"memory|stats", 2, 0, 0, 0, 0, memory_stats, kGroup, "Returns details about memory usage.", "4.0.0"},
    CommandSpec{"memory|usage", -3, kReadonly, 2, 2, 1, memory_usage, kGroup, "Estimates the memory of a key.",
                "4.0.0"},
    CommandSpec{"role", 1, kLoading | kFast, 0, 0, 0, role, kGroup, "Returns the replication role.", "2.8.12"},
    CommandSpec{"slowlog|get", -2, kAdmin | kLoading, 0, 0, 0, slowlog_get, kGroup, "Returns the slow log's entries.",
                "2.2.12"},
    CommandSpec{"slowlog|help", 2, kLoading, 0, 0, 0, slowlog_help, kGroup, "Returns helpful text.", "6.2.0"},
    CommandSpec{"slowlog|len", 2, kAdmin | kLoading, 0, 0, 0, slowlog_len, kGroup,
                "Returns the number of entries in the slow log.", "2.2.12"},
    CommandSpec{"slowlog|reset", 2, kAdmin | kLoading, 0, 0, 0, slowlog_reset, kGroup,
                "Clears all entries from the slow log.", "2.2.12"},
    CommandSpec{"time", 1, kLoading | kFast, 0, 0, 0, time, kGroup, "Returns the server time.", "2.6.0"},
    CommandSpec{"wait", 3, 0, 0, 0, 0, wait, "generic", "Answers 0 at once: nothing is replicated by this version.",
                "3.0.0"},
};

}  // namespace

std::span<const CommandSpec> server_commands() {
  static const std::vector<CommandSpec> rows = [] {
    std::vector<CommandSpec> joined(kRows.begin(), kRows.end());
    joined.insert(joined.end(), config_commands().begin(), config_commands().end());
    joined.insert(joined.end(), command_commands().begin(), command_commands().end());
    return joined;
  }();
  return rows;
}

}  // namespace tidemark::cacheserver
