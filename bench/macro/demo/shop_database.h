// What the shards hold of the shop, by SQL on their primaries: the stock before the load, everything after it.
//
// Threads: one. Limits: await_sagas() waits kSagaTimeout; the rest is a few statements per shard.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/macro/order_oracle.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {

class ShopDatabase {
 public:
  static constexpr std::chrono::seconds kSagaTimeout{30};
  static constexpr std::chrono::milliseconds kSagaInterval{100};

  // `primaries`: names of the shards' servers. The cluster outlives it.
  ShopDatabase(const localcluster::LocalCluster& cluster, std::vector<std::string> primaries)
      : cluster_(cluster), primaries_(std::move(primaries)) {}

  // Of these products; call before anybody orders.
  Status remember_stock(const std::vector<std::string>& skus);
  // Until no order is under way any more, or kSagaTimeout has passed (the oracle counts what is left then).
  Status await_sagas() const;
  bool is_saga_under_way() const;  // false also when it cannot be asked
  Result<ShopState> read() const;

 private:
  using Rows = std::vector<std::vector<std::string>>;
  Result<Rows> query(const std::string& sql) const;  // of all shards
  Result<uint64_t> count(const std::string& sql) const;

  const localcluster::LocalCluster& cluster_;
  std::vector<std::string> primaries_;
  std::map<std::string, int64_t> stock_at_first_;
};

}  // namespace tidemark::bench
