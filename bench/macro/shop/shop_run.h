// One open-loop run: warm-up, then the measured part; every row's answer goes to the log, the figures to a JSON
// document.
//
// Threads: one (gRPC's own threads only fill the mailbox). Limits: Options::in_flight_max; an arrival beyond it is not
// sent, counts as a RESOURCE_EXHAUSTED of the client's own and is logged like any error. After the last arrival the run
// waits for what is in flight, which the deadline bounds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "bench/macro/io/answer_log_file.h"
#include "bench/macro/latency_recorder.h"
#include "bench/macro/open_loop.h"
#include "bench/macro/shop/shop_client.h"
#include "bench/macro/shop_mix.h"

namespace tidemark::bench {

class ShopRun {
 public:
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
  // References must outlive the run. `log` may be null.
  ShopRun(Options options, ShopClient& client, Mailbox& mailbox, AnswerLogWriter* log);

  void run();
  nlohmann::json report() const;

 private:
  struct Part {  // figures of one part of the run
    uint64_t requests = 0, answered = 0, rows = 0, rows_from_node = 0;
    std::map<std::string, uint64_t> rows_by_origin, errors, requests_by_operation;
    double hit_ratio() const { return rows == 0 ? 0 : static_cast<double>(rows_from_node) / static_cast<double>(rows); }
  };

  void send_due(Instant now);
  void send(uint64_t number, Instant now);
  void take_finished();
  void finish(const FinishedCall& call);
  void count(Part& part, const FinishedCall& call) const;
  void log_call(const FinishedCall& call);
  void report_progress(Instant now);
  bool is_warmup(uint64_t number) const { return number < arrivals_warmup_; }

  Options options_;
  ShopClient& client_;
  Mailbox& mailbox_;
  AnswerLogWriter* log_;
  ShopMix mix_;
  OpenLoop loop_;
  uint64_t arrivals_ = 0, arrivals_warmup_ = 0, arrivals_cold_ = 0;
  uint64_t sent_ = 0;
  size_t in_flight_ = 0, in_flight_seen_max_ = 0;
  Part cold_, warmup_, measured_, second_;
  LatencyRecorder by_origin_, by_operation_, second_latency_;
  Duration request_max_{}, send_late_max_{};
  Instant begin_{}, next_progress_{};
  std::map<std::string, std::string> error_examples_;  // by status name, the first message
};

}  // namespace tidemark::bench
