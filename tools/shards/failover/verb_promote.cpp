#include "tools/shards/failover/verb_promote.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "services/platform/kill_point.h"
#include "tools/shards/failover/shard_servers.h"

namespace tidemark::shards {
namespace {

using namespace std::chrono_literals;
using shardrouter::PromotionFacts;
using shardrouter::PromotionServer;
using shardrouter::PromotionStep;
using Kind = PromotionStep::Kind;
using Clock = std::chrono::steady_clock;

constexpr auto kPoll = 20ms;
constexpr auto kDrainPatience = 2s;  // for transactions that began before the primary was retired; then they are ended
constexpr auto kCatchUpTimeout = 60s;      // of the replica, when nobody writes any more
constexpr auto kInvalidatorPatience = 2s;  // that has everything before the switch: then caches keep their entries
constexpr auto kOpenTimeout = 30s;         // creating the slot waits for running transactions
constexpr auto kFollowTimeout = 20s;       // of a replica, to stream from the promoted server
constexpr int kStepsMax = 100;

class Promoting {
 public:
  explicit Promoting(const PromoteArguments& arguments) : arguments_(arguments) {}

  Status run() {
    Status done = open();
    if (!done) return done;
    done = arguments_.cancels ? cancel() : promote();
    if (arguments_.format == "json") print_json(done);
    return done;
  }

 private:
  Status open() {
    const auto id = parse_u64(arguments_.shard);
    if (!id || *id > UINT16_MAX)
      return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is no shard's number", arguments_.shard));
    auto described = read_shards_file(arguments_.shards_file);
    if (!described) return std::unexpected(described.error());
    const auto mine = std::ranges::find_if(*described, [&](const AdminShard& one) { return one.shard.id == *id; });
    if (mine == described->end())
      return fail(ErrorCode::kInvalidArgument, fmt::format("the shards file names no shard {}", *id));
    AdminShard shard = std::move(*mine);
    described->erase(mine);
    servers_.emplace(std::move(shard), std::move(*described));
    return {};
  }

  Result<PromotionFacts> look() {
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    const auto topology = store->load();
    if (!topology) return std::unexpected(topology.error());
    auto facts = servers_->look(*topology);
    if (!facts) return facts;
    facts->wanted = target_.empty() ? arguments_.to : target_;
    facts->is_forced = arguments_.is_forced;
    facts->is_topology_current = is_current(*topology, facts->wanted);
    for (PromotionServer& one : facts->servers)
      if (one.name == caught_up_) one.position = std::max(one.position, caught_up_to_);
    return facts;
  }

  bool is_current(const Topology& topology, const std::string& target) const {
    const Shard* shard = topology.find_shard(servers_->description().shard.id);
    return shard != nullptr && std::ranges::all_of(shard->servers, [&](const ShardServer& one) {
             return (one.role == ShardServer::Role::kPrimary) == (one.name == target);
           });
  }

  Status promote() {
    auto facts = look();
    if (!facts) return std::unexpected(facts.error());
    for (const auto& [name, problem] : servers_->problems()) warn(fmt::format("{}: {}", name, problem));
    const auto target = shardrouter::promotion_target(*facts);
    if (!target) return std::unexpected(target.error());
    target_ = *target;
    facts = look();
    for (int i = 0; facts && i < kStepsMax; ++i) {
      const auto step = shardrouter::next_promotion_step(*facts);
      if (!step) return std::unexpected(step.error());
      if (step->kind == Kind::kDone) return end(*facts, *step);
      const Status done = arguments_.is_dry_run ? Status{} : carry_out(*step);
      if (!done) return std::unexpected(done.error().with_context(shardrouter::describe(*step)));
      say(*step);
      services::kill_point(fmt::format("after {}", to_string(step->kind)));
      facts = arguments_.is_dry_run ? Result<PromotionFacts>(after_promotion_step(*facts, *step)) : look();
    }
    if (!facts) return std::unexpected(facts.error());
    return fail(ErrorCode::kInternal, "the promotion does not end: look at the servers");
  }

  Status end(const PromotionFacts& facts, const PromotionStep& step) {
    say(step);
    leftovers_ = shardrouter::promotion_leftovers(facts);
    const ShardServer* primary = servers_->find(step.server);
    const auto current = PgSession::connect("admin", servers_->description().admin);
    if (!current || owner_conninfo(servers_->description(), *primary) != servers_->description().admin)
      leftovers_.push_back(fmt::format("in {}, the \"admin\" of shard {} must lead to {} ({})", arguments_.shards_file,
                                       servers_->description().shard.id, primary->name, primary->conninfo));
    if (arguments_.format != "json")
      for (const std::string& one : leftovers_) fmt::print("left to do: {}\n", one);
    return {};
  }

