#include "tools/localcluster/member_start.h"

#include <fmt/format.h>

#include <thread>

#include "base/io/ready_file.h"

namespace tidemark::localcluster {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
constexpr auto kPollInterval = 10ms;

uint16_t port_of(const io::ReadyFields& fields, const char* name) {
  const auto it = fields.find(name);
  const auto* number = it == fields.end() ? nullptr : std::get_if<int64_t>(&it->second);
  return number && *number > 0 && *number <= 65535 ? static_cast<uint16_t>(*number) : 0;
}

// What a program bound is what counts: it may have been given port 0 by extra arguments.
void take_ports(const io::ReadyFields& fields, Member& member) {
  if (const uint16_t port = port_of(fields, "metrics_port")) member.metrics_port = port;
  const auto it = fields.find("ports");
  if (const auto* list = it == fields.end() ? nullptr : std::get_if<std::vector<int64_t>>(&it->second)) {
    member.ports.clear();
    for (const int64_t port : *list) member.ports.push_back(static_cast<uint16_t>(port));
  } else if (const uint16_t port = port_of(fields, "port"); port && member.ports.size() <= 1) {
    member.ports = {port};
  }
}

Status await_ready(Member& member, std::chrono::milliseconds timeout) {
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto fields = io::read_ready_file(member.ready_file);
    if (fields) {
      take_ports(*fields, member);
      return {};
    }
    if (!is_alive(member.process))
      return fail(ErrorCode::kUnavailable, member.name + " ended while it started: " + tail_of(member.log));
    if (std::chrono::steady_clock::now() > give_up)
      return fail(ErrorCode::kDeadlineExceeded,
                  fmt::format("{} is not ready after {} ms: {}", member.name, timeout.count(), tail_of(member.log)));
    std::this_thread::sleep_for(kPollInterval);
  }
}

Status launch(ClusterState& state, Member& member) {
  std::error_code ignored;
  fs::remove(member.ready_file, ignored);
  auto environment = state.environment;
  environment.insert(environment.end(), member.environment.begin(), member.environment.end());
  const auto process = spawn({member.argv, member.log, std::move(environment)});
  if (!process) return std::unexpected(process.error().with_context(member.name));
  member.process = *process;
  return save_state(state);
}

}  // namespace

Status start_server(ClusterState& state, Member& member) {
  remove_lock_files(state.server(member));
  const auto process = start_postgres(state.server(member), state.start_timeout());
  if (!process) return std::unexpected(process.error());
  member.process = *process;
  return save_state(state);
}

Status start_member(ClusterState& state, Member& member) {
  member.paused.clear();
  if (member.is_postgres()) return start_server(state, member);
  Status done = launch(state, member);
  if (done) done = await_ready(member, state.start_timeout());
  return done ? save_state(state) : done;
}

Status start_kind(ClusterState& state, Kind kind) {
  std::vector<Member*> started;
  for (Member& member : state.members) {
    if (member.kind != kind || is_alive(member.process)) continue;
    const Status done = launch(state, member);
    if (!done) return done;
    started.push_back(&member);
  }
  for (Member* member : started) {
    const Status done = await_ready(*member, state.start_timeout());
    if (!done) return done;
  }
  return save_state(state);
}

}  // namespace tidemark::localcluster
