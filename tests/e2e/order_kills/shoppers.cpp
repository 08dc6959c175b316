#include "tests/e2e/order_kills/shoppers.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <thread>

namespace tidemark::order {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

constexpr auto kCallDeadline = 2s;
constexpr auto kPause = 50ms;  // between attempts

bool is_worth_another_try(StatusCode code) {
  return code == StatusCode::UNAVAILABLE || code == StatusCode::DEADLINE_EXCEEDED || code == StatusCode::ABORTED ||
         code == StatusCode::RESOURCE_EXHAUSTED || code == StatusCode::CANCELLED;
}

// A connection of one's own; a new one after each failure, for a channel waits seconds before it tries again.
class Connection {
 public:
  explicit Connection(std::string address) : address_(std::move(address)) { connect(); }
  void connect() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = pb::Orders::NewStub(grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments));
  }
  pb::Orders::Stub& stub() { return *stub_; }

 private:
  std::string address_;
  std::unique_ptr<pb::Orders::Stub> stub_;
};

pb::PlaceOrderRequest request_of(const Told& told) {
  pb::PlaceOrderRequest request;
  request.set_customer_id(told.customer);
  request.set_idempotency_key(told.key);
  for (const Line& line : told.lines) {
    auto& out = *request.add_lines();
    out.set_sku(line.sku);
    out.set_quantity(line.quantity);
  }
  return request;
}

// Calls until it is answered or patience ends; the last status.
template <typename Call>
grpc::Status until_answered(Connection& connection, Call call, int& attempts, bool may_give_up) {
  const auto end = std::chrono::steady_clock::now() + Shoppers::kPatience;
  while (true) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallDeadline);
    ++attempts;
    grpc::Status status = call(context);
    if (!is_worth_another_try(status.error_code()) || may_give_up) return status;
    if (std::chrono::steady_clock::now() > end) return status;
    std::this_thread::sleep_for(kPause);
    if (status.error_code() == StatusCode::UNAVAILABLE) connection.connect();
  }
}

void place(Connection& connection, Told& told, bool may_give_up) {
  const pb::PlaceOrderRequest request = request_of(told);
  pb::PlaceOrderResponse response;
  const grpc::Status status = until_answered(
      connection,
      [&](grpc::ClientContext& context) {
        response.Clear();
        return connection.stub().PlaceOrder(&context, request, &response);
      },
      told.attempts, may_give_up);
  told.error = fmt::format("{} {}", static_cast<int>(status.error_code()), status.error_message());
  if (status.ok()) {
    told.answer = Told::Answer::kPlaced;
    told.order_id = response.order().id();
  } else if (status.error_code() == StatusCode::FAILED_PRECONDITION) {
    told.answer = Told::Answer::kRefused;
  } else {
    told.is_wrong = !may_give_up || !is_worth_another_try(status.error_code());
  }
}

void cancel(Connection& connection, Told& told) {
  pb::CancelOrderRequest request;
  request.set_order_id(told.order_id);
  pb::CancelOrderResponse response;
  const grpc::Status status = until_answered(
      connection,
      [&](grpc::ClientContext& context) { return connection.stub().CancelOrder(&context, request, &response); },
      told.attempts, false);
  told.is_cancelled = status.ok();
  // An order that has failed meanwhile cannot be cancelled.
  if (status.ok() || status.error_code() == StatusCode::FAILED_PRECONDITION) return;
  told.is_wrong = true;
  told.error = fmt::format("cancel: {} {}", static_cast<int>(status.error_code()), status.error_message());
}

}  // namespace

std::vector<Told> Shoppers::run() const {
  std::vector<std::vector<Told>> parts(kCustomers);
  std::vector<std::thread> threads;
  for (int shopper = 0; shopper < kCustomers; ++shopper) {
    threads.emplace_back([this, shopper, &parts] { parts[static_cast<size_t>(shopper)] = shop(shopper); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Told> all;
  for (auto& part : parts) std::ranges::move(part, std::back_inserter(all));
  return all;
}

std::vector<Told> Shoppers::shop(int shopper) const {
  std::mt19937_64 random(seed_ * 7'919 + run_ * 64 + static_cast<uint64_t>(shopper));
  Connection connection(address_);
  // Customers on both shards; the number makes them new.
  const auto bucket = static_cast<uint16_t>(random() % 4096);
  const int64_t customer =
      OrderCluster::customer_in(bucket, static_cast<uint32_t>(run_ * kCustomers + static_cast<uint64_t>(shopper)));
  std::vector<Told> all;
  for (int i = 0; i < kOrdersEach; ++i) {
    Told told{.customer = customer, .key = fmt::format("{}-{}-{}", run_, shopper, i), .lines = {}, .error = {}};
    std::vector<std::string> skus = skus_;
    std::ranges::shuffle(skus, random);
    skus.resize(1 + random() % 3);
    for (const std::string& sku : skus) told.lines.push_back({sku, 1 + static_cast<int64_t>(random() % 3)});
    place(connection, told, random() % 10 == 0);
    if (told.answer == Told::Answer::kPlaced && random() % 4 == 0) cancel(connection, told);
    all.push_back(std::move(told));
  }
  return all;
}

std::vector<std::string> Shoppers::ask_again(const std::vector<Told>& told) const {
  std::vector<std::string> wrong;
  Connection connection(address_);
  for (const Told& one : told) {
    if (one.answer != Told::Answer::kPlaced) continue;
    Told again = one;
    place(connection, again, false);
    if (again.answer != Told::Answer::kPlaced || again.order_id != one.order_id) {
      wrong.push_back(fmt::format("order {}: asked again with key {} it is {} ({})", one.order_id, one.key,
                                  again.order_id, again.error));
    }
  }
  return wrong;
}

}  // namespace tidemark::order