  Status carry_out(const PromotionStep& step) {
    const auto session = servers_->session(step.server);
    if (!session) return std::unexpected(session.error());
    PgSession& server = **session;
    switch (step.kind) {
      case Kind::kRetire:
        return expect(server, "SELECT shard.retire(tidemark.current_timeline() + 1)", "t");
      case Kind::kDrain:
        return drain(server);
      case Kind::kCatchUp:
        return catch_up(step, server);
      case Kind::kPromote:
        return expect(server, "SELECT pg_promote(true, 60)", "t");
      case Kind::kDisown:
        return disown(server);
      case Kind::kOpen:
        return retry(kOpenTimeout, [&] { return server.run("SELECT shard.open_timeline()"); });
      case Kind::kPublish:
        return publish(step.server);
      case Kind::kRepoint:
        return repoint(step, server);
      case Kind::kDone:
        break;
    }
    return {};
  }

  static Status expect(PgSession& server, const std::string& sql, std::string_view wanted) {
    const auto answer = server.value(sql);
    if (!answer) return std::unexpected(answer.error());
    if (*answer == wanted) return {};
    return fail(ErrorCode::kUnavailable, fmt::format("{} answers '{}'", sql, *answer));
  }

  template <typename Try>
  static Status retry(Clock::duration limit, Try attempt) {
    const auto give_up = Clock::now() + limit;
    while (true) {
      const Status done = attempt();
      if (done || Clock::now() > give_up) return done;
      std::this_thread::sleep_for(kPoll);
    }
  }

  // They passed the guard before; what they commit must still reach the replica.
  Status drain(PgSession& server) {
    const std::string open =
        "FROM pg_stat_activity a, tidemark.epoch e WHERE a.backend_type = 'client backend' AND a.pid <> "
        "pg_backend_pid() AND a.xact_start < e.retired_at";
    const Status ended = retry(kDrainPatience, [&] { return expect(server, "SELECT count(*) " + open, "0"); });
    if (ended) return {};
    const auto terminated = server.value("SELECT count(pg_terminate_backend(a.pid)) " + open);
    if (!terminated) return std::unexpected(terminated.error());
    return retry(kDrainPatience, [&] { return expect(server, "SELECT count(*) " + open, "0"); });
  }

  Status catch_up(const PromotionStep& step, PgSession& replica) {
    const auto old = servers_->session(step.of);
    if (!old) return std::unexpected(old.error());
    const auto end = (*old)->value("SELECT pg_current_wal_flush_lsn()");
    if (!end) return std::unexpected(end.error());
    const Status reached = retry(kCatchUpTimeout, [&] {
      return expect(replica, fmt::format("SELECT pg_last_wal_replay_lsn() >= '{}'::pg_lsn", *end), "t");
    });
    if (!reached) return std::unexpected(reached.error());
    caught_up_ = step.server;
    caught_up_to_ = Lsn{UINT64_MAX};  // whatever the old one writes from here on is no transaction of a router
    // Not a condition: an invalidator that is behind costs the caches their entries, no more.
    (void)retry(kInvalidatorPatience, [&] {
      return expect(**old,
                    fmt::format("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'tidemark' AND active AND "
                                "confirmed_flush_lsn < '{}'::pg_lsn",
                                *end),
                    "0");
    });
    return {};
  }

  Status disown(PgSession& server) {
    const auto stale = servers_->stale_buckets(server);
    if (!stale) return std::unexpected(stale.error());
    for (const auto& one : *stale) {
      const Status given = server.run(
          "UPDATE shard.bucket SET state = 'moved', epoch = $2::bigint, forward = $3 WHERE bucket = $1::int AND "
          "state = 'owned' AND epoch < $2::bigint",
          {std::to_string(one.bucket), std::to_string(one.epoch), std::to_string(one.owner)});
      if (!given) return given;
    }
    return {};
  }

  Status publish(const std::string& primary) {
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    const auto written = store->update([&](Topology& topology) -> Status {
      for (Shard& shard : topology.shards) {
        if (shard.id != servers_->description().shard.id) continue;
        for (ShardServer& one : shard.servers)
          one.role = one.name == primary ? ShardServer::Role::kPrimary : ShardServer::Role::kReplica;
        return {};
      }
      return fail(ErrorCode::kFailedPrecondition, "the shard is not in the topology any more");
    });
    return written ? Status{} : std::unexpected(written.error());
  }

