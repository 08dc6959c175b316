#include "cacheserver/io/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <string>
#include <thread>
#include <utility>

namespace tidemark::cacheserver::io {
namespace {

Mailbox::Batch batch_of(uint32_t origin, size_t requests, size_t bytes = 10) {
  auto batch = std::make_unique<ForwardedBatch>();
  batch->origin = origin;
  batch->requests.assign(bytes, 'x');
  batch->items.resize(requests);
  return batch;
}

bool is_woken(const Mailbox& mailbox) {
  pollfd watched{.fd = mailbox.wake_descriptor(), .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, 0) == 1;
}

TEST(Mailbox, WakesOnceForAllThatComesBeforeItIsTaken) {
  Mailbox mailbox(::eventfd(0, EFD_NONBLOCK));
  EXPECT_FALSE(is_woken(mailbox));
  auto first = batch_of(1, 3), second = batch_of(2, 4);
  ASSERT_TRUE(mailbox.push_requests(first));
  EXPECT_EQ(first, nullptr);
  ASSERT_TRUE(mailbox.push_requests(second));
  EXPECT_TRUE(is_woken(mailbox));
  Mailbox::Contents contents;
  mailbox.take(contents);
  EXPECT_EQ(contents.batches.size(), 2u);
  EXPECT_FALSE(is_woken(mailbox));
  mailbox.push_answer(std::move(contents.batches[0]));
  EXPECT_TRUE(is_woken(mailbox));
}

TEST(Mailbox, AFullOneLeavesTheBatchWithItsSenderAndRemembersWhomToWake) {
  Mailbox mailbox(::eventfd(0, EFD_NONBLOCK), {.requests_max = 10, .bytes_max = 100});
  auto first = batch_of(1, 8), more = batch_of(2, 3), large = batch_of(3, 1, 95), again = batch_of(2, 5),
       fits = batch_of(4, 2);
  ASSERT_TRUE(mailbox.push_requests(first));
  EXPECT_FALSE(mailbox.push_requests(more)) << "too many requests";
  EXPECT_FALSE(mailbox.push_requests(large)) << "too many bytes";
  EXPECT_FALSE(mailbox.push_requests(again));
  EXPECT_NE(more, nullptr);
  EXPECT_TRUE(mailbox.push_requests(fits));
  mailbox.push_answer(batch_of(0, 1000));  // always fits
  Mailbox::Contents contents;
  mailbox.take(contents);
  EXPECT_EQ(contents.batches.size(), 3u);
  EXPECT_EQ(contents.senders_waiting, (std::vector<uint32_t>{2, 3}));
  EXPECT_TRUE(mailbox.push_requests(more));
}

TEST(Mailbox, AnEmptyOneTakesABatchOfAnySize) {
  Mailbox mailbox(::eventfd(0, EFD_NONBLOCK), {.requests_max = 10, .bytes_max = 100});
  auto huge = batch_of(1, 100, 100'000);
  EXPECT_TRUE(mailbox.push_requests(huge));
}

TEST(Mailbox, LosesNothingBetweenThreads) {
  constexpr size_t kSenders = 3, kBatches = 2000;
  Mailbox mailbox(::eventfd(0, EFD_NONBLOCK), {.requests_max = 50, .bytes_max = 1 << 20});
  std::vector<std::thread> senders;
  for (uint32_t sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&mailbox, sender] {
      for (size_t i = 0; i < kBatches; ++i) {
        auto batch = batch_of(sender, 1 + i % 7);
        batch->items[0].session = i;
        while (!mailbox.push_requests(batch)) std::this_thread::yield();
      }
    });
  }
  std::vector<uint64_t> next(kSenders, 0);
  size_t taken = 0;
  while (taken < kSenders * kBatches) {
    pollfd watched{.fd = mailbox.wake_descriptor(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&watched, 1, 20'000), 1) << "a wake was lost after " << taken;
    Mailbox::Contents contents;
    mailbox.take(contents);
    for (auto& batch : contents.batches) EXPECT_EQ(batch->items[0].session, next[batch->origin]++);
    taken += contents.batches.size();
  }
  for (std::thread& sender : senders) sender.join();
}

}  // namespace
}  // namespace tidemark::cacheserver::io
