// Places one order: the path through the shards, from the look-up of its key to the commit of the order.
//
//   look up the key ──found──▶ that order (a replay)
//        │ none
//   reserve every line, all at once, each on its product's shard
//        │ all had                        │ one refused, or not told
//   order, lines and outbox row        release all lines ──▶ refused, or the error
//   in one transaction
//        │ the key's order is this one    │ it is another one           │ not told
//      placed                          release all lines ──▶ a replay   the reservations stay: the order may be there
//
// Why in this order: stock is taken before the order can be seen, so that no order is seen that cannot be had; and what
// is had without an order expires by itself. From the commit on the relay answers for the rest. An outcome that was not
// told is asked again with the same id (reserve, place are idempotent), kAttemptsMax times in the time that is left;
// after that the caller asks again with its key.
// Kill points, and what each leaves behind:
//   order.looked_up       nothing                             order.placed    the order; the caller was not told, and
//   order.reserved_first  one line held, until it expires                     gets it by its key
//   order.reserved        all lines held, until they expire   order.released  nothing (a refused order)
//   order.cancelled       (order_service.cpp) a saga that goes back; the caller was not told
// Threads: start() from any thread, the rest on the store's loop. I/O: the store's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id/row_id.h"
#include "services/order/order_store.h"

namespace tidemark::order {

struct PlaceSettings {
  Duration reservation_ttl = std::chrono::minutes(1);
  std::function<Instant()> now;                         // steady
  std::function<Result<int64_t>(Bucket)> new_order_id;  // in the customer's bucket
};

struct PlaceRequest {
  int64_t customer_id = 0;
  std::string key;
  struct Line {
    std::string sku;
    int64_t quantity = 0;
  };
  std::vector<Line> lines;
};

struct Placed {
  pb::Order order;
  bool is_replay = false;
  bool has_same_lines = true;  // of a replay: what was ordered then is what is asked for now
};

class PlaceOrder : public std::enable_shared_from_this<PlaceOrder> {
 public:
  static constexpr int kAttemptsMax = 3;
  static constexpr Duration kReleaseTimeout = std::chrono::seconds(1);

  // kFailedPrecondition names the sku that cannot be had.
  static void start(std::shared_ptr<OrderStore> store, std::shared_ptr<OrderMetrics> metrics, PlaceSettings settings,
                    PlaceRequest request, client::WriteOptions options, client::Callback<Result<Placed>> done);

  PlaceOrder(std::shared_ptr<OrderStore> store, std::shared_ptr<OrderMetrics> metrics, PlaceSettings settings,
             PlaceRequest request, client::WriteOptions options, client::Callback<Result<Placed>> done);

 private:
  void look_up();
  void reserve_all();
  void reserve(size_t line, int attempt);
  void on_reserved(size_t line, Result<Reserved> reserved);
  void place(int attempt);
  void on_placed(Result<pb::Order> placed);
  void release_all(std::function<void()> then);
  void answer_replay(pb::Order order);
  void finish(Result<Placed> answer);
  Duration time_left() const { return deadline_ - settings_.now(); }
  client::WriteOptions write_options() const;
  ReservationKey key_of(size_t line) const;
  bool may_ask_again(const Error& error, int attempt) const;

  std::shared_ptr<OrderStore> store_;
  std::shared_ptr<OrderMetrics> metrics_;
  PlaceSettings settings_;
  PlaceRequest request_;
  client::WriteOptions options_;
  Instant deadline_;
  client::Callback<Result<Placed>> done_;
  pb::Order order_;
  size_t under_way_ = 0;
  bool may_be_placed_ = false;
  std::optional<Error> refusal_;  // the first line that cannot be had
  std::optional<Error> trouble_;  // the first line that was not told
};

}  // namespace tidemark::order
