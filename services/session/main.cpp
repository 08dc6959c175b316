// tidemark-session: the session service. Exit codes: 0 stopped in order, 1 it failed, 2 the command line was wrong.
#include <iostream>

#include "base/io/row_id_source.h"
#include "base/io/system_clock.h"
#include "base/topology/topology_json.h"
#include "client/io/families_file.h"
#include "services/platform/service_host.h"
#include "services/session/session_service.h"
#include "services/session/sweep_timer.h"

namespace tidemark::session {
namespace {

class HostedSessions : public services::HostedService {
 public:
  HostedSessions(const services::ServiceParts& parts, SessionOptions options, Duration sweep_interval)
      : metrics_(std::make_shared<SessionMetrics>()),
        store_(make_session_store(parts.cache, parts.database)),
        service_(store_, parts.call_settings, options, metrics_) {
    if (sweep_interval == Duration::zero()) return;
    sweep_timer_ = std::make_unique<SweepTimer>(parts.context, std::make_shared<Sweeper>(store_, metrics_), options.now,
                                                sweep_interval, parts.call_settings.log);
  }
  grpc::Service& grpc_service() override { return service_; }
  std::string service_name() const override { return pb::Sessions::service_full_name(); }
  std::vector<io::MetricSource> metric_sources() override {
    return {[metrics = metrics_] { return metrics->snapshot(); }};
  }

 private:
  std::shared_ptr<SessionMetrics> metrics_;
  std::shared_ptr<SessionStore> store_;
  SessionService service_;
  std::unique_ptr<SweepTimer> sweep_timer_;
};

int write_families(const std::string& path) {
  const std::vector<Family> families = client::families_of<SessionByDigest>();
  if (path == "-") {
    std::cout << encode_families(families);
    return io::kExitOk;
  }
  Status written = client::write_families_file(path, families);
  if (written) return io::kExitOk;
  std::cerr << "tidemark-session: " << written.error().to_string() << "\n";
  return io::kExitFailure;
}

}  // namespace
}  // namespace tidemark::session

int main(int argc, char** argv) {
  using namespace tidemark;
  services::Settings settings;
  Duration sweep_interval = std::chrono::seconds(10);
  std::string families_path;
  io::Options options("tidemark-session", "The session service: who is signed in, over gRPC, through the cache.");
  services::declare_settings(options, settings);
  options.duration("sweep-interval", sweep_interval, "how often ended sessions are deleted; 0 = never");
  options.text("write-families", families_path, "write the key families for `tidemarkctl families apply`, then leave");
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  if (!families_path.empty()) return session::write_families(families_path);
  auto make_service = [&](const services::ServiceParts& parts) {
    session::SessionOptions session_options{.now = io::unix_now,
                                            .new_customer_id = [ids = parts.ids] { return ids->next_root(); }};
    return std::make_unique<session::HostedSessions>(parts, session_options, sweep_interval);
  };
  return services::serve("tidemark-session", settings, make_service, {.needs_row_ids = true});
}
