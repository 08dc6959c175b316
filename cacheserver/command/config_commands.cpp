#include "cacheserver/command/config_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/parse.h"
#include "cacheserver/command/glob.h"
#include "cacheserver/command/help.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

// What went wrong with a value; empty: it was taken.
using SetResult = std::string;

struct Setting {
  std::string_view name;
  std::string (*get)(const CommandContext&);
  SetResult (*set)(CommandContext&, std::string_view);  // nullptr: it cannot be changed while the node runs
};

template <uint64_t WorkerConfig::* field>
std::string get_number(const CommandContext& context) {
  return std::to_string(context.worker.config().*field);
}

template <uint64_t WorkerConfig::* field>
SetResult set_memory(CommandContext& context, std::string_view text) {
  auto bytes = parse_memory_size(text);
  if (!bytes) return "argument must be a memory value";
  context.worker.config().*field = *bytes;
  return {};
}

template <uint64_t WorkerConfig::* field>
SetResult set_number(CommandContext& context, std::string_view text) {
  auto number = parse_u64(text);
  if (!number) return "argument couldn't be parsed into an integer";
  context.worker.config().*field = *number;
  return {};
}

SetResult set_maxmemory(CommandContext& context, std::string_view text) {
  SetResult problem = set_memory<&WorkerConfig::memory_bytes_max>(context, text);
  if (problem.empty()) context.keyspace.set_memory_limit(context.worker.config().keyspace_bytes_max());
  return problem;
}

std::string get_policy(const CommandContext& context) {
  return std::string(redis_name_of_policy(context.worker.config().memory_policy));
}

SetResult set_policy(CommandContext& context, std::string_view text) {
  const std::string lowered = to_lower(text);
  std::string name(policy_of_redis_name(lowered));
  Status status = context.keyspace.set_policy(name, context.now);
  if (!status) return status.error().message;
  context.worker.config().memory_policy = name;
  return {};
}

std::string get_slowlog_limit(const CommandContext& context) {
  return std::to_string(context.worker.config().slowlog_slower_than_us);
}

SetResult set_slowlog_limit(CommandContext& context, std::string_view text) {
  auto micros = parse_i64(text);
  if (!micros || *micros < -1) return "argument must be between -1 and 9223372036854775807 inclusive";
  context.worker.config().slowlog_slower_than_us = *micros;
  return {};
}

std::string get_output_limit(const CommandContext& context) {
  return fmt::format("normal {} 0 0 slave 0 0 0 pubsub 0 0 0", context.worker.config().output_buffer_bytes_max);
}

std::string get_port(const CommandContext& context) {
  return std::to_string(context.worker.identity().port);
}
std::string get_bind(const CommandContext& context) {
  return context.worker.config().bind;
}
std::string get_cluster(const CommandContext& context) {
  return context.worker.is_clustered() ? "yes" : "no";
}

template <char... text>
std::string constant(const CommandContext&) {
  return {text...};
}

constexpr std::array kSettings = {
    Setting{"appendonly", constant<'n', 'o'>, nullptr},
    Setting{"bind", get_bind, nullptr},
    Setting{"client-output-buffer-limit", get_output_limit, nullptr},
    Setting{"client-query-buffer-limit", get_number<&WorkerConfig::query_buffer_bytes_max>,
            set_memory<&WorkerConfig::query_buffer_bytes_max>},
    Setting{"cluster-enabled", get_cluster, nullptr},
    Setting{"databases", constant<'1'>, nullptr},
    Setting{"maxclients", get_number<&WorkerConfig::clients_max>, set_number<&WorkerConfig::clients_max>},
    Setting{"maxmemory", get_number<&WorkerConfig::memory_bytes_max>, set_maxmemory},
    Setting{"maxmemory-policy", get_policy, set_policy},
    Setting{"port", get_port, nullptr},
    Setting{"proto-max-bulk-len", get_number<&WorkerConfig::bulk_bytes_max>, set_memory<&WorkerConfig::bulk_bytes_max>},
    Setting{"save", constant<>, nullptr},
    Setting{"slowlog-log-slower-than", get_slowlog_limit, set_slowlog_limit},
    Setting{"slowlog-max-len", get_number<&WorkerConfig::slowlog_entries_max>,
            set_number<&WorkerConfig::slowlog_entries_max>},
    Setting{"timeout", get_number<&WorkerConfig::idle_timeout_s>, set_number<&WorkerConfig::idle_timeout_s>},
};

