#include "tools/localcluster/member_stop.h"

#include <fmt/format.h>
#include <signal.h>

namespace tidemark::localcluster {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
constexpr auto kKilledTimeout = 10'000ms;  // until a process is gone after SIGKILL

// Children first asleep would be woken by their parent; so the parent sleeps first and wakes last.
std::vector<ProcessId> family_of(const ProcessId& process) {
  std::vector<ProcessId> all{process};
  const auto children = children_of(process.pid);
  all.insert(all.end(), children.begin(), children.end());
  return all;
}

Status mark_ended(ClusterState& state, Member& member) {
  member.process = {};
  member.paused.clear();
  return save_state(state);
}

}  // namespace

Status pause_member(ClusterState& state, Member& member) {
  const Status done = send_signal(member.process, SIGSTOP);
  if (!done) return done;
  member.paused = {member.process};
  if (member.is_postgres())
    for (const ProcessId& child : children_of(member.process.pid))
      if (send_signal(child, SIGSTOP)) member.paused.push_back(child);
  return save_state(state);
}

Status wake_member(ClusterState& state, Member& member) {
  for (auto it = member.paused.rbegin(); it != member.paused.rend(); ++it) (void)send_signal(*it, SIGCONT);
  member.paused.clear();
  return save_state(state);
}

Status kill_member(ClusterState& state, Member& member) {
  // A server's children end by themselves once they see that their postmaster is gone; a sleeping one would not.
  const auto all = member.is_postgres() ? family_of(member.process) : std::vector<ProcessId>{member.process};
  (void)send_signal(member.process, SIGKILL);
  for (const ProcessId& one : member.paused) (void)send_signal(one, SIGCONT);
  for (const ProcessId& one : all) {
    if (wait_for_end(one, one == member.process ? std::chrono::milliseconds(kKilledTimeout) : 2000ms)) continue;
    (void)send_signal(one, SIGKILL);
    if (!wait_for_end(one, kKilledTimeout))
      return fail(ErrorCode::kDeadlineExceeded, fmt::format("{}: process {} does not end", member.name, one.pid));
  }
  return mark_ended(state, member);
}

Status end_member(ClusterState& state, Member& member, int signal) {
  Status done = wake_member(state, member);
  if (done) done = send_signal(member.process, signal);
  if (!done) return done;
  if (!wait_for_end(member.process, state.terminate_timeout()))
    return fail(ErrorCode::kDeadlineExceeded, fmt::format("{} did not end within {} ms of signal {}: {}", member.name,
                                                          state.terminate_timeout_ms, signal, tail_of(member.log)));
  return mark_ended(state, member);
}

Status stop_everything(ClusterState& state) {
  std::string stubborn;
  for (auto it = state.members.rbegin(); it != state.members.rend(); ++it) {
    Member& member = *it;
    if (!is_alive(member.process)) continue;
    // The data is about to be deleted: a crash stop is quick and waits for no replica.
    const Status ended = end_member(state, member, member.is_postgres() ? SIGQUIT : SIGTERM);
    if (ended) continue;
    stubborn += (stubborn.empty() ? "" : "; ") + ended.error().message;
    const Status killed = kill_member(state, member);
    if (!killed) return killed;
  }
  Status done = save_state(state);
  if (done && !state.place.root.empty()) done = remove_postgres_root(state.place.root);
  std::error_code ignored;
  // What belongs to the deleted databases must not meet the next ones: their journal, map and passwords.
  for (const char* name : {"topology", "secrets", "ready", "journal"}) fs::remove_all(state.directory / name, ignored);
  fs::remove(state.file(), ignored);
  if (!stubborn.empty()) return fail(ErrorCode::kDeadlineExceeded, stubborn);
  return done;
}

void remove_remains(const ClusterState& state) {
  std::error_code ignored;
  if (!state.place.root.empty()) (void)remove_postgres_root(state.place.root);
  for (const char* name : {"topology", "secrets", "ready", "journal", "logs"})
    fs::remove_all(state.directory / name, ignored);
  fs::remove(state.file(), ignored);
}

}  // namespace tidemark::localcluster
