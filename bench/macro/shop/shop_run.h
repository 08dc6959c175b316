// One open-loop run: warm-up, then the measured part; every row's answer goes to the answer log, every customer's call
// to the event log, the figures to a JSON document.
//
// Arrivals come by the clock, whatever was answered before. An arrival that is a customer's visit may lead to further
// calls, each due when the one before it was answered (or some time later, of a call that is made again).
//
// Threads: one (gRPC's own threads only fill the mailbox). Limits: Options::in_flight_max; an arrival beyond it is not
// sent, counts as a RESOURCE_EXHAUSTED of the client's own and is logged like any error. After the last arrival the run
// waits for what is in flight and the visits under way, which deadlines and Customers' limits bound.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "bench/macro/customers.h"
#include "bench/macro/io/answer_log_file.h"
#include "bench/macro/io/event_log_file.h"
#include "bench/macro/latency_recorder.h"
#include "bench/macro/open_loop.h"
#include "bench/macro/shop/customer_client.h"
#include "bench/macro/shop/shop_client.h"
#include "bench/macro/shop_mix.h"

namespace tidemark::bench {

class ShopRun {
 public:
  static constexpr size_t kSectionsKept = 64;

  struct Options {
    double rate = 1000;
    Duration warmup = std::chrono::seconds(5);
    Duration seconds = std::chrono::seconds(60);
    Duration cold = std::chrono::seconds(2);  // the first part of the warm-up, whose hit ratio is given as the cold one
    size_t in_flight_max = 2000;
    ShopMix::Options mix;
    std::function<void(const nlohmann::json&)> on_progress;  // once a second
    std::function<bool()> should_stop;
  };
  // What a run stands on; outlives it. Null: no customers come; nothing is logged.
  struct Parts {
    ShopClient& client;
    Mailbox& mailbox;
    const std::vector<std::string>& names;
    CustomerClient* customer_client = nullptr;
    Customers* customers = nullptr;
    AnswerLogWriter* answers = nullptr;
    EventLogWriter* events = nullptr;
  };
  ShopRun(Options options, Parts parts);

  void run();
  nlohmann::json report() const;

 private:
  struct Part {  // figures of one part of the run
    uint64_t requests = 0, answered = 0, rows = 0, rows_from_node = 0;
    std::map<std::string, uint64_t> rows_by_origin, errors, requests_by_operation;
    double hit_ratio() const { return rows == 0 ? 0 : static_cast<double>(rows_from_node) / static_cast<double>(rows); }
  };

  void send_due(Instant now);
  void send_later_ones(Instant now);
  void send(ShopOp op, Instant now, Instant due);
  void send(Customers::Call call, Instant now, Instant due);
  bool may_send();
  void refuse(FinishedCall refused, Instant now);
  void take_finished();
  void finish(FinishedCall call);
  void finish_visit(FinishedCall& call);
  void count(Part& part, const FinishedCall& call) const;
  void log_call(const FinishedCall& call);
  void remember_section(const FinishedCall& call);
  void report_progress(Instant now);
  Instant next_wake(Instant now) const;
  bool is_warmup(Instant due) const { return due < begin_ + options_.warmup; }
  bool is_over() const { return sent_ == arrivals_ && in_flight_ == 0 && later_.empty(); }

  Options options_;
  Parts parts_;
  ShopMix mix_;
  OpenLoop loop_;
  uint64_t arrivals_ = 0;
  uint64_t sent_ = 0;         // arrivals
  uint64_t next_number_ = 0;  // of a call
  std::multimap<Instant, Customers::Call> later_;
  std::vector<std::string> sections_;  // seen in answers, the last kSectionsKept
  size_t next_section_ = 0;
  size_t in_flight_ = 0, in_flight_seen_max_ = 0;
  Part cold_, warmup_, measured_, second_;
  LatencyRecorder by_origin_, by_operation_, second_latency_;
  Duration request_max_{}, send_late_max_{};
  Instant begin_{}, next_progress_{};
  std::map<std::string, std::string> error_examples_;  // by status name, the first message
};

}  // namespace tidemark::bench
