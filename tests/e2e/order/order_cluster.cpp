#include "tests/e2e/order/order_cluster.h"

#include <fmt/format.h>
#include <unistd.h>

#include <thread>

#include "base/id/row_id.h"
#include "base/parse.h"

namespace tidemark::order {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kPrimaries[] = {"s0-primary", "s1-primary"};

}  // namespace

OrderCluster::OrderCluster(Settings settings)
    : directory_(fs::temp_directory_path() / fmt::format("tidemark-order-e2e-{}-{}", ::getpid(),
                                                         std::chrono::steady_clock::now().time_since_epoch().count())) {
  fs::create_directories(directory_);
  options_.directory = directory_ / "cluster";
  options_.shards = 2;
  options_.replicas = settings.replicas;
  options_.nodes = 1;
  options_.schema_files = {fs::path(TIDEMARK_SOURCE_DIR) / "services/catalog/schema.sql",
                           fs::path(TIDEMARK_SOURCE_DIR) / "services/order/schema.sql"};
  options_.tables = {"catalog.product", "shop.orders"};
  options_.families_of_services = true;
  options_.with_orders = true;
  options_.relays = settings.relays;
  options_.order_program = "tidemark-order-killable";
  options_.relay_program = "tidemark-order-relay-killable";
  options_.order_arguments = settings.order_arguments;
  options_.relay_arguments = settings.relay_arguments;
  options_.stop_on_destroy = true;
}

OrderCluster::~OrderCluster() {
  cluster_.reset();
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

Status OrderCluster::start() {
  auto created = localcluster::LocalCluster::create(options_);
  if (!created) return std::unexpected(created.error());
  cluster_ = std::make_unique<localcluster::LocalCluster>(std::move(*created));
  return cluster_->start();
}

void OrderCluster::add_products(const std::map<std::string, int64_t>& stocks) {
  std::string sql;
  for (const auto& [sku, stock] : stocks) {
    const Bucket bucket = bucket_of_natural_key(sku);
    sql += fmt::format(
        "INSERT INTO catalog.product (bucket, sku, price_cents, stock) SELECT {0}, '{1}', 100, {2} FROM shard.bucket "
        "WHERE bucket = {0} AND state = 'owned';",
        bucket, sku, stock);
    stocks_[sku] = stock;
  }
  execute(sql);
}

pb::Orders::Stub& OrderCluster::orders() {
  if (!stub_) {
    const std::string address = "127.0.0.1:" + std::to_string(cluster_->process("order")->ports.at(0));
    grpc::ChannelArguments arguments;
    // Also the least time that a connection may take to be made: short, and a loaded machine never makes one.
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    stub_ = pb::Orders::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }
  return *stub_;
}

PlaceAnswer OrderCluster::place(int64_t customer, const std::string& key, const std::vector<Line>& lines,
                                std::chrono::milliseconds deadline) {
  pb::PlaceOrderRequest request;
  request.set_customer_id(customer);
  request.set_idempotency_key(key);
  for (const Line& line : lines) {
    auto& out = *request.add_lines();
    out.set_sku(line.sku);
    out.set_quantity(line.quantity);
  }
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + deadline);
  PlaceAnswer answer;
  answer.status = orders().PlaceOrder(&context, request, &answer.response);
  return answer;
}

PlaceAnswer OrderCluster::place_until_answered(int64_t customer, const std::string& key,
                                               const std::vector<Line>& lines) {
  PlaceAnswer answer;
  wait_until(
      [&] {
        if (!is_running("order")) restart_with_kill_point("order", "");
        answer = place(customer, key, lines);
        const grpc::StatusCode code = answer.status.error_code();
        return code != grpc::StatusCode::UNAVAILABLE && code != grpc::StatusCode::DEADLINE_EXCEEDED &&
               code != grpc::StatusCode::ABORTED && code != grpc::StatusCode::RESOURCE_EXHAUSTED;
      },
      60s);
  return answer;
}

