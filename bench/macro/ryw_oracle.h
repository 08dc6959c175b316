// Judges whether customers who carry their token see what they did, and never less than they saw before.
//
// For each order of a customer the newest row version it was told is kept (from placing, cancelling, reading). A read
// that carries the token and began after that answer came must give the order in that version or a newer one:
//
//     placed 17, version 1                     get 17: not found                           violation
//     got 17, version 2 (confirmed)            get 17: version 1                           violation
//     placed 17, 18, 19                        list: 19, 17, no further page               violation (18)
//                                              list: 19, 18, and a further page            right: 17 may be on it
//
// Pages are newest first, and an order's id grows with its time; so an order below the page's last id may be on the
// next page. Threads: a value. I/O: none.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/macro/shop_event.h"

namespace tidemark::bench {

struct RywFigures {
  uint64_t reads = 0;  // with a token, of something that was done or seen before
  uint64_t violations = 0;
  std::map<std::string, uint64_t> reads_by_origin;
  std::vector<std::string> examples;
};

class RywOracle {
 public:
  static constexpr size_t kExamplesMax = 5;

  void add(const ShopEvent& event);  // in the order of their ends; a customer does one thing at a time
  const RywFigures& figures() const { return figures_; }

 private:
  struct Known {
    std::map<int64_t, int64_t> versions;  // by order
  };
  void judge_get(const Known& known, const ShopEvent& event);
  void judge_list(const Known& known, const ShopEvent& event);
  void count_read(const ShopEvent& event);
  void blame(const ShopEvent& event, int64_t order, std::string_view what);
  static void learn(Known& known, const ShopEvent& event);

  std::unordered_map<uint32_t, Known> customers_;
  RywFigures figures_;
};

}  // namespace tidemark::bench
