#include "services/catalog/importer.h"

namespace tidemark::catalog {
namespace {

constexpr Duration kWriteTimeoutMax = std::chrono::seconds(10);

// After an unknown outcome only what keeps prices and stock is written again. The other kind may be in already, and a
// price set (and acknowledged) since then would be overwritten by the second time; whether it is in, nobody can tell.
bool can_help_to_retry(const Error& error, const ImportBatch& batch) {
  if (error.code == ErrorCode::kOutcomeUnknown) return batch.keep_price_and_stock;
  return error.is_retryable() || error.code == ErrorCode::kFailedPrecondition;
}

Error told(const Error& error, const ImportBatch& batch) {
  if (error.code != ErrorCode::kOutcomeUnknown || batch.keep_price_and_stock) return error.with_context("import");
  return error.with_context(
      "import: not tried again, for prices and stock set meanwhile would be overwritten; send it again, with "
      "keep_price_and_stock to keep them");
}

}  // namespace

Importer::Importer(std::shared_ptr<ProductStore> store, std::function<Duration()> time_left,
                   std::function<bool()> is_cancelled)
    : store_(std::move(store)), time_left_(std::move(time_left)), is_cancelled_(std::move(is_cancelled)) {}

void Importer::flush(client::Callback<Status> done) {
  done_ = std::move(done);
  store_->post([self = shared_from_this()] {
    auto batches = self->window_.take_batches([&](Bucket bucket) { return self->store_->shard_of(bucket); });
    if (!batches)
      self->error_ = batches.error();
    else
      for (ImportBatch& batch : *batches) self->pending_.push_back({std::move(batch), 0});
    self->send_more();
  });
}

void Importer::send_more() {
  if (!error_ && is_cancelled_()) error_ = Error{ErrorCode::kUnavailable, "the caller has gone"};
  if (!error_ && time_left_() == Duration::zero()) {
    error_ = Error{ErrorCode::kDeadlineExceeded,
                   "the deadline passed; what was written stays, the import can be sent again"};
  }
  if (error_) pending_.clear();
  while (!pending_.empty() && in_flight_ < kBatchesInFlightMax) {
    Pending next = std::move(pending_.front());
    pending_.pop_front();
    ++in_flight_;
    send_again(std::move(next));
  }
  if (in_flight_ > 0 || !done_) return;
  auto done = std::exchange(done_, nullptr);
  done(error_ ? Status(std::unexpected(*error_)) : Status());
}

void Importer::send_again(Pending pending) {
  ++pending.attempts;
  Duration timeout = std::min(time_left_(), kWriteTimeoutMax);
  auto held = std::make_shared<Pending>(std::move(pending));
  store_->write_batch(held->batch, timeout, [self = shared_from_this(), held](Result<ProductStore::Imported> imported) {
    self->on_written(std::move(*held), std::move(imported));
  });
}

void Importer::on_written(Pending pending, Result<ProductStore::Imported> imported) {
  --in_flight_;
  if (imported) {
    window_.count_written(pending.batch, imported->inserted, imported->changed);
  } else if (!can_help_to_retry(imported.error(), pending.batch) || pending.attempts >= kAttemptsMax ||
             time_left_() == Duration::zero()) {
    error_ = told(imported.error(), pending.batch);
  } else {
    // Its buckets may have moved meanwhile: one batch can have become several, for several shards.
    ImportWindow again;
    pb::ImportProductsRequest request;
    request.set_keep_price_and_stock(pending.batch.keep_price_and_stock);
    for (ImportRow& row : pending.batch.rows) *request.add_products() = std::move(row.product);
    again.add(request);
    auto batches = again.take_batches([this](Bucket bucket) { return store_->shard_of(bucket); });
    if (!batches)
      error_ = batches.error();
    else
      for (ImportBatch& batch : *batches) pending_.push_back({std::move(batch), pending.attempts});
  }
  send_more();
}

}  // namespace tidemark::catalog
