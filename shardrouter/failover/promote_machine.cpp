#include "shardrouter/failover/promote_machine.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::shardrouter {
namespace {

using Kind = PromotionStep::Kind;

std::unexpected<Error> refuse(std::string text) {
  return fail(ErrorCode::kFailedPrecondition, std::move(text));
}

const PromotionServer* find(const PromotionFacts& facts, std::string_view name) {
  const auto found = std::ranges::find(facts.servers, name, &PromotionServer::name);
  return found == facts.servers.end() ? nullptr : &*found;
}

bool is_primary(const PromotionServer& server) {
  return server.is_reachable && !server.is_in_recovery;
}

uint32_t latest_timeline(const PromotionFacts& facts) {
  uint32_t latest = 0;
  for (const PromotionServer& one : facts.servers)
    if (is_primary(one)) latest = std::max(latest, one.timeline);
  return latest;
}

// It has nothing that `to` never had. (One with the primary's db_epoch is on its timeline already.)
bool can_follow(const PromotionServer& replica, const PromotionServer& to) {
  return replica.position <= to.switch_lsn || replica.db_epoch == to.db_epoch;
}

bool must_be_repointed(const PromotionServer& one, const PromotionServer& to) {
  return one.is_reachable && one.is_in_recovery && one.follows != to.name && can_follow(one, to);
}

// The server that was promoted already, if there is one: a primary that the topology calls a replica, one whose
// timeline has left that of another primary behind, or one that does not have its replicas yet.
Result<const PromotionServer*> promoted(const PromotionFacts& facts) {
  const uint32_t latest = latest_timeline(facts);
  const PromotionServer* found = nullptr;
  for (const PromotionServer& one : facts.servers) {
    if (!is_primary(one) || one.timeline != latest || one.is_retired) continue;
    if (found != nullptr)
      return refuse(fmt::format("{} and {} are both primaries of timeline {}: stop the one that must not go on",
                                found->name, one.name, latest));
    found = &one;
  }
  if (found == nullptr) return nullptr;
  const bool is_unfinished = !found->is_primary_in_topology || std::ranges::any_of(facts.servers, [&](const auto& one) {
    return (is_primary(one) && one.timeline < latest && !one.is_retired) ||
           (!found->switch_lsn.is_zero() && must_be_repointed(one, *found));
  });
  // What people have not cleared up yet: no reason to promote another one unasked.
  const bool has_leftovers = std::ranges::any_of(facts.servers, [&](const auto& one) {
    return (is_primary(one) && one.timeline < latest) ||
           (latest > 1 && one.is_reachable && one.is_in_recovery && one.follows != found->name);
  });
  if (is_unfinished || found->name == facts.wanted || (has_leftovers && facts.wanted.empty())) return found;
  return nullptr;
}

Result<const PromotionServer*> candidate(const PromotionFacts& facts) {
  if (!facts.wanted.empty()) {
    const PromotionServer* wanted = find(facts, facts.wanted);
    if (wanted == nullptr) return refuse(fmt::format("the shard has no server {}", facts.wanted));
    if (!wanted->is_reachable) return refuse(fmt::format("{} does not answer", wanted->name));
    if (!wanted->is_in_recovery) return refuse(fmt::format("{} is no replica", wanted->name));
    return wanted;
  }
  const PromotionServer* best = nullptr;
  for (const PromotionServer& one : facts.servers)
    if (one.is_reachable && one.is_in_recovery && (best == nullptr || one.position > best->position)) best = &one;
  if (best == nullptr) return refuse("no replica of the shard answers: there is nothing to promote");
  return best;
}

Result<PromotionStep> before_promotion(const PromotionFacts& facts) {
  const auto chosen = candidate(facts);
  if (!chosen) return std::unexpected(chosen.error());
  const PromotionServer& to = **chosen;
  if (to.is_replay_paused)
    return refuse(
        fmt::format("replay of {0} is paused, and a paused server is not promoted to the end of what it has: "
                    "SELECT pg_wal_replay_resume() there, or choose another with --to",
                    to.name));
  if (to.stale_buckets > 0 && !facts.is_forced)
    return refuse(
        fmt::format("{} has not heard that {} of its buckets moved to other shards: promoted it would claim "
                    "them; choose another with --to, or --force to promote it and take them from it",
                    to.name, to.stale_buckets));
  const PromotionServer* old = nullptr;
  for (const PromotionServer& one : facts.servers) {
    if (is_primary(one)) old = &one;
    if (one.is_reachable || facts.is_forced) continue;
    if (one.is_primary_in_topology)
      return refuse(
          fmt::format("{} does not answer, so nobody can tell it that it has a successor. Make sure that it is "
                      "stopped, and that commits waited for {} (or that you accept to lose the last ones); "
                      "then --force",
                      one.name, to.name));
    return refuse(
        fmt::format("{} does not answer: it may have more than {}, and may not follow it afterwards; bring it "
                    "back, or --force to go on without it",
                    one.name, to.name));
  }
  if (!facts.is_forced && old == nullptr) {
    for (const PromotionServer& one : facts.servers)
      if (one.is_reachable && one.is_in_recovery && one.position > to.position)
        return refuse(
            fmt::format("{} has more than {}: choose it, or --force to lose what is only there", one.name, to.name));
  }
  for (const PromotionServer& one : facts.servers)
    if (is_primary(one) && !one.is_retired) return PromotionStep{Kind::kRetire, one.name, ""};
  if (old != nullptr && old->writers > 0) return PromotionStep{Kind::kDrain, old->name, ""};
  for (const PromotionServer& one : facts.servers)
    if (old != nullptr && one.is_reachable && one.is_in_recovery && one.name != to.name && one.follows != to.name)
      return PromotionStep{Kind::kRepoint, one.name, to.name};
  if (old != nullptr && to.position < old->position) return PromotionStep{Kind::kCatchUp, to.name, old->name};
  return PromotionStep{Kind::kPromote, to.name, ""};
}

Result<PromotionStep> after_promotion(const PromotionFacts& facts, const PromotionServer& to) {
  if (!facts.wanted.empty() && facts.wanted != to.name)
    return refuse(fmt::format("{} has been promoted already: run without --to to end that", to.name));
  for (const PromotionServer& one : facts.servers)
    if (is_primary(one) && one.timeline < to.timeline && !one.is_retired)
      return PromotionStep{Kind::kRetire, one.name, ""};
  if (to.stale_buckets > 0) return PromotionStep{Kind::kDisown, to.name, ""};
  if (!to.is_open) return PromotionStep{Kind::kOpen, to.name, ""};
  if (!facts.is_topology_current) return PromotionStep{Kind::kPublish, to.name, ""};
  for (const PromotionServer& one : facts.servers)
    if (must_be_repointed(one, to)) return PromotionStep{Kind::kRepoint, one.name, to.name};
  return PromotionStep{Kind::kDone, to.name, ""};
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kRetire:
      return "retire";
    case Kind::kDrain:
      return "drain";
    case Kind::kCatchUp:
      return "catch-up";
    case Kind::kPromote:
      return "promote";
    case Kind::kDisown:
      return "disown";
    case Kind::kOpen:
      return "open";
    case Kind::kPublish:
      return "publish";
    case Kind::kRepoint:
      return "repoint";
    case Kind::kDone:
      return "done";
  }
  return "unknown";
}

