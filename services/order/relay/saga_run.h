// One attempt at one saga: does what its SagaMachine says, with the store, until the machine is over.
//
//   forward    confirm every line, then the order is CONFIRMED
//   backward   release every line, then the order is FAILED, or CANCELLED if the customer wanted it so
//
// A line that is refused (its reservation has expired and the stock has gone to others) turns a saga back. What a saga
// does at any moment survives the process: the direction stands in its outbox row, and the steps may be repeated.
// Kill points, and what each leaves behind; in every case another relay takes the row when its lease ends:
//   relay.claimed          nothing done              relay.turned_back     it goes back, nothing released
//   relay.confirmed_first  one line confirmed        relay.released_first  one line released
//   relay.confirmed        all lines, the order      relay.released        all lines, the order is as before
//                          is as before
//   relay.retry_later      the row is due again      relay.ended           nothing: it has ended
//   relay.expired          (relay.cpp) nothing: the batch is committed
// Threads: the store's loop. I/O: the store's.
#pragma once

#include <functional>
#include <memory>

#include "services/order/relay/saga_store.h"

namespace tidemark::order {

class SagaRun : public std::enable_shared_from_this<SagaRun> {
 public:
  // `on_trouble`: why an attempt did not end its saga, for the log.
  struct Ended {
    bool has_ended = false;
    bool is_parked = false;
    std::string trouble{};
  };

  static void start(std::shared_ptr<SagaStore> store, std::shared_ptr<OrderMetrics> metrics, Saga saga,
                    std::function<void(const Saga&, Ended)> done);

  SagaRun(std::shared_ptr<SagaStore> store, std::shared_ptr<OrderMetrics> metrics, Saga saga,
          std::function<void(const Saga&, Ended)> done);

 private:
  void go_on();
  void perform(const services::SagaAction& action);
  void run(const services::SagaAction& action);
  void undo(const services::SagaAction& action);
  void turn_back(const services::SagaAction& action);
  void end(const services::SagaAction& action);
  void retry_later(const services::SagaAction& action);
  void on_outcome(const services::SagaAction& action, services::SagaOutcome outcome, std::string reason = {});
  void on_written(const services::SagaAction& action, const Result<bool>& was_ours, const char* kill_point_name);
  pb::OrderState end_state() const;

  std::shared_ptr<SagaStore> store_;
  std::shared_ptr<OrderMetrics> metrics_;
  Saga saga_;
  services::SagaMachine machine_;
  std::function<void(const Saga&, Ended)> done_;
};

}  // namespace tidemark::order