const Setting* find_setting(std::string_view name) {
  auto at = std::ranges::find_if(kSettings, [&](const Setting& s) { return equals_ignore_case(s.name, name); });
  return at == kSettings.end() ? nullptr : &*at;
}

void config_get(CommandContext& context, Arguments arguments) {
  std::vector<const Setting*> wanted;
  for (const Setting& setting : kSettings) {
    bool matches = std::ranges::any_of(
        arguments.subspan(2), [&](std::string_view pattern) { return glob_matches(pattern, setting.name, true); });
    if (matches) wanted.push_back(&setting);
  }
  context.reply.map(wanted.size());
  for (const Setting* setting : wanted) {
    context.reply.bulk(setting->name);
    context.reply.bulk(setting->get(context));
  }
}

void config_set(CommandContext& context, Arguments arguments) {
  if (arguments.size() % 2 != 0) {
    return context.reply.error("ERR wrong number of arguments for 'config|set' command");
  }
  // All names first, so that a wrong one changes nothing.
  for (size_t i = 2; i < arguments.size(); i += 2) {
    const Setting* setting = find_setting(arguments[i]);
    if (setting == nullptr) {
      return context.reply.error(
          fmt::format("ERR Unknown option or number of arguments for CONFIG SET - '{}'", arguments[i]));
    }
    if (setting->set == nullptr) {
      return context.reply.error(fmt::format(
          "ERR CONFIG SET failed (possibly related to argument '{}') - can't set immutable config", setting->name));
    }
  }
  for (size_t i = 2; i < arguments.size(); i += 2) {
    SetResult problem = find_setting(arguments[i])->set(context, arguments[i + 1]);
    if (!problem.empty()) {
      return context.reply.error(
          fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", arguments[i], problem));
    }
  }
  context.reply.ok();
}

void config_resetstat(CommandContext& context, Arguments) {
  context.worker.stats().reset();
  context.keyspace.reset_stats();
  for (CommandStats& stats : context.worker.command_stats()) {
    for (Counter* counter : {&stats.calls, &stats.micros, &stats.failed, &stats.rejected}) counter->set(0);
  }
  context.reply.ok();
}

void config_rewrite(CommandContext& context, Arguments) {
  context.reply.error("ERR The server is running without a config file");
}

void config_help(CommandContext& context, Arguments) {
  reply_help(context, "config");
}

}  // namespace

std::span<const CommandSpec> config_commands() {
  static constexpr std::string_view kGroup = "server";
  static constexpr uint32_t kFlags = kAdmin | kLoading;
  static constexpr std::array kRows = {
      CommandSpec{"config|get", -3, kFlags, 0, 0, 0, config_get, kGroup,
                  "Returns the effective values of settings whose names match the patterns.", "2.0.0"},
      CommandSpec{"config|help", 2, kFlags, 0, 0, 0, config_help, kGroup, "Returns helpful text.", "5.0.0"},
      CommandSpec{"config|resetstat", 2, kFlags, 0, 0, 0, config_resetstat, kGroup, "Resets the statistics.", "2.0.0"},
      CommandSpec{"config|rewrite", 2, kFlags, 0, 0, 0, config_rewrite, kGroup,
                  "Refused: settings come from flags, the environment and --config.", "2.8.0"},
      CommandSpec{"config|set", -4, kFlags, 0, 0, 0, config_set, kGroup, "Sets settings of this worker while it runs.",
                  "2.0.0"},
  };
  return kRows;
}

}  // namespace tidemark::cacheserver