std::string describe(const PromotionStep& step) {
  switch (step.kind) {
    case Kind::kRetire:
      return fmt::format("{} takes no routed write any more", step.server);
    case Kind::kDrain:
      return fmt::format("the last transactions of {} end", step.server);
    case Kind::kCatchUp:
      return fmt::format("{} has replayed all that {} has", step.server, step.of);
    case Kind::kPromote:
      return fmt::format("{} leaves recovery on a new timeline", step.server);
    case Kind::kDisown:
      return fmt::format("{} gives up buckets that moved away without its knowledge", step.server);
    case Kind::kOpen:
      return fmt::format("{}: slot, db_epoch, then routed writes", step.server);
    case Kind::kPublish:
      return fmt::format("the topology names {} as the primary", step.server);
    case Kind::kRepoint:
      return fmt::format("{} follows {}", step.server, step.of);
    case Kind::kDone:
      return fmt::format("{} is the primary", step.server);
  }
  return "";
}

Result<std::string> promotion_target(const PromotionFacts& facts) {
  const auto done = promoted(facts);
  if (!done) return std::unexpected(done.error());
  if (*done != nullptr) {
    if (facts.wanted.empty() || facts.wanted == (*done)->name) return (*done)->name;
    return refuse(fmt::format("{} has been promoted already: run without --to to end that", (*done)->name));
  }
  const auto chosen = candidate(facts);
  if (!chosen) return std::unexpected(chosen.error());
  return (*chosen)->name;
}

Result<PromotionStep> next_promotion_step(const PromotionFacts& facts) {
  const auto done = promoted(facts);
  if (!done) return std::unexpected(done.error());
  return *done != nullptr ? after_promotion(facts, **done) : before_promotion(facts);
}

PromotionFacts after_promotion_step(PromotionFacts facts, const PromotionStep& step) {
  const auto found = std::ranges::find(facts.servers, step.server, &PromotionServer::name);
  if (found == facts.servers.end()) return facts;
  PromotionServer& server = *found;
  const PromotionServer* of = find(facts, step.of);
  switch (step.kind) {
    case Kind::kRetire:
      server.is_retired = true;
      break;
    case Kind::kDrain:
      server.writers = 0;
      break;
    case Kind::kCatchUp:
      if (of != nullptr) server.position = of->position;
      break;
    case Kind::kPromote:
      server.is_in_recovery = false;
      server.is_retired = server.is_open = false;
      server.timeline = latest_timeline(facts) + 1;
      server.db_epoch = 0;  // a new one, which its replicas do not have yet
      server.switch_lsn = server.position;
      break;
    case Kind::kDisown:
      server.stale_buckets = 0;
      break;
    case Kind::kOpen:
      server.is_open = true;
      break;
    case Kind::kPublish:
      facts.is_topology_current = true;
      for (PromotionServer& one : facts.servers) one.is_primary_in_topology = one.name == step.server;
      break;
    case Kind::kRepoint:
      server.follows = step.of;
      break;
    case Kind::kDone:
      break;
  }
  return facts;
}

std::vector<std::string> promotion_leftovers(const PromotionFacts& facts) {
  std::vector<std::string> left;
  const auto done = promoted(facts);
  if (!done || *done == nullptr) return left;
  const PromotionServer& to = **done;
  for (const PromotionServer& one : facts.servers) {
    if (one.name == to.name) continue;
    if (!one.is_reachable)
      left.push_back(
          fmt::format("{0} does not answer: before it may serve again, stop it, pg_rewind it to {1} (or make a "
                      "new base backup) and start it as a standby",
                      one.name, to.name));
    else if (!one.is_in_recovery)
      left.push_back(
          fmt::format("{0} is retired and still runs as a primary: stop it, pg_rewind it to {1} and start it "
                      "as a standby of {1}",
                      one.name, to.name));
    else if (one.follows != to.name)
      left.push_back(fmt::format("{0} has WAL that {1} never had: stop it, pg_rewind it to {1} and start it again",
                                 one.name, to.name));
  }
  return left;
}

}  // namespace tidemark::shardrouter
