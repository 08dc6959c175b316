// PING, ECHO, QUIT, AUTH, HELLO, SELECT, RESET; CLIENT stands in client_commands.cpp.
#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "base/parse.h"
#include "cacheserver/command/client_commands.h"
#include "cacheserver/command/command.h"
#include "cacheserver/command/help.h"
#include "cacheserver/command/versions.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

constexpr std::string_view kWrongPassword = "WRONGPASS invalid username-password pair or user is disabled.";

void ping(CommandContext& context, Arguments arguments) {
  if (arguments.size() > 2) return context.reply.error("ERR wrong number of arguments for 'ping' command");
  if (arguments.size() == 2) return context.reply.bulk(arguments[1]);
  context.reply.simple("PONG");
}

void echo(CommandContext& context, Arguments arguments) {
  context.reply.bulk(arguments[1]);
}

void quit(CommandContext& context, Arguments) {
  context.reply.ok();
  context.session.is_closing = true;
}

// Time does not tell how much of a guess is right.
bool secrets_equal(std::string_view secret, std::string_view guess) {
  size_t difference = secret.size() ^ guess.size();
  for (size_t i = 0; i < guess.size(); ++i) {
    char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference |= static_cast<unsigned char>(expected ^ guess[i]);
  }
  return difference == 0;
}

// True: the session is that user from now on. False: nothing has changed.
bool authenticate(CommandContext& context, std::string_view user, std::string_view password) {
  const Credentials& credentials = context.worker.credentials();
  if (user == "default") {
    if (!credentials.default_password.empty() && !secrets_equal(credentials.default_password, password)) return false;
    context.session.user = User::kDefault;
    return true;
  }
  if (user != "invalidator" || credentials.invalidator_password.empty()) return false;
  if (!secrets_equal(credentials.invalidator_password, password)) return false;
  context.session.user = User::kInvalidator;
  return true;
}

void auth(CommandContext& context, Arguments arguments) {
  if (arguments.size() > 3) return reply_syntax_error(context);
  if (arguments.size() == 2 && !context.worker.needs_password()) {
    return context.reply.error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
  }
  std::string_view user = arguments.size() == 3 ? arguments[1] : "default";
  if (!authenticate(context, user, arguments.back())) return context.reply.error(kWrongPassword);
  context.reply.ok();
}

struct HelloOptions {
  int protocol = 0;  // 0: stays as it is
  bool has_auth = false;
  std::string_view user, password;
  bool has_name = false;
  std::string_view name;
};

// False: an error has been written.
bool read_hello(CommandContext& context, Arguments arguments, HelloOptions& options) {
  if (arguments.size() < 2) return true;
  auto protocol = parse_i64(arguments[1]);
  if (!protocol) {
    context.reply.error("ERR Protocol version is not an integer or out of range");
    return false;
  }
  if (*protocol < 2 || *protocol > 3) {
    context.reply.error("NOPROTO unsupported protocol version");
    return false;
  }
  options.protocol = static_cast<int>(*protocol);
  for (size_t i = 2; i < arguments.size();) {
    if (equals_ignore_case(arguments[i], "auth") && i + 2 < arguments.size()) {
      options.has_auth = true;
      options.user = arguments[i + 1];
      options.password = arguments[i + 2];
      i += 3;
    } else if (equals_ignore_case(arguments[i], "setname") && i + 1 < arguments.size()) {
      options.has_name = true;
      options.name = arguments[i + 1];
      i += 2;
    } else {
      context.reply.error(fmt::format("ERR Syntax error in HELLO option '{}'", arguments[i]));
      return false;
    }
  }
  return true;
}

void reply_hello(CommandContext& context) {
  RespWriter& reply = context.reply;
  reply.map(9);
  reply.bulk("server");
  reply.bulk("redis");  // what clients look for; who we are stands below
  reply.bulk("version");
  reply.bulk(kRedisVersion);
  reply.bulk("proto");
  reply.integer(context.session.protocol);
  reply.bulk("id");
  reply.integer(static_cast<int64_t>(context.session.id));
  reply.bulk("mode");
  reply.bulk(context.worker.is_clustered() ? "cluster" : "standalone");
  reply.bulk("role");
  reply.bulk(context.worker.is_primary() ? "master" : "replica");
  reply.bulk("modules");
  reply.array(0);
  reply.bulk("tidemark_protocol");
  reply.integer(kTidemarkProtocol);
  reply.bulk("tidemark_version");
  reply.bulk(kTidemarkVersion);
}

void hello(CommandContext& context, Arguments arguments) {
  HelloOptions options;
  if (!read_hello(context, arguments, options)) return;
  Session& session = context.session;
  if (options.has_auth && !authenticate(context, options.user, options.password)) {
    return context.reply.error(kWrongPassword);
  }
  if (!session.is_authenticated()) {
    return context.reply.error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> "
        "<pass> option can be used to authenticate the client and select the RESP protocol version at the same time");
  }
  if (options.has_name && !is_valid_client_name(options.name)) {
    return context.reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
  }
  if (options.has_name) session.name = options.name;
  if (options.protocol != 0) session.protocol = options.protocol;
  context.reply.set_protocol(session.protocol);
  reply_hello(context);
}

void select(CommandContext& context, Arguments arguments) {
  int64_t index = 0;
  if (!read_integer(context, arguments[1], index)) return;
  if (index == 0) return context.reply.ok();
  context.reply.error(context.worker.is_clustered() ? "ERR SELECT is not allowed in cluster mode"
                                                    : "ERR DB index is out of range");
}

void reset(CommandContext& context, Arguments) {
  Session& session = context.session;
  session.protocol = 2;
  session.user = context.worker.needs_password() ? User::kNone : User::kDefault;
  session.reply_mode = ReplyMode::kOn;
  session.no_evict = session.no_touch = session.is_readonly = session.is_asking = false;
  session.name.clear();
  context.reply.set_protocol(2);
  context.reply.simple("RESET");
}

constexpr std::string_view kGroup = "connection";
constexpr std::array kRows = {
    CommandSpec{"auth", -2, kFast | kLoading | kNoAuth, 0, 0, 0, auth, kGroup, "Authenticates the connection.",
                "1.0.0"},
    CommandSpec{"echo", 2, kFast | kLoading, 0, 0, 0, echo, kGroup, "Returns the given string.", "1.0.0"},
    CommandSpec{"hello", -1, kFast | kLoading | kNoAuth, 0, 0, 0, hello, kGroup, "Handshakes with the server.",
                "6.0.0"},
    CommandSpec{"ping", -1, kFast | kLoading, 0, 0, 0, ping, kGroup, "Returns the server's liveliness response.",
                "1.0.0"},
    CommandSpec{"quit", -1, kFast | kLoading | kNoAuth, 0, 0, 0, quit, kGroup, "Closes the connection.", "1.0.0"},
    CommandSpec{"reset", 1, kFast | kLoading | kNoAuth, 0, 0, 0, reset, kGroup, "Resets the connection.", "6.2.0"},
    CommandSpec{"select", 2, kFast | kLoading, 0, 0, 0, select, kGroup, "Changes the selected database.", "1.0.0"},
};

}  // namespace

std::span<const CommandSpec> connection_commands() {
  static const std::vector<CommandSpec> rows = [] {
    std::vector<CommandSpec> joined(kRows.begin(), kRows.end());
    joined.insert(joined.end(), client_commands().begin(), client_commands().end());
    return joined;
  }();
  return rows;
}

}  // namespace tidemark::cacheserver
