// What the customers' part of a run came to: orders, sessions, own writes, and what an order cost the database.
//
// Threads: a value. I/O: none.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/macro/latency_recorder.h"
#include "bench/macro/order_oracle.h"
#include "bench/macro/ryw_oracle.h"
#include "bench/macro/session_oracle.h"

namespace tidemark::bench {

struct ShopFigures {
  OrderFigures orders;
  SessionFigures sessions;
  RywFigures ryw;
  LatencyRecorder confirmation;  // "confirmed": from placing an order to the commit that confirmed it
  // Statements for orders while `orders_measured` of them were placed: by the order service, by the relays, and the
  // relays' polls, which come whether there is work or not.
  double service_statements = 0, relay_statements = 0, poll_statements = 0, orders_measured = 0;
  uint64_t retries = 0, given_up = 0;

  double statements_per_order() const;  // without polls
  std::vector<std::string> violations() const;
  void add_to(nlohmann::json& document) const;
  std::vector<std::pair<std::string, std::string>> lines() const;  // of the table: name, value
  std::vector<std::string> examples() const;                       // of what was wrong
};

}  // namespace tidemark::bench
