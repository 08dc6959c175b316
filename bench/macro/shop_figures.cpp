#include "bench/macro/shop_figures.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace tidemark::bench {
namespace {

std::string list(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [kind, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kind, count);
  return text.empty() ? "none" : text;
}

}  // namespace

double ShopFigures::statements_per_order() const {
  return orders_measured <= 0 ? 0 : (service_statements + relay_statements) / orders_measured;
}

std::vector<std::string> ShopFigures::violations() const {
  std::vector<std::string> found;
  const auto expect_none = [&](uint64_t count, std::string_view what) {
    if (count > 0) found.push_back(fmt::format("{} {}", count, what));
  };
  expect_none(orders.lost, "acknowledged orders are not in the database as they were placed");
  expect_none(orders.oversold, "units were sold that were not there");
  expect_none(orders.unbalanced, "products whose stock and reservations do not add up to what there was");
  expect_none(orders.unreserved, "orders whose reservations do not agree with their state");
  expect_none(orders.unfinished, "orders never came to an end");
  expect_none(orders.replays_differ, "idempotency keys gave more than one order");
  expect_none(sessions.accepted_beyond_bound, "revoked sessions were accepted beyond the bound of the answer");
  expect_none(sessions.bound_missing, "revoked sessions were accepted by an answer without bound");
  expect_none(sessions.lost, "sessions that nobody revoked were not found");
  expect_none(ryw.violations, "customers with their token did not see what they had done or seen");
  if (orders.placed == 0) found.emplace_back("no order was placed");
  if (ryw.reads == 0) found.emplace_back("no customer read with its token what it had done");
  return found;
}

void ShopFigures::add_to(nlohmann::json& document) const {
  document["orders_placed"] = orders.placed;
  document["orders_lost"] = orders.lost;
  document["oversold"] = orders.oversold;
  document["sagas"] = orders.sagas;
  document["read_your_writes_violations"] = ryw.violations;
  document["database_statements_per_order"] = statements_per_order();
  document["place_to_confirmed_ms"] = confirmation.to_json_ms().value("confirmed", nlohmann::json::object());
  document["orders"] = {{"sold_out", orders.sold_out},
                        {"cancelled_by_customers", orders.cancels},
                        {"replays", orders.replays},
                        {"replays_differ", orders.replays_differ},
                        {"unanswered", orders.unanswered},
                        {"unbalanced_products", orders.unbalanced},
                        {"unreserved", orders.unreserved},
                        {"unfinished", orders.unfinished},
                        {"units_held_without_order", orders.held_without_order},
                        {"measured", orders_measured},
                        {"statements_of_service", service_statements},
                        {"statements_of_relays", relay_statements},
                        {"statements_of_polls", poll_statements},
                        {"retries", retries},
                        {"given_up", given_up}};
  document["sessions"] = {{"created", sessions.created},
                          {"checks", sessions.checks},
                          {"touched", sessions.touched},
                          {"revoked", sessions.revoked},
                          {"checks_of_revoked", sessions.checks_of_revoked},
                          {"refused_at_once", sessions.refused_at_once},
                          {"refused_in_time", sessions.refused_in_time},
                          {"accepted_within_bound", sessions.accepted_within_bound},
                          {"accepted_beyond_bound", sessions.accepted_beyond_bound},
                          {"bound_missing", sessions.bound_missing},
                          {"lost", sessions.lost}};
  document["read_your_writes"] = {
      {"reads", ryw.reads}, {"violations", ryw.violations}, {"reads_by_origin", ryw.reads_by_origin}};
  document["shop_examples"] = examples();
}

std::vector<std::pair<std::string, std::string>> ShopFigures::lines() const {
  const auto confirmed = confirmation.to_json_ms().value("confirmed", nlohmann::json::object());
  return {
      {"orders placed / lost / oversold", fmt::format("{} / {} / {}  ({} refused: sold out, {} replays)", orders.placed,
                                                      orders.lost, orders.oversold, orders.sold_out, orders.replays)},
      {"sagas", list(orders.sagas)},
      {"placed to confirmed, p50 / p99", fmt::format("{:.1f} / {:.1f} ms  (n {})", confirmed.value("p50", 0.0),
                                                     confirmed.value("p99", 0.0), confirmed.value("n", 0))},
      {"database statements per order",
       fmt::format("{:.1f}  ({:.0f} by the service, {:.0f} by relays, {:.0f} polls; {:.0f} orders)",
                   statements_per_order(), service_statements, relay_statements, poll_statements, orders_measured)},
      {"sessions created / checks",
       fmt::format("{} / {}  ({} touched)", sessions.created, sessions.checks, sessions.touched)},
      {"revoked sessions",
       fmt::format("{}; checked {} times: {} refused, {} accepted within the bound, {} beyond it", sessions.revoked,
                   sessions.checks_of_revoked, sessions.refused_at_once + sessions.refused_in_time,
                   sessions.accepted_within_bound, sessions.accepted_beyond_bound)},
      {"read your writes",
       fmt::format("{} violations in {} reads ({})", ryw.violations, ryw.reads, list(ryw.reads_by_origin))},
      {"calls made again / given up", fmt::format("{} / {}", retries, given_up)},
  };
}

std::vector<std::string> ShopFigures::examples() const {
  std::vector<std::string> all;
  for (const auto* some : {&orders.examples, &sessions.examples, &ryw.examples})
    all.insert(all.end(), some->begin(), some->end());
  return all;
}

}  // namespace tidemark::bench
