#include "services/catalog/import_window.h"

#include <algorithm>
#include <tuple>

#include "base/slot.h"
#include "services/catalog/validation.h"

namespace tidemark::catalog {
namespace {

// Cuts rows that are sorted by bucket where a transaction would hold too many rows or buckets.
void cut(ShardId shard, bool keep, std::vector<ImportRow> rows, std::vector<ImportBatch>& out) {
  ImportBatch batch{.shard = shard, .keep_price_and_stock = keep, .rows = {}};
  size_t buckets = 0;
  for (ImportRow& row : rows) {
    bool is_new_bucket = batch.rows.empty() || batch.rows.back().bucket != row.bucket;
    if (batch.rows.size() == ImportWindow::kBatchRowsMax ||
        (is_new_bucket && buckets == ImportWindow::kBatchBucketsMax)) {
      out.push_back(std::exchange(batch, {.shard = shard, .keep_price_and_stock = keep, .rows = {}}));
      buckets = 0;
      is_new_bucket = true;
    }
    buckets += is_new_bucket;
    batch.rows.push_back(std::move(row));
  }
  if (!batch.rows.empty()) out.push_back(std::move(batch));
}

}  // namespace

void ImportWindow::add(const pb::ImportProductsRequest& request) {
  for (const pb::Product& product : request.products()) {
    if (Status status = check_product(product); !status) {
      summary_.set_rejected(summary_.rejected() + 1);
      if (summary_.rejections_size() < kRejectionsShown) {
        summary_.add_rejections("sku \"" + product.sku().substr(0, kSkuBytesMax) + "\": " + status.error().message);
      }
      continue;
    }
    auto [place, is_new] = rows_.try_emplace(product.sku());
    if (!is_new) summary_.set_superseded(summary_.superseded() + 1);
    place->second = {bucket_of_natural_key(product.sku()), request.keep_price_and_stock(), product};
  }
}

Result<std::vector<ImportBatch>> ImportWindow::take_batches(
    const std::function<std::optional<ShardId>(Bucket)>& shard_of) {
  std::map<std::pair<ShardId, bool>, std::vector<ImportRow>> groups;
  for (const auto& [sku, held] : rows_) {
    std::optional<ShardId> shard = shard_of(held.bucket);
    if (!shard) return fail(ErrorCode::kUnavailable, "no shard owns bucket " + std::to_string(held.bucket) + " now");
    groups[{*shard, held.keep_price_and_stock}].push_back({held.bucket, held.product});
  }
  rows_.clear();
  std::vector<ImportBatch> batches;
  for (auto& [place, rows] : groups) {
    std::ranges::sort(rows, {}, [](const ImportRow& row) { return std::tie(row.bucket, row.product.sku()); });
    cut(place.first, place.second, std::move(rows), batches);
  }
  return batches;
}

void ImportWindow::count_written(const ImportBatch& batch, int64_t inserted, int64_t changed) {
  summary_.set_imported(summary_.imported() + inserted);
  summary_.set_updated(summary_.updated() + changed);
  summary_.set_unchanged(summary_.unchanged() + static_cast<int64_t>(batch.rows.size()) - inserted - changed);
}

}  // namespace tidemark::catalog
