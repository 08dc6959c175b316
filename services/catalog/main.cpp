// tidemark-catalog: the catalog service. Exit codes: 0 stopped in order, 1 it failed, 2 the command line was wrong.
#include <fstream>
#include <iostream>

#include "base/topology/topology_json.h"
#include "services/catalog/catalog_service.h"
#include "services/platform/service_host.h"

namespace tidemark::catalog {
namespace {

class HostedCatalog : public services::HostedService {
 public:
  HostedCatalog(const services::ServiceParts& parts, CatalogOptions options)
      : service_(make_product_store(parts.cache, parts.database), parts.call_settings, options) {}
  grpc::Service& grpc_service() override { return service_; }
  std::string service_name() const override { return pb::Catalog::service_full_name(); }

 private:
  CatalogService service_;
};

int write_families(const std::string& path) {
  std::string text = encode_families(client::families_of<ProductBySku>());
  if (path == "-") {
    std::cout << text;
    return io::kExitOk;
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (file) return io::kExitOk;
  std::cerr << "tidemark-catalog: cannot write " << path << "\n";
  return io::kExitFailure;
}

}  // namespace
}  // namespace tidemark::catalog

int main(int argc, char** argv) {
  using namespace tidemark;
  services::Settings settings;
  catalog::CatalogOptions catalog_options;
  std::string families_path;
  io::Options options("tidemark-catalog", "The catalog service: products over gRPC, through the cache.");
  services::declare_settings(options, settings);
  options.flag("no-cache", catalog_options.is_cache_bypassed, "answer every read from the database, for comparison");
  options.text("write-families", families_path, "write the key families for `tidemarkctl families apply`, then leave");
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  if (!families_path.empty()) return catalog::write_families(families_path);
  return services::serve("tidemark-catalog", settings, [&](const services::ServiceParts& parts) {
    return std::make_unique<catalog::HostedCatalog>(parts, catalog_options);
  });
}
