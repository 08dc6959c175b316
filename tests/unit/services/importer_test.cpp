#include "services/catalog/importer.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/services/fake_store.h"

namespace tidemark::catalog {
namespace {

struct Import {
  std::shared_ptr<FakeStore> store = std::make_shared<FakeStore>();
  std::atomic<bool> is_cancelled = false;
  Duration time_left = std::chrono::seconds(60);
  std::shared_ptr<Importer> importer =
      std::make_shared<Importer>(store, [this] { return time_left; }, [this] { return is_cancelled.load(); });

  void add(int from, int to, const std::string& version = "1", bool keep_price_and_stock = true) {
    pb::ImportProductsRequest request;
    request.set_keep_price_and_stock(keep_price_and_stock);
    for (int i = from; i < to; ++i) {
      request.add_products()->set_sku("p" + std::to_string(i));
      request.mutable_products(request.products_size() - 1)->set_version(version);
    }
    importer->add(request);
  }
  Status flush() {
    return client::wait_for_result<Status>([this](client::Callback<Status> done) { importer->flush(std::move(done)); });
  }
};

TEST(Importer, WritesEverythingAndCountsNewChangedAndEqual) {
  Import import;
  import.add(0, 1500);
  ASSERT_TRUE(import.flush());
  import.add(0, 10, "2");
  import.add(10, 15);
  ASSERT_TRUE(import.flush());
  EXPECT_EQ(import.importer->summary().imported(), 1500);
  EXPECT_EQ(import.importer->summary().updated(), 10);
  EXPECT_EQ(import.importer->summary().unchanged(), 5);
  EXPECT_EQ(import.store->products.size(), 1500u);
}

TEST(Importer, FlushesNothingAtOnce) {
  Import import;
  EXPECT_TRUE(import.flush());
  EXPECT_EQ(import.store->batches_tried, 0);
}

TEST(Importer, SendsSeveralBatchesAtOnceButNeverMoreThanItsLimit) {
  Import import;
  import.add(0, 8000);
  ASSERT_TRUE(import.flush());
  EXPECT_GT(import.store->batches_tried, 8);
  EXPECT_GT(import.store->batches_at_once_max, 1);
  EXPECT_LE(import.store->batches_at_once_max, static_cast<int>(Importer::kBatchesInFlightMax));
}

TEST(Importer, TriesABatchAgainAfterErrorsThatPass) {
  Import import;
  import.store->write_errors = {{ErrorCode::kAborted, "deadlock"},
                                {ErrorCode::kFailedPrecondition, "moved"},
                                {ErrorCode::kOutcomeUnknown, "lost"}};
  import.add(0, 10);
  ASSERT_TRUE(import.flush());
  EXPECT_EQ(import.store->batches_tried, 4);
  EXPECT_EQ(import.importer->summary().imported(), 10);
}

// The first try may be in, and a price set since then would be lost by the second.
TEST(Importer, DoesNotSetPricesASecondTimeAfterAnUnknownOutcome) {
  Import import;
  import.store->write_errors = {{ErrorCode::kAborted, "deadlock"}, {ErrorCode::kOutcomeUnknown, "lost"}};
  import.add(0, 10, "1", /*keep_price_and_stock=*/false);
  Status status = import.flush();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_NE(status.error().message.find("keep_price_and_stock"), std::string::npos);
  EXPECT_EQ(import.store->batches_tried, 2);
}

TEST(Importer, GivesUpAfterItsAttempts) {
  Import import;
  for (int i = 0; i < 100; ++i) import.store->write_errors.push_back({ErrorCode::kUnavailable, "down"});
  import.add(0, 10);
  Status status = import.flush();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error(), (Error{ErrorCode::kUnavailable, "import: down"}));
  EXPECT_EQ(import.store->batches_tried, Importer::kAttemptsMax);
}

TEST(Importer, DoesNotTryAgainWhatCannotHelp) {
  Import import;
  import.store->write_errors = {{ErrorCode::kInvalidArgument, "no"}};
  import.add(0, 10);
  EXPECT_EQ(import.flush().error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(import.store->batches_tried, 1);
}

TEST(Importer, StopsWhenTheDeadlinePassedOrTheCallerLeft) {
  Import late;
  late.add(0, 10);
  late.time_left = Duration::zero();
  EXPECT_EQ(late.flush().error().code, ErrorCode::kDeadlineExceeded);
  Import gone;
  gone.add(0, 10);
  gone.is_cancelled = true;
  EXPECT_FALSE(gone.flush());
  EXPECT_EQ(late.store->batches_tried + gone.store->batches_tried, 0);
}

}  // namespace
}  // namespace tidemark::catalog
