#include "cacheserver/command/client_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/parse.h"
#include "cacheserver/command/help.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

std::string_view user_name(User user) {
  return user == User::kInvalidator ? "invalidator" : "default";
}

std::string describe(const Session& session, Instant now) {
  auto seconds_since = [now](Instant then) { return std::max<int64_t>(0, (now - then).count() / 1'000'000); };
  std::string flags;
  if (session.is_closing) flags += 'c';
  if (session.is_readonly) flags += 'r';
  if (session.no_evict) flags += 'e';
  if (session.no_touch) flags += 'T';
  if (flags.empty()) flags = "N";
  return fmt::format(
      "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf={} "
      "qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={} events=r cmd={} user={} "
      "redir=-1 resp={} lib-name={} lib-ver={} tot-net-in={} tot-net-out={} tot-cmds={}",
      session.id, session.peer_address, session.local_address, session.name, seconds_since(session.connected_at),
      seconds_since(session.last_active_at), flags, session.query_buffer_bytes, session.output_buffer_bytes,
      session.output_buffer_bytes, sizeof(Session) + session.query_buffer_bytes + session.output_buffer_bytes,
      session.last_command, user_name(session.user), session.protocol, session.lib_name, session.lib_version,
      session.bytes_in, session.bytes_out, session.commands_total);
}

void client_id(CommandContext& context, Arguments) {
  context.reply.integer(static_cast<int64_t>(context.session.id));
}

void client_getname(CommandContext& context, Arguments) {
  context.session.name.empty() ? context.reply.null() : context.reply.bulk(context.session.name);
}

void client_setname(CommandContext& context, Arguments arguments) {
  if (!is_valid_client_name(arguments[2])) {
    return context.reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
  }
  context.session.name = arguments[2];
  context.reply.ok();
}

void client_setinfo(CommandContext& context, Arguments arguments) {
  std::string* target = nullptr;
  if (equals_ignore_case(arguments[2], "lib-name")) target = &context.session.lib_name;
  if (equals_ignore_case(arguments[2], "lib-ver")) target = &context.session.lib_version;
  if (target == nullptr) return context.reply.error(fmt::format("ERR Unrecognized option '{}'", arguments[2]));
  if (!is_valid_client_name(arguments[3])) {
    return context.reply.error(
        fmt::format("ERR {} cannot contain spaces, newlines or special characters.", to_lower(arguments[2])));
  }
  *target = arguments[3];
  context.reply.ok();
}

void client_info(CommandContext& context, Arguments) {
  context.reply.verbatim(describe(context.session, context.now) + "\n");
}

// The filters of CLIENT LIST and CLIENT KILL; what is not set matches everything.
struct Filter {
  std::vector<uint64_t> ids;
  std::string_view address, local_address, user;
  std::optional<int64_t> age_min_s;
  bool skips_me = true;
  bool matches_type = true;  // there are only normal clients here

  bool matches(const Session& session, Instant now) const {
    if (!matches_type) return false;
    if (!ids.empty() && std::ranges::find(ids, session.id) == ids.end()) return false;
    if (!address.empty() && session.peer_address != address) return false;
    if (!local_address.empty() && session.local_address != local_address) return false;
    if (!user.empty() && user_name(session.user) != user) return false;
    return !age_min_s || (now - session.connected_at).count() / 1'000'000 >= *age_min_s;
  }
};

bool read_type(CommandContext& context, std::string_view text, Filter& filter) {
  bool is_known = false;
  for (std::string_view type : {"normal", "master", "primary", "replica", "slave", "pubsub"}) {
    is_known = is_known || equals_ignore_case(text, type);
  }
  if (!is_known) context.reply.error(fmt::format("ERR Unknown client type '{}'", text));
  filter.matches_type = equals_ignore_case(text, "normal");
  return is_known;
}

bool read_ids(CommandContext& context, Arguments texts, Filter& filter) {
  for (std::string_view text : texts) {
    auto id = parse_u64(text);
    if (!id || *id == 0) {
      context.reply.error("ERR Invalid client ID");
      return false;
    }
    filter.ids.push_back(*id);
  }
  return true;
}

void client_list(CommandContext& context, Arguments arguments) {
  Filter filter;
  if (arguments.size() == 4 && equals_ignore_case(arguments[2], "type")) {
    if (!read_type(context, arguments[3], filter)) return;
  } else if (arguments.size() > 3 && equals_ignore_case(arguments[2], "id")) {
    if (!read_ids(context, arguments.subspan(3), filter)) return;
  } else if (arguments.size() != 2) {
    return reply_syntax_error(context);
  }
  std::string text;
  for (const auto& [id, session] : context.worker.sessions()) {
    if (filter.matches(*session, context.now)) text += describe(*session, context.now) + "\n";
  }
  context.reply.verbatim(text);
}

size_t kill_matching(CommandContext& context, const Filter& filter) {
  size_t killed = 0;
  for (auto& [id, session] : context.worker.sessions()) {
    if (session->is_closing || !filter.matches(*session, context.now)) continue;
    if (session == &context.session && filter.skips_me) continue;
    ++killed;
    session->is_closing = true;
    if (session != &context.session) context.worker.killed_sessions().push_back(id);
  }
  return killed;
}

