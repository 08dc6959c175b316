// Judges what the session service said: a revoked session is refused in time, any other is found.
//
// An accepted check, asked for at `start` with the bound `b`, is wrong if the session's revocation was acknowledged
// before start - b: every such commit should have been in the answer. A check that carried the customer's token, which
// holds the revocation, is held to bound 0. A refused check is wrong if nobody had asked to revoke the session, and the
// check carried the token of whoever created it.
//
//     revoked at 100 (acknowledged)     accepted, asked at 150, bound 60    right: it may know only what was before 90
//                                       accepted, asked at 150, bound 40    wrong
//                                       accepted, asked at 101 with token   wrong
//
// Sessions do not expire while the demo runs (their idle time is longer). Threads: a value. I/O: none.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "bench/macro/shop_event.h"

namespace tidemark::bench {

struct SessionFigures {
  uint64_t created = 0, checks = 0, touched = 0, revoked = 0;
  uint64_t checks_of_revoked = 0;      // begun after the acknowledgement
  uint64_t refused_at_once = 0;        // of those with the token
  uint64_t refused_in_time = 0;        // of the others: refused
  uint64_t accepted_within_bound = 0;  // of the others: accepted, and the bound allowed it
  uint64_t accepted_beyond_bound = 0;  // wrong
  uint64_t bound_missing = 0;          // wrong: a cache's or replica's answer without bound
  uint64_t lost = 0;                   // wrong: a session nobody revoked was not found by its owner
  std::vector<std::string> examples;   // of what was wrong
};

class SessionOracle {
 public:
  static constexpr size_t kExamplesMax = 5;

  void add(const ShopEvent& event);  // in the order of their ends
  const SessionFigures& figures() const { return figures_; }

 private:
  struct Session {
    int64_t asked_us = -1;         // the first attempt to revoke it began; -1: none
    int64_t acknowledged_us = -1;  // a revocation was acknowledged
  };
  void check(const ShopEvent& event);
  void blame(uint64_t& count, const ShopEvent& event, std::string_view what);

  std::unordered_map<std::string, Session> sessions_;
  SessionFigures figures_;
};

}  // namespace tidemark::bench
