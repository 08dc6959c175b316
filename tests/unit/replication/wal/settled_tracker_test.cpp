#include "replication/wal/settled_tracker.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <random>

namespace tidemark::replication {
namespace {

PgSnapshot snapshot(std::string_view text) {
  return *PgSnapshot::parse(text);
}

TEST(SettledTracker, IsTheLongestVisiblePrefixOfTheCommitStream) {
  SettledTracker tracker;
  tracker.on_commit({10}, 7);
  tracker.on_commit({20}, 9);
  tracker.on_commit({30}, 8);
  tracker.on_position({35});
  tracker.on_snapshot(snapshot("9:10:9"));
  EXPECT_EQ(tracker.settled(), Lsn{10}) << "8 is visible, but 9 before it is not";
  EXPECT_EQ(tracker.first_unsettled(), Lsn{20});
  tracker.on_snapshot(snapshot("10:10:"));
  EXPECT_EQ(tracker.settled(), Lsn{35});
  EXPECT_EQ(tracker.first_unsettled(), std::nullopt);
}

TEST(SettledTracker, ACommitThatHangsBeyondXmaxIsNotSettled) {
  SettledTracker tracker;
  tracker.on_position({5});
  tracker.on_snapshot(snapshot("725:725:"));
  tracker.on_commit({10}, 731);
  tracker.on_position({12});
  tracker.on_snapshot(snapshot("725:731:725"));
  EXPECT_EQ(tracker.settled(), Lsn{5});
}

TEST(SettledTracker, ClaimsNothingBehindABarrierUntilEveryOlderXidHasEnded) {
  // E16: another invalidator decoded and confirmed T (731), which hangs; this one's stream starts after it.
  SettledTracker tracker;
  tracker.on_position({100});
  tracker.require_barrier(732);
  tracker.on_snapshot(snapshot("725:731:725"));
  EXPECT_FALSE(tracker.has_settled());
  tracker.on_snapshot(snapshot("732:733:"));
  EXPECT_FALSE(tracker.has_settled()) << "the own xid itself has not ended for this snapshot";
  tracker.on_snapshot(snapshot("733:733:"));
  EXPECT_EQ(tracker.settled(), Lsn{100});
}

TEST(SettledTracker, TheAllOldXipEndedTestIsNotEnough) {
  // Q0 = 725:731:725 lists 725 only; when 725 has ended, 731 may still hang, and nothing lists it.
  SettledTracker tracker;
  tracker.on_position({100});
  tracker.require_barrier(732);
  tracker.on_snapshot(snapshot("731:731:"));
  EXPECT_FALSE(tracker.has_settled());
}

TEST(SettledTracker, RepeatsOfTheSlotAreIgnored) {
  SettledTracker tracker;
  tracker.on_commit({10}, 7);
  tracker.on_commit({10}, 7);
  EXPECT_EQ(tracker.unsettled_count(), 1u);
}

TEST(SettledTracker, NeverClaimsACommitItsSnapshotDoesNotSee) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    SettledTracker tracker;
    std::vector<std::pair<Lsn, Xid>> commits;
    Xid next = 10;
    uint64_t lsn = 0;
    std::vector<Xid> running, hanging;  // hanging: committed in the stream, not yet visible
    Lsn last_settled;
    for (int step = 0; step < 60; ++step) {
      switch (random() % 4) {
        case 0:
          running.push_back(next++);
          break;
        case 1:
          if (!running.empty()) {
            size_t i = random() % running.size();
            hanging.push_back(running[i]);
            commits.emplace_back(Lsn{lsn += 10}, running[i]);
            tracker.on_commit({lsn}, running[i]);
            running.erase(running.begin() + static_cast<long>(i));
          }
          break;
        case 2:
          if (!hanging.empty()) hanging.erase(hanging.begin() + static_cast<long>(random() % hanging.size()));
          break;
        default: {
          PgSnapshot q{next, next, {}};
          std::vector<Xid> open = running;
          open.insert(open.end(), hanging.begin(), hanging.end());
          std::ranges::sort(open);
          if (!open.empty()) q.xmin = open.front();
          q.xip = open;
          tracker.on_position({lsn += 1});
          tracker.on_snapshot(q);
          EXPECT_GE(tracker.settled(), last_settled);
          last_settled = tracker.settled();
          for (auto& [end, xid] : commits) {
            if (end <= tracker.settled()) EXPECT_TRUE(q.sees(xid)) << xid << " in " << q.to_string();
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tidemark::replication
