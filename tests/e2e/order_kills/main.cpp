// Orders killed at every step: of the service, of the relays, of the shards. After each run the books are read in SQL.
//
//   order_kills [--runs N] [--seed S] [--first R]     one line per run, figures at the end
//   order_kills --plant 1                             one piece of stock comes from nowhere: the books must not add up
//
// A run: new products, few of them plentiful; something armed to die; a burst of customers who repeat what was not
// answered. Whatever dies is started again. When nothing is under way any more: stock and what orders have taken add up
// to the stock at first for each product and nothing is negative; every order that a customer was told of is there, and
// the same key gives it again; none that was refused is; a cancelled one is cancelled; no outbox row, no held
// reservation is left; every saga has ended. Exit code 0 only if all runs add up and, if there were runs enough, every
// kill point killed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <future>
#include <iostream>
#include <random>
#include <thread>

#include "tests/e2e/order_kills/faults.h"
#include "tests/e2e/order_kills/shoppers.h"

namespace tidemark::order {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Settings {
  uint64_t runs = 6;
  uint64_t seed = 1;
  uint64_t first = 0;
  uint64_t plant = 0;
} settings;

struct Figures {
  std::map<std::string, int> runs, kills;  // by kind of fault
  int placed = 0, refused = 0, gave_up = 0, cancelled = 0, attempts = 0;
  int kills_in_all = 0, crashes = 0;
};

class KillRun {
 public:
  KillRun(OrderCluster& cluster, uint64_t run, Figures& figures)
      : cluster_(cluster), run_(run), plan_(plan_run(run, settings.seed)), figures_(figures) {}

  void go() {
    ++figures_.runs[plan_.kind];
    const auto begin = Clock::now();
    stock_up();
    arm(plan_.point);
    hold_up_relays(true);
    burst(0);
    if (are_held_) {
      make_reservations_due();
      give_back_what_is_due();
      burst(1);
      make_reservations_due();
      hold_up_relays(false);
    }
    wait_for_death();
    clean_up();
    if (settings.plant > 0) {
      cluster_.execute(fmt::format("UPDATE catalog.product SET stock = stock + 1 WHERE sku = '{}'", skus_[0]));
    }
    const bool is_settled = cluster_.settle(120s);
    check(is_settled);
    report(begin);
  }

 private:
  void stock_up() {
    std::map<std::string, int64_t> stocks;
    const int64_t amounts[] = {1000, 25, 12, 6, 3};
    for (size_t i = 0; i < std::size(amounts); ++i) {
      skus_.push_back(fmt::format("run{}-{}", run_, i));
      stocks[skus_.back()] = amounts[i];
    }
    cluster_.add_products(stocks);
  }
  std::string address() const {
    return "127.0.0.1:" + std::to_string(cluster_.processes().process("order")->ports.at(0));
  }
  std::vector<std::string> targets() const {
    if (plan_.target == Target::kService) return {"order"};
    return plan_.target == Target::kRelays ? std::vector<std::string>{"relay1", "relay2"} : std::vector<std::string>{};
  }
  void arm(const std::optional<KillPoint>& point) {
    if (!point) return;
    for (const std::string& name : targets()) cluster_.restart_with_kill_point(name, point->name, point->visit);
  }

  // Held-up relays find reservations that have expired, and stock that others have taken since.
  void hold_up_relays(bool is_held) {
    if (!plan_.are_relays_held_up) return;
    for (const char* relay : {"relay1", "relay2"}) {
      if (!cluster_.is_running(relay)) continue;
      const Status done = is_held ? cluster_.processes().pause(relay) : cluster_.processes().resume(relay);
      EXPECT_TRUE(done) << done.error().to_string();
    }
    are_held_ = is_held;
  }
  // What a relay does that is late: it finds reservations expired, and their stock sold to others.
  void make_reservations_due() {
    at_primaries(
        fmt::format("UPDATE catalog.reservation SET expires_at = now() - interval '1 s' WHERE state = 'held' AND sku "
                    "LIKE 'run{}-%'",
                    run_));
  }
  void give_back_what_is_due() { at_primaries("SELECT catalog.expire_reservations(1000)"); }
  void at_primaries(const std::string& sql) {
    for (const std::string_view primary : kPrimaries) {
      // After a crash nobody may have opened the incarnation yet.
      std::string trouble;
      EXPECT_TRUE(wait_until([&] {
        auto done = cluster_.processes().psql(primary, "SELECT tidemark.open_incarnation(); " + sql);
        if (!done) trouble = done.error().to_string();
        return done.has_value();
      })) << sql
          << ": " << trouble;
    }
  }

