// Two shards, a node, an invalidator, the order service and relays, the latter two with kill points; a customer's
// calls; and the audit: what must add up in SQL whatever was killed.
#pragma once

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "services/order/proto/order.grpc.pb.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::order {

namespace pb = tidemark::order::v1;

struct Line {
  std::string sku;
  int64_t quantity = 0;
};

struct PlaceAnswer {
  grpc::Status status;
  pb::PlaceOrderResponse response;
  int64_t id() const { return response.order().id(); }
};

class OrderCluster {
 public:
  struct Settings {
    uint32_t relays = 1;
    uint32_t replicas = 0;
    std::vector<std::string> order_arguments;
    std::vector<std::string> relay_arguments;
  };
  explicit OrderCluster(Settings settings);
  ~OrderCluster();
  Status start();
  localcluster::LocalCluster& processes() { return *cluster_; }

  // New products with a stock each, on whatever shard owns their bucket.
  void add_products(const std::map<std::string, int64_t>& stocks);

  pb::Orders::Stub& orders();  // connected again after the service was restarted
  PlaceAnswer place(int64_t customer, const std::string& key, const std::vector<Line>& lines,
                    std::chrono::milliseconds deadline = std::chrono::seconds(10));
  // Until it is answered, as a caller does who wants to know: the same key again and again.
  PlaceAnswer place_until_answered(int64_t customer, const std::string& key, const std::vector<Line>& lines);
  pb::Order get(int64_t id);  // from the primary
  grpc::Status cancel(int64_t id, pb::Order* order = nullptr);

  // The next start of the program dies at its `visit`-th arrival at the kill point; empty: it does not.
  void restart_with_kill_point(const std::string& name, const std::string& point, int visit = 1);
  bool is_running(const std::string& name);

  // Every row of both primaries; columns by position.
  using Rows = std::vector<std::vector<std::string>>;
  Rows rows(const std::string& sql);
  int64_t number(const std::string& sql);  // the sum over the shards
  void execute(const std::string& sql);

  // Waits until no saga is under way and nothing is held. False: not within the limit.
  bool settle(std::chrono::seconds limit = std::chrono::seconds(60));
  // What does not add up, one line each; `acknowledged`: orders whose caller was told.
  std::vector<std::string> audit(const std::set<int64_t>& acknowledged = {});

  static int64_t customer_in(uint16_t bucket, uint32_t number);

 private:
  std::filesystem::path directory_;
  std::unique_ptr<localcluster::LocalCluster> cluster_;
  localcluster::Options options_;
  std::map<std::string, int64_t> stocks_;
  std::unique_ptr<pb::Orders::Stub> stub_;
};

template <typename Condition>
bool wait_until(Condition condition, std::chrono::seconds limit = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace tidemark::order
