// Two workers of one node and their mailboxes, in one thread.
#include "cacheserver/io/post.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <string>
#include <vector>

#include "base/slot.h"

namespace tidemark::cacheserver::io {
namespace {

constexpr Instant kNow{std::chrono::seconds(1000)};
constexpr UnixMillis kUnixNow{1'700'000'000'000};
Instant standing_clock() {
  return kNow;
}

class PostTest : public testing::Test {
 protected:
  void SetUp() override {
    auto topology = std::make_shared<Topology>();
    topology->version = topology->slots_version = 1;
    topology->nodes = {{.id = "local", .worker_ports = {7001, 7002}, .workers = 2}};
    topology->groups = {{.id = "g1", .nodes = {"local"}}};
    topology->slot_groups.assign(kSlotCount, 0);
    auto mailboxes = std::make_shared<Mailboxes>();
    for (int i = 0; i < 2; ++i) {
      mailboxes->push_back(std::make_unique<Mailbox>(::eventfd(0, EFD_NONBLOCK), Mailbox::Limits{.requests_max = 100}));
    }
    for (uint32_t i = 0; i < 2; ++i) {
      auto worker = Worker::open({.identity = {.worker_index = i, .workers = 2, .started_at = kNow, .forwards = true},
                                  .config = {},
                                  .credentials = {},
                                  .hash_seed = i,
                                  .clock = standing_clock},
                                 CommandTable::standard());
      ASSERT_TRUE(worker.has_value());
      workers_.push_back(*std::move(worker));
      workers_[i]->adopt_topology(topology);
      posts_.push_back(std::make_unique<Post>(*workers_[i], mailboxes));
    }
  }

  void TearDown() override { posts_.clear(); }

  // `count` requests of a session of worker 0 for keys of worker 1.
  void forward(uint64_t session, size_t count) {
    Session sender;
    sender.id = session;
    sender.user = User::kDefault;
    for (uint32_t index = 0; index < count; ++index)
      workers_[0]->forwarding()->add(1, sender, index, "incr " + key_ + "\r\n");
  }
  static bool is_woken(const Post& post) {
    pollfd watched{.fd = post.wake_descriptor(), .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 0) == 1;
  }
  std::vector<std::string> receive(Post& post) {
    std::vector<std::string> answers;
    post.receive(kNow, kUnixNow, [&](uint64_t session, uint32_t index, std::string_view reply) {
      answers.push_back(std::to_string(session) + "." + std::to_string(index) + " " + std::string(reply));
    });
    return answers;
  }

  std::string key_ = "key";  // run_forwarded does not ask whose it is
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Post>> posts_;
};

TEST_F(PostTest, CarriesRequestsThereAndAnswersBack) {
  forward(7, 2);
  posts_[0]->send();
  EXPECT_TRUE(is_woken(*posts_[1]));
  EXPECT_TRUE(receive(*posts_[1]).empty());
  EXPECT_TRUE(is_woken(*posts_[0]));
  EXPECT_EQ(receive(*posts_[0]), (std::vector<std::string>{"7.0 :1\r\n", "7.1 :2\r\n"}));
  EXPECT_FALSE(is_woken(*posts_[0]));
  EXPECT_FALSE(is_woken(*posts_[1]));
}

TEST_F(PostTest, WhatFindsTheMailboxFullWaitsAndGoesOnceThereIsRoomWithNothingLostOrOutOfOrder) {
  forward(1, 100);
  posts_[0]->send();
  forward(2, 80);
  posts_[0]->send();
  forward(3, 20);
  posts_[0]->send();
  EXPECT_EQ(workers_[0]->view().stats().mailbox_full.get(), 2u);
  EXPECT_FALSE(workers_[0]->forwarding()->outgoing().empty());
  receive(*posts_[1]);
  ASSERT_TRUE(is_woken(*posts_[0]));
  EXPECT_EQ(receive(*posts_[0]).size(), 100u);
  posts_[0]->send();
  EXPECT_TRUE(workers_[0]->forwarding()->outgoing().empty());
  receive(*posts_[1]);
  const auto answers = receive(*posts_[0]);
  ASSERT_EQ(answers.size(), 100u);
  EXPECT_EQ(answers.front(), "2.0 :101\r\n");
  EXPECT_EQ(answers.back(), "3.19 :200\r\n");
}

TEST_F(PostTest, ASenderThatFoundItFullIsWokenEvenIfNothingComesBackForIt) {
  forward(1, 100);
  posts_[0]->send();
  receive(*posts_[1]);
  receive(*posts_[0]);  // nothing is under way
  forward(2, 100);
  posts_[0]->send();
  forward(3, 1);
  posts_[0]->send();
  ASSERT_FALSE(is_woken(*posts_[0]));
  receive(*posts_[1]);
  EXPECT_TRUE(is_woken(*posts_[0]));
}

}  // namespace
}  // namespace tidemark::cacheserver::io