  Shoppers shoppers(uint64_t wave) const { return {address(), skus_, run_, wave, settings.seed}; }

  void burst(uint64_t wave) {
    const auto begin = Clock::now();
    auto told = std::async(std::launch::async, [&] { return shoppers(wave).run(); });
    while (told.wait_for(10ms) != std::future_status::ready) {
      if (Clock::now() - begin >= std::chrono::milliseconds(plan_.crash_after_ms)) crash();
      revive();
    }
    crash();
    for (Told& one : told.get()) told_.push_back(std::move(one));
  }
  // Once, if this run is to.
  void crash() {
    if (!plan_.primary || is_crashed_) return;
    is_crashed_ = true;
    auto& processes = cluster_.processes();
    const Status stopped = processes.pg_stop(*plan_.primary, localcluster::StopMode::kImmediate);
    EXPECT_TRUE(stopped) << stopped.error().to_string();
    ++figures_.crashes;
    ++deaths_;
    if (plan_.target == Target::kPrimary) ++figures_.kills[plan_.kind];
    std::this_thread::sleep_for(std::chrono::milliseconds(plan_.down_ms));
    const Status started = processes.pg_start(*plan_.primary);
    EXPECT_TRUE(started) << started.error().to_string();
  }

  void revive() {
    for (const char* name : {"order", "relay1", "relay2"}) {
      if (cluster_.is_running(name)) continue;
      ++deaths_;
      ++figures_.kills_in_all;
      if (!is_reached_) ++figures_.kills[plan_.kind];
      is_reached_ = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(plan_.down_ms));
      const bool is_again = plan_.point_again && deaths_ == 1;
      cluster_.restart_with_kill_point(name, is_again ? plan_.point_again->name : "",
                                       is_again ? plan_.point_again->visit : 1);
    }
  }
  // The relays may come to their end after the burst has.
  void wait_for_death() {
    if (plan_.target != Target::kRelays) return revive();
    const auto end = Clock::now() + 3s;
    while (!is_reached_ && Clock::now() < end && !is_idle()) {
      revive();
      std::this_thread::sleep_for(20ms);
    }
  }
  bool is_idle() {
    return cluster_.number(
               "SELECT (SELECT count(*) FROM shop.outbox) + (SELECT count(*) FROM catalog.reservation WHERE state = "
               "'held')") == 0;
  }
  // Nothing is armed any more; what has died late is started again.
  void clean_up() {
    revive();
    for (const std::string& name : targets()) cluster_.restart_with_kill_point(name, "");
    for (const char* name : {"order", "relay1", "relay2"}) {
      if (!cluster_.is_running(name)) cluster_.restart_with_kill_point(name, "");
    }
  }

