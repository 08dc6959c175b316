// Writes an import window by window: a few transactions at once, each tried again where that can help and
// does no harm (a batch that sets prices is not, once its outcome is unknown).
//
// Threads: add() and flush() from one thread at a time, never while a flush runs; `done` is called on the store's loop.
// Limits: ImportWindow's, kBatchesInFlightMax, kAttemptsMax per batch.
#pragma once

#include <deque>
#include <memory>

#include "services/catalog/product_store.h"

namespace tidemark::catalog {

class Importer : public std::enable_shared_from_this<Importer> {
 public:
  static constexpr size_t kBatchesInFlightMax = 4;
  static constexpr int kAttemptsMax = 4;

  // `time_left` says how long the caller still waits; `is_cancelled`, whether it still does.
  Importer(std::shared_ptr<ProductStore> store, std::function<Duration()> time_left,
           std::function<bool()> is_cancelled);

  void add(const pb::ImportProductsRequest& request) { window_.add(request); }
  bool wants_flush() const { return window_.is_full(); }
  // Writes all that was added. After an error the import is over; batches that went through stay.
  void flush(client::Callback<Status> done);
  const pb::ImportProductsResponse& summary() const { return window_.summary(); }

 private:
  struct Pending {
    ImportBatch batch;
    int attempts = 0;
  };
  void send_more();
  void on_written(Pending pending, Result<ProductStore::Imported> imported);
  void send_again(Pending pending);

  std::shared_ptr<ProductStore> store_;
  std::function<Duration()> time_left_;
  std::function<bool()> is_cancelled_;
  ImportWindow window_;
  std::deque<Pending> pending_;
  size_t in_flight_ = 0;
  std::optional<Error> error_;
  client::Callback<Status> done_;
};

}  // namespace tidemark::catalog