bool read_kill_filter(CommandContext& context, std::string_view name, std::string_view value, Filter& filter) {
  if (equals_ignore_case(name, "id")) {
    auto id = parse_u64(value);
    if (!id || *id == 0) context.reply.error("ERR client-id should be greater than 0");
    filter.ids.push_back(id.value_or(0));
    return filter.ids.back() != 0;
  }
  if (equals_ignore_case(name, "type")) return read_type(context, value, filter);
  if (equals_ignore_case(name, "addr")) {
    filter.address = value;
  } else if (equals_ignore_case(name, "laddr")) {
    filter.local_address = value;
  } else if (equals_ignore_case(name, "user")) {
    filter.user = value;
  } else if (equals_ignore_case(name, "maxage") && parse_i64(value)) {
    filter.age_min_s = parse_i64(value);
  } else if (equals_ignore_case(name, "skipme") && equals_ignore_case(value, "yes")) {
    filter.skips_me = true;
  } else if (equals_ignore_case(name, "skipme") && equals_ignore_case(value, "no")) {
    filter.skips_me = false;
  } else {
    reply_syntax_error(context);
    return false;
  }
  return true;
}

void client_kill(CommandContext& context, Arguments arguments) {
  Filter filter;
  if (arguments.size() == 3) {  // the old form: CLIENT KILL addr:port
    filter.address = arguments[2];
    filter.skips_me = false;
    if (kill_matching(context, filter) == 0) return context.reply.error("ERR No such client");
    return context.reply.ok();
  }
  if (arguments.size() % 2 != 0) return reply_syntax_error(context);
  for (size_t i = 2; i + 1 < arguments.size(); i += 2) {
    if (!read_kill_filter(context, arguments[i], arguments[i + 1], filter)) return;
  }
  context.reply.integer(static_cast<int64_t>(kill_matching(context, filter)));
}

void set_switch(CommandContext& context, std::string_view text, bool& target) {
  bool is_on = equals_ignore_case(text, "on");
  if (!is_on && !equals_ignore_case(text, "off")) return reply_syntax_error(context);
  target = is_on;
  context.reply.ok();
}

void client_no_evict(CommandContext& context, Arguments arguments) {
  set_switch(context, arguments[2], context.session.no_evict);
}

void client_no_touch(CommandContext& context, Arguments arguments) {
  set_switch(context, arguments[2], context.session.no_touch);
}

void client_reply(CommandContext& context, Arguments arguments) {
  Session& session = context.session;
  if (equals_ignore_case(arguments[2], "on")) {
    session.reply_mode = ReplyMode::kOn;
    context.reply.ok();
  } else if (equals_ignore_case(arguments[2], "off")) {
    session.reply_mode = ReplyMode::kOff;
  } else if (equals_ignore_case(arguments[2], "skip")) {
    if (session.reply_mode != ReplyMode::kOff) session.reply_mode = ReplyMode::kSkipNext;
  } else {
    reply_syntax_error(context);
  }
}

void client_unpause(CommandContext& context, Arguments) {
  context.reply.ok();
}  // nothing here is ever paused

void client_help(CommandContext& context, Arguments) {
  reply_help(context, "client");
}

constexpr uint32_t kFlags = kLoading | kFast;

}  // namespace

std::span<const CommandSpec> client_commands() {
  static constexpr std::string_view kGroup = "connection";
  static constexpr std::array kRows = {
      CommandSpec{"client|getname", 2, kFlags, 0, 0, 0, client_getname, kGroup, "Returns the name of the connection.",
                  "2.6.9"},
      CommandSpec{"client|help", 2, kFlags, 0, 0, 0, client_help, kGroup, "Returns helpful text.", "5.0.0"},
      CommandSpec{"client|id", 2, kFlags, 0, 0, 0, client_id, kGroup, "Returns the unique client ID of the connection.",
                  "5.0.0"},
      CommandSpec{"client|info", 2, kFlags, 0, 0, 0, client_info, kGroup, "Returns information about the connection.",
                  "6.2.0"},
      CommandSpec{"client|kill", -3, kAdmin | kLoading, 0, 0, 0, client_kill, kGroup,
                  "Closes connections of this worker.", "2.4.0"},
      CommandSpec{"client|list", -2, kAdmin | kLoading, 0, 0, 0, client_list, kGroup,
                  "Lists the open connections of this worker.", "2.4.0"},
      CommandSpec{"client|no-evict", 3, kAdmin | kLoading | kFast, 0, 0, 0, client_no_evict, kGroup,
                  "Sets the client eviction mode of the connection.", "7.0.0"},
      CommandSpec{"client|no-touch", 3, kFlags, 0, 0, 0, client_no_touch, kGroup,
                  "Controls whether commands sent by the client affect the recency of accessed keys.", "7.2.0"},
      CommandSpec{"client|reply", 3, kFlags, 0, 0, 0, client_reply, kGroup,
                  "Instructs the server whether to reply to commands.", "3.2.0"},
      CommandSpec{"client|setinfo", 4, kFlags, 0, 0, 0, client_setinfo, kGroup,
                  "Sets information specific to the client or connection.", "7.2.0"},
      CommandSpec{"client|setname", 3, kFlags, 0, 0, 0, client_setname, kGroup, "Sets the connection name.", "2.6.9"},
      CommandSpec{"client|unpause", 2, kAdmin | kLoading | kFast, 0, 0, 0, client_unpause, kGroup,
                  "Resumes processing commands from paused clients.", "6.2.0"},
  };
  return kRows;
}

}  // namespace tidemark::cacheserver