  void check(bool is_settled) {
    if (!is_settled) {
      wrong_.push_back("sagas or held reservations are left after two minutes");
      for (const auto& row :
           cluster_.rows("SELECT order_id, kind, step, attempts, last_error FROM shop.outbox LIMIT 5"))
        wrong_.push_back(fmt::format("  outbox: {}", fmt::join(row, " | ")));
    }
    std::set<int64_t> acknowledged;
    std::map<std::pair<std::string, std::string>, std::string> states;  // customer, key
    for (const auto& row : cluster_.rows("SELECT customer_id, idempotency_key, state FROM shop.orders")) {
      if (!states.try_emplace({row[0], row[1]}, row[2]).second)
        wrong_.push_back(fmt::format("key {}: two orders", row[1]));
    }
    for (const Told& told : told_) {
      count(told);
      const auto found = states.find({std::to_string(told.customer), told.key});
      if (told.is_wrong) wrong_.push_back(fmt::format("key {}: {}", told.key, told.error));
      if (told.answer == Told::Answer::kPlaced) acknowledged.insert(told.order_id);
      if (told.answer == Told::Answer::kRefused && found != states.end())
        wrong_.push_back(
            fmt::format("key {}: refused ({}), and there is an order, {}", told.key, told.error, found->second));
      if (told.is_cancelled && (found == states.end() || found->second != "cancelled"))
        wrong_.push_back(fmt::format("order {}: told cancelled, and it is {}", told.order_id,
                                     found == states.end() ? "lost" : found->second));
    }
    for (std::string& line : cluster_.audit(acknowledged)) wrong_.push_back(std::move(line));
    for (std::string& line : shoppers(0).ask_again(told_)) wrong_.push_back(std::move(line));
  }
  void count(const Told& told) {
    figures_.attempts += told.attempts;
    figures_.cancelled += told.is_cancelled ? 1 : 0;
    figures_.placed += told.answer == Told::Answer::kPlaced ? 1 : 0;
    figures_.refused += told.answer == Told::Answer::kRefused ? 1 : 0;
    figures_.gave_up += told.answer == Told::Answer::kGaveUp ? 1 : 0;
  }
  void report(Clock::time_point begin) const {
    int placed = 0;
    for (const Told& told : told_) placed += told.answer == Told::Answer::kPlaced ? 1 : 0;
    std::cout << fmt::format("run {:3}  {:<22} {} deaths  {:2} of {} placed  {:5.1f} s  {}\n", run_, plan_.kind,
                             deaths_, placed, told_.size(), std::chrono::duration<double>(Clock::now() - begin).count(),
                             wrong_.empty() ? "adds up" : "WRONG")
              << std::flush;
    for (const std::string& line : wrong_)
      ADD_FAILURE() << "run " << run_ << " (seed " << settings.seed << "): " << line;
  }

  OrderCluster& cluster_;
  uint64_t run_;
  RunPlan plan_;
  Figures& figures_;
  std::vector<std::string> skus_;
  std::vector<Told> told_;
  std::vector<std::string> wrong_;
  int deaths_ = 0;
  bool is_reached_ = false, are_held_ = false, is_crashed_ = false;
};

void print(const Figures& figures) {
  std::cout << fmt::format(
      "{} runs: {} orders placed, {} cancelled, {} refused, {} given up; {} calls; {} processes killed, {} primaries "
      "crashed\n",
      settings.runs, figures.placed, figures.cancelled, figures.refused, figures.gave_up, figures.attempts,
      figures.kills_in_all, figures.crashes);
  for (const auto& [kind, runs] : figures.runs) {
    const auto kills = figures.kills.find(kind);
    std::cout << fmt::format("  {:<22} {:3} runs, killed in {:3}\n", kind, runs,
                             kills == figures.kills.end() ? 0 : kills->second);
  }
}

TEST(OrderKills, OrdersAddUpWhateverIsKilled) {
  OrderCluster cluster({.relays = 2,
                        .order_arguments = {"--reservation-ttl", "2s"},
                        .relay_arguments = {"--lease", "500ms", "--sweep-interval", "100ms"}});
  const Status started = cluster.start();
  ASSERT_TRUE(started) << started.error().to_string();
  Figures figures;
  for (uint64_t run = settings.first; run < settings.first + settings.runs; ++run) {
    KillRun(cluster, run, figures).go();
    if (HasFailure()) break;
  }
  print(figures);
  if (settings.runs < 5 * kFaultKinds) return;
  for (const auto& [kind, runs] : figures.runs) EXPECT_GT(figures.kills[kind], 0) << kind << " never killed anything";
}

bool read_number(std::string_view argument, std::string_view name, uint64_t& target) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  return std::from_chars(argument.data(), argument.data() + argument.size(), target).ec == std::errc();
}

}  // namespace
}  // namespace tidemark::order

int main(int argc, char** argv) {
  using tidemark::order::settings;
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string argument = std::string(argv[i]) + "=" + argv[i + 1];
    if (tidemark::order::read_number(argument, "--runs=", settings.runs) ||
        tidemark::order::read_number(argument, "--seed=", settings.seed) ||
        tidemark::order::read_number(argument, "--first=", settings.first) ||
        tidemark::order::read_number(argument, "--plant=", settings.plant)) {
      continue;
    }
    std::cerr << "usage: order_kills [--runs N] [--seed S] [--first R] [--plant 1]\n";
    return 2;
  }
  return RUN_ALL_TESTS();
}
