// tidemark-order: the order service. Exit codes: 0 stopped in order, 1 it failed, 2 the command line was wrong.
#include <iostream>

#include "base/io/row_id_source.h"
#include "base/io/system_clock.h"
#include "base/topology/topology_json.h"
#include "client/io/families_file.h"
#include "services/order/order_service.h"
#include "services/platform/service_host.h"

namespace tidemark::order {
namespace {

class HostedOrders : public services::HostedService {
 public:
  HostedOrders(const services::ServiceParts& parts, PlaceSettings settings)
      : metrics_(std::make_shared<OrderMetrics>(OrderMetrics::Side::kService)),
        service_(make_order_store(parts.cache, parts.database, metrics_), parts.call_settings, std::move(settings),
                 metrics_) {}
  grpc::Service& grpc_service() override { return service_; }
  std::string service_name() const override { return pb::Orders::service_full_name(); }
  std::vector<io::MetricSource> metric_sources() override {
    return {[metrics = metrics_] { return metrics->snapshot(); }};
  }

 private:
  std::shared_ptr<OrderMetrics> metrics_;
  OrderService service_;
};

int write_families(const std::string& path) {
  const std::vector<Family> families = client::families_of<OrderById, OrdersOfCustomer>();
  if (path == "-") {
    std::cout << encode_families(families);
    return io::kExitOk;
  }
  Status written = client::write_families_file(path, families);
  if (written) return io::kExitOk;
  std::cerr << "tidemark-order: " << written.error().to_string() << "\n";
  return io::kExitFailure;
}

}  // namespace
}  // namespace tidemark::order

int main(int argc, char** argv) {
  using namespace tidemark;
  services::Settings settings;
  Duration reservation_ttl = std::chrono::minutes(1);
  std::string families_path;
  io::Options options("tidemark-order", "The order service: places, shows and cancels orders, over gRPC.");
  services::declare_settings(options, settings);
  options.duration("reservation-ttl", reservation_ttl,
                   "how long stock is held for an order that has not been confirmed");
  options.text("write-families", families_path, "write the key families for `tidemarkctl families apply`, then leave");
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  if (!families_path.empty()) return order::write_families(families_path);
  auto make_service = [&](const services::ServiceParts& parts) {
    order::PlaceSettings place{.reservation_ttl = reservation_ttl,
                               .now = io::steady_now,
                               .new_order_id = [ids = parts.ids](Bucket bucket) { return ids->next(bucket); }};
    return std::make_unique<order::HostedOrders>(parts, std::move(place));
  };
  return services::serve("tidemark-order", settings, make_service, {.needs_row_ids = true});
}
