// tidemark-order-relay: drives the orders' sagas. Exit codes: 0 stopped in order, 1 it failed, 2 the command line was
// wrong.
#include "base/io/random_source.h"
#include "services/order/relay/relay.h"
#include "services/platform/worker_host.h"

namespace tidemark::order {
namespace {

// 63 random bits: two claims of one row are told apart without anybody handing out numbers.
int64_t new_claim() {
  return static_cast<int64_t>(io::random_u64() >> 1 | 1);
}

class HostedRelay : public services::HostedWorker {
 public:
  HostedRelay(const services::WorkerParts& parts, RelaySettings settings)
      : metrics_(std::make_shared<OrderMetrics>(OrderMetrics::Side::kRelay)),
        relay_(Relay::create(parts.context, make_saga_store(parts.cache, parts.database, metrics_), metrics_,
                             std::move(settings), parts.log)) {}
  void start() override { relay_->start(); }
  void stop(std::function<void()> drained) override { relay_->stop(std::move(drained)); }
  std::vector<io::MetricSource> metric_sources() override {
    return {[metrics = metrics_] { return metrics->snapshot(); }};
  }

 private:
  std::shared_ptr<OrderMetrics> metrics_;
  std::unique_ptr<Relay> relay_;
};

}  // namespace
}  // namespace tidemark::order

int main(int argc, char** argv) {
  using namespace tidemark;
  services::Settings settings;
  order::RelaySettings relay{.new_claim = order::new_claim};
  io::Options options("tidemark-order-relay",
                      "Drives the orders' sagas: confirms, compensates, gives back what was reserved in vain. Several "
                      "may run at once.");
  services::declare_worker_settings(options, settings);
  options.duration("lease", relay.lease, "how long a saga waits for a relay that has died");
  options.duration("sweep-interval", relay.sweep_interval, "how often held reservations are looked over; 0 = never");
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  return services::work("tidemark-order-relay", settings, [&](const services::WorkerParts& parts) {
    return std::make_unique<order::HostedRelay>(parts, relay);
  });
}