  Status repoint(const PromotionStep& step, PgSession& replica) {
    const auto primary = servers_->session(step.of);
    if (!primary) return std::unexpected(primary.error());
    const auto slot = replica.value("SELECT current_setting('primary_slot_name')");
    if (!slot) return std::unexpected(slot.error());
    if (!slot->empty()) {
      const Status made = (*primary)->run(
          "SELECT pg_create_physical_replication_slot($1, true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots "
          "WHERE slot_name = $1)",
          {*slot});
      if (!made) return made;
    }
    const auto before = replica.value("SELECT current_setting('primary_conninfo')");
    if (!before) return std::unexpected(before.error());
    const auto after = retarget_conninfo(*before, servers_->find(step.of)->conninfo);
    if (!after) return std::unexpected(after.error());
    const auto literal = replica.value("SELECT quote_literal($1)", {*after});
    if (!literal) return std::unexpected(literal.error());
    Status done = replica.run("ALTER SYSTEM SET primary_conninfo = " + *literal);
    if (done) done = replica.run("SELECT pg_reload_conf()");
    if (!done) return done;
    const auto place = place_of_conninfo(*after);
    if (!place) return std::unexpected(place.error());
    const auto sender = replica.value("SELECT quote_literal($1)", {*place});
    if (!sender) return std::unexpected(sender.error());
    // Its own log says why if it does not; the setting stands, and the next run leaves it alone.
    const Status follows = retry(kFollowTimeout, [&] {
      return expect(replica,
                    "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming' AND sender_host || ':' || "
                    "sender_port = " +
                        *sender,
                    "1");
    });
    if (!follows) warn(fmt::format("{} does not stream from {} yet: look at its log", step.server, step.of));
    return {};
  }

  Status cancel() {
    const auto facts = look();
    if (!facts) return std::unexpected(facts.error());
    uint32_t latest = 0;
    for (const PromotionServer& one : facts->servers)
      if (one.is_reachable && !one.is_in_recovery) latest = std::max(latest, one.timeline);
    bool is_found = false;
    for (const PromotionServer& one : facts->servers) {
      if (!one.is_reachable)
        return fail(ErrorCode::kFailedPrecondition,
                    fmt::format("{} does not answer: it may have been promoted, so nothing is taken back", one.name));
      if (one.is_in_recovery || !one.is_retired) continue;
      if (one.timeline < latest)
        return fail(ErrorCode::kFailedPrecondition,
                    fmt::format("{} has a successor on timeline {}: it stays retired", one.name, latest));
      is_found = true;
    }
    if (!is_found) return fail(ErrorCode::kFailedPrecondition, "no server of the shard is retired");
    for (const PromotionServer& one : facts->servers) {
      if (one.is_in_recovery || !one.is_retired) continue;
      const auto session = servers_->session(one.name);
      if (!session) return std::unexpected(session.error());
      const Status done = arguments_.is_dry_run ? Status{} : (*session)->run("SELECT shard.unretire()");
      if (!done) return done;
      say_line("cancel", one.name, one.name + " takes routed writes again");
    }
    return {};
  }

  void say(const PromotionStep& step) {
    say_line(std::string(to_string(step.kind)), step.server, shardrouter::describe(step));
  }
  void say_line(const std::string& step, const std::string& server, const std::string& what) {
    if (arguments_.format == "json") {
      steps_.push_back({{"step", step}, {"server", server}, {"what", what}});
      return;
    }
    fmt::print("{}{:<8}  {}\n", arguments_.is_dry_run ? "would " : "", step, what);
    std::fflush(stdout);
  }
  void warn(std::string line) {
    if (arguments_.format != "json") fmt::print(stderr, "tidemark-shards: {}\n", line);
    warnings_.push_back(std::move(line));
  }

  void print_json(const Status& done) const {
    nlohmann::ordered_json json{{"shard", servers_->description().shard.id},
                                {"target", target_},
                                {"dry_run", arguments_.is_dry_run},
                                {"done", done.has_value()},
                                {"steps", steps_},
                                {"warnings", warnings_},
                                {"left_to_do", leftovers_}};
    if (!done) json["error"] = done.error().message;
    fmt::print("{}\n", json.dump(2));
  }

  const PromoteArguments& arguments_;
  std::optional<ShardServers> servers_;
  std::string target_;
  std::string caught_up_;
  Lsn caught_up_to_;
  nlohmann::ordered_json steps_ = nlohmann::ordered_json::array();
  std::vector<std::string> warnings_, leftovers_;
};

}  // namespace

void declare(io::Options& verb, PromoteArguments& arguments) {
  verb.positional("shard", arguments.shard, true, "number of the shard");
  verb.text("shards", arguments.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
  verb.text("topology", arguments.topology, "topology store, file:DIR");
  verb.text("to", arguments.to, "the replica to promote (default: the most advanced one)");
  verb.flag("force", arguments.is_forced, "although a server does not answer: you know that it is stopped");
  verb.flag("cancel", arguments.cancels, "take back a promotion that has not promoted anybody yet");
  verb.flag("dry-run", arguments.is_dry_run, "only say what would be done");
  verb.choice("format", arguments.format, {"table", "json"}, "how to print");
  for (const char* name : {"shards", "topology"}) verb.require(name);
}

Status run_promote(const PromoteArguments& arguments) {
  return Promoting(arguments).run();
}

}  // namespace tidemark::shards