pb::Order OrderCluster::get(int64_t id) {
  pb::GetOrderRequest request;
  request.set_order_id(id);
  request.set_max_stale_ms(0);
  grpc::ClientContext context;
  pb::GetOrderResponse response;
  const grpc::Status status = orders().GetOrder(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.order();
}

grpc::Status OrderCluster::cancel(int64_t id, pb::Order* order) {
  pb::CancelOrderRequest request;
  request.set_order_id(id);
  grpc::ClientContext context;
  pb::CancelOrderResponse response;
  const grpc::Status status = orders().CancelOrder(&context, request, &response);
  if (order != nullptr) *order = response.order();
  return status;
}

void OrderCluster::restart_with_kill_point(const std::string& name, const std::string& point, int visit) {
  localcluster::Environment environment;
  if (!point.empty()) environment = {{"TIDEMARK_KILL_AT", fmt::format("{}:{}", point, visit)}};
  const Status set = cluster_->set_environment(name, environment);
  EXPECT_TRUE(set) << set.error().to_string();
  const Status started = cluster_->restart(name);
  EXPECT_TRUE(started) << started.error().to_string();
  if (name == "order") stub_.reset();
}

bool OrderCluster::is_running(const std::string& name) {
  auto process = cluster_->process(name);
  return process && process->is_running;
}

OrderCluster::Rows OrderCluster::rows(const std::string& sql) {
  Rows all;
  for (const char* primary : kPrimaries) {
    auto text = cluster_->psql(primary, sql);
    EXPECT_TRUE(text) << sql << ": " << (text ? "" : text.error().to_string());
    if (!text) continue;
    for (std::string_view line : split(*text, '\n')) {
      if (line.empty()) continue;
      std::vector<std::string> cells;
      for (std::string_view cell : split(line, '|')) cells.emplace_back(cell);
      all.push_back(std::move(cells));
    }
  }
  return all;
}

int64_t OrderCluster::number(const std::string& sql) {
  int64_t sum = 0;
  for (const auto& row : rows(sql)) sum += std::stoll(row.at(0));
  return sum;
}

void OrderCluster::execute(const std::string& sql) {
  rows(sql);
}

bool OrderCluster::settle(std::chrono::seconds limit) {
  return wait_until(
      [&] {
        return number(
                   "SELECT (SELECT count(*) FROM shop.outbox) + (SELECT count(*) FROM catalog.reservation "
                   "WHERE state = 'held')") == 0;
      },
      limit);
}

std::vector<std::string> OrderCluster::audit(const std::set<int64_t>& acknowledged) {
  std::vector<std::string> wrong;
  std::map<std::string, int64_t> left, taken;
  for (const auto& row : rows("SELECT sku, stock FROM catalog.product")) left[row[0]] = std::stoll(row[1]);
  // (order, sku) -> what its reservation has taken
  std::map<std::pair<int64_t, std::string>, std::pair<std::string, int64_t>> reservations;
  for (const auto& row : rows("SELECT order_id, sku, state, quantity FROM catalog.reservation")) {
    reservations[{std::stoll(row[0]), row[1]}] = {row[2], std::stoll(row[3])};
    if (row[2] == "held" || row[2] == "confirmed") taken[row[1]] += std::stoll(row[3]);
  }
  for (const auto& [sku, stock] : stocks_) {
    if (left[sku] < 0) wrong.push_back(fmt::format("{}: oversold, stock {}", sku, left[sku]));
    if (left[sku] + taken[sku] != stock) {
      wrong.push_back(fmt::format("{}: {} at first, {} left and {} taken", sku, stock, left[sku], taken[sku]));
    }
  }
  std::map<int64_t, std::string> states;
  for (const auto& row : rows("SELECT id, state FROM shop.orders")) states[std::stoll(row[0])] = row[1];
  for (int64_t id : acknowledged) {
    if (!states.contains(id)) wrong.push_back(fmt::format("order {}: acknowledged and lost", id));
  }
  std::set<std::pair<int64_t, std::string>> lines;
  for (const auto& row : rows("SELECT order_id, sku, quantity FROM shop.order_line")) {
    const int64_t id = std::stoll(row[0]);
    lines.insert({id, row[1]});
    const auto found = reservations.find({id, row[1]});
    const bool is_taken =
        found != reservations.end() && (found->second.first == "held" || found->second.first == "confirmed");
    const std::string& state = states[id];
    if (state != "confirmed" && state != "cancelled" && state != "failed") {
      wrong.push_back(fmt::format("order {}: still {}", id, state));
    } else if (state == "confirmed" &&
               (!is_taken ||
                found->second != std::pair{std::string("confirmed"), static_cast<int64_t>(std::stoll(row[2]))})) {
      wrong.push_back(fmt::format("order {}: confirmed, but not its line {}", id, row[1]));
    } else if (state != "confirmed" && is_taken) {
      wrong.push_back(fmt::format("order {}: {}, but its line {} takes stock", id, state, row[1]));
    }
  }
  for (const auto& [key, reservation] : reservations) {
    if (reservation.first == "confirmed" && !lines.contains(key)) {
      wrong.push_back(fmt::format("order {}: {} confirmed for no order", key.first, key.second));
    }
  }
  return wrong;
}

int64_t OrderCluster::customer_in(uint16_t bucket, uint32_t number) {
  return make_row_id({.time = {kRowIdEpochMs + 1 + number}, .bucket = bucket});
}

}  // namespace tidemark::order
