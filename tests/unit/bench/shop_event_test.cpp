#include "bench/macro/shop_event.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "bench/macro/io/event_log_file.h"

namespace tidemark::bench {
namespace {

ShopEvent full() {
  ShopEvent event;
  event.action = CustomerAction::kPlaceOrder;
  event.customer = 7;
  event.customer_id = 1234567890123;
  event.session = "0123abcd";
  event.has_carried_token = true;
  event.key = "1-7-3";
  event.attempt = 2;
  event.lines = {{"0ad", 2}, {"libstdc++6", 1}};
  event.order_id = 5;
  event.status = 14;
  event.message = "\"away\"\n";
  event.origin = Origin::kReplica;
  event.bound_ms = 12;
  event.version = 4;
  event.is_replayed = event.was_revoked = event.has_more = event.is_warmup = true;
  event.orders = {{99, OrderStage::kCancelling, 3}};
  event.start_us = 1'764'072'000'000'000;
  event.end_us = 1'764'072'000'000'001;
  return event;
}

TEST(ShopEvent, ComesBackAsItWasWritten) {
  for (const ShopEvent& event : {full(), ShopEvent{}}) {
    const std::string line = encode_event(event);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto decoded = decode_event(line);
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    EXPECT_EQ(*decoded, event);
  }
}

TEST(ShopEvent, RefusesWhatIsNoEvent) {
  EXPECT_FALSE(decode_event("{"));
  EXPECT_FALSE(decode_event("{}"));
  EXPECT_FALSE(decode_event(R"({"action":"buy"})"));
}

TEST(ShopEvent, ReadsTheStagesOfThePrototypeAndOfTheDatabase) {
  EXPECT_EQ(parse_order_stage("CONFIRMED"), OrderStage::kConfirmed);
  EXPECT_EQ(parse_order_stage("cancelled"), OrderStage::kCancelled);
  EXPECT_EQ(parse_order_stage("ORDER_STATE_UNSPECIFIED"), OrderStage::kUnknown);
}

TEST(EventLogFile, KeepsEventsInTheirOrderAndCountsThoseBeyondItsLimit) {
  const auto path = std::filesystem::path(testing::TempDir()) / ("events-" + std::to_string(::getpid()));
  auto log = EventLogWriter::create(path, 2);
  ASSERT_TRUE(log);
  for (uint32_t customer = 0; customer < 3; ++customer) {
    ShopEvent event;
    event.customer = customer;
    log->append(event);
  }
  ASSERT_TRUE(log->close());
  EXPECT_EQ(log->written(), 2u);
  EXPECT_EQ(log->dropped(), 1u);
  std::vector<uint32_t> seen;
  ASSERT_TRUE(read_event_log(path, [&](const ShopEvent& event) { seen.push_back(event.customer); }));
  EXPECT_EQ(seen, (std::vector<uint32_t>{0, 1}));
  std::ofstream(path, std::ios::app) << "{\"action\":\"get_se";
  EXPECT_FALSE(read_event_log(path, [](const ShopEvent&) {}));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace tidemark::bench
