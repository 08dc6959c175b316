#include "bench/macro/demo/catalogue.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>

#include "base/io/system_clock.h"
#include "bench/macro/goods.h"
#include "bench/macro/io/child_process.h"
#include "bench/macro/random.h"
#include "bench/macro/shop_mix.h"
#include "services/catalog/proto/catalog.grpc.pb.h"

namespace tidemark::bench {
namespace {

namespace pb = catalog::v1;
using std::chrono::seconds;

constexpr size_t kProductsPerMessage = 500;
constexpr seconds kImportTimeout{600};
constexpr seconds kAptLineTimeout{120};

Result<PackageIndex> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kInvalidArgument, fmt::format("--packages: cannot read '{}'", path));
  PackageIndex index;
  std::vector<char> piece(1 << 20);
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    index.feed({piece.data(), static_cast<size_t>(file.gcount())});
  }
  index.finish();
  return index;
}

Result<PackageIndex> read_apt_cache() {
  auto apt = ChildProcess::start(
      {.arguments = {"apt-cache", "dumpavail"}, .environment = {"LC_ALL=C"}, .error_log = "/dev/null"});
  if (!apt) return std::unexpected(apt.error());
  PackageIndex index;
  while (auto line = apt->read_line(kAptLineTimeout)) {
    index.feed(*line);
    index.feed("\n");
  }
  index.finish();
  const auto exit_code = apt->wait(seconds(10));
  if (!exit_code) return std::unexpected(exit_code.error());
  if (*exit_code == 127)
    return fail(ErrorCode::kFailedPrecondition, "there is no apt-cache here: give an index with --packages FILE");
  if (*exit_code != 0)
    return fail(ErrorCode::kUnavailable, fmt::format("apt-cache dumpavail ended with {}", *exit_code));
  return index;
}

// What the index does not know is made up, the same for the same seed.
void set_product(pb::Product& product, const Package& package, int64_t stock, Random& random) {
  product.set_sku(package.name);
  product.set_version(package.version);
  product.set_section(package.section);
  product.set_description(package.description);
  product.set_size_bytes(package.size);
  product.set_price_cents(1 + static_cast<int64_t>(random.below(ShopMix::kPriceCentsMax)));
  product.set_stock(stock);
}

}  // namespace

Result<PackageIndex> read_package_index(const std::string& file) {
  auto index = file.empty() ? read_apt_cache() : read_file(file);
  if (!index) return index;
  if (index->packages().empty()) {
    return fail(ErrorCode::kFailedPrecondition,
                file.empty()
                    ? "apt-cache has no package index: run `apt-get update` (as root), or give one with --packages FILE"
                    : fmt::format("'{}' holds no package stanza", file));
  }
  return index;
}

Result<ImportResult> import_packages(const std::string& target, const std::vector<Package>& packages,
                                     const ImportOptions& options) {
  const auto stub = pb::Catalog::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kImportTimeout);
  pb::ImportProductsResponse response;
  const Instant begin = io::steady_now();
  const auto writer = stub->ImportProducts(&context, &response);
  Random random(options.seed);
  const Goods goods(static_cast<uint32_t>(packages.size()));
  ImportResult result;
  while (result.sent < packages.size()) {
    pb::ImportProductsRequest request;
    for (; result.sent < packages.size() && static_cast<size_t>(request.products_size()) < kProductsPerMessage;
         ++result.sent) {
      const auto place = static_cast<uint32_t>(result.sent);
      const int64_t stock = goods.is_for_order(place) ? goods.initial_stock(place, options.hot_stock, random)
                                                      : static_cast<int64_t>(random.below(ShopMix::kStockMax));
      set_product(*request.add_products(), packages[result.sent], stock, random);
    }
    if (!writer->Write(request)) break;  // the service has ended the stream; its status says why
    if (options.on_progress) options.on_progress(result.sent);
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("ImportProducts after {} of {} products: {} (gRPC status {})", result.sent, packages.size(),
                            status.error_message(), static_cast<int>(status.error_code())));
  }
  result.stored = static_cast<uint64_t>(response.imported() + response.updated() + response.unchanged());
  result.rejected = static_cast<uint64_t>(response.rejected());
  for (const auto& rejection : response.rejections()) result.rejections.push_back(rejection);
  result.seconds = static_cast<double>((io::steady_now() - begin).count()) / 1e6;
  return result;
}

}  // namespace tidemark::bench
