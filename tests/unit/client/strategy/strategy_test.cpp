// Single flight, position clock and key backoff.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "client/strategy/key_backoff.h"
#include "client/strategy/position_clock.h"
#include "client/strategy/single_flight.h"

namespace tidemark::client {
namespace {

using std::chrono::milliseconds;
Instant at(int64_t ms) {
  return Instant(milliseconds(ms));
}

using Flights = SingleFlight<int>;
using Role = Flights::Role;

TEST(SingleFlight, TheFirstLeadsAndTheOthersFollow) {
  Flights flights({});
  auto first = flights.join("a", 1);
  auto second = flights.join("a", 2);
  EXPECT_EQ(first.role, Role::kLeader);
  EXPECT_EQ(second.role, Role::kFollower);
  EXPECT_EQ(second.flight, first.flight);
  EXPECT_EQ(flights.join("b", 3).role, Role::kLeader);
  EXPECT_EQ(flights.finish(first.flight), (std::vector<int>{1, 2}));
  EXPECT_TRUE(flights.finish(first.flight).empty());
  EXPECT_EQ(flights.join("a", 4).role, Role::kLeader);
}

TEST(SingleFlight, ADetachedFlightTakesNoNewcomersAndStillAnswersItsOwn) {
  Flights flights({});
  auto before = flights.join("a", 1);
  flights.detach("a");
  auto after = flights.join("a", 2);
  EXPECT_EQ(after.role, Role::kLeader);
  EXPECT_NE(after.flight, before.flight);
  EXPECT_EQ(flights.finish(before.flight), (std::vector<int>{1}));
  EXPECT_EQ(flights.join("a", 3).role, Role::kFollower) << "finishing the old one left the new one open";
  EXPECT_EQ(flights.finish(after.flight), (std::vector<int>{2, 3}));
  EXPECT_EQ(flights.flights(), 0u);
}

TEST(SingleFlight, RefusesBeyondItsLimits) {
  Flights flights({.flights_max = 1, .waiters_per_flight_max = 2});
  flights.join("a", 1);
  EXPECT_EQ(flights.join("b", 1).role, Role::kFull);
  EXPECT_EQ(flights.join("a", 2).role, Role::kFollower);
  EXPECT_EQ(flights.join("a", 3).role, Role::kFull);
}

// Every order of: two callers join, a write detaches, the first flight ends. Nobody is lost, nobody is told twice, and
// who joins after the write never shares a flight with who joined before it.
TEST(SingleFlight, EveryOrderOfJoinsWriteAndEndAnswersEachCallerOnce) {
  std::vector<char> events{'1', '2', 'd', 'f'};
  std::sort(events.begin(), events.end());
  do {
    Flights flights({});
    std::map<int, uint64_t> flight_of;
    std::map<int, int> answered;
    std::vector<int> before;
    bool is_detached = false;
    uint64_t first = 0;
    for (char event : events) {
      if (event == 'd') {
        flights.detach("a");
        is_detached = true;
      } else if (event == 'f') {
        for (int waiter : flights.finish(first)) ++answered[waiter];
      } else {
        const int waiter = event - '0';
        flight_of[waiter] = flights.join("a", waiter).flight;
        if (first == 0) first = flight_of[waiter];
        if (!is_detached) before.push_back(waiter);
      }
    }
    for (auto [waiter, flight] : flight_of) {
      for (int told : flights.finish(flight)) ++answered[told];
    }
    EXPECT_EQ(answered, (std::map<int, int>{{1, 1}, {2, 1}})) << std::string(events.begin(), events.end());
    if (before.size() == 1) {
      EXPECT_NE(flight_of[1], flight_of[2]) << std::string(events.begin(), events.end());
    }
  } while (std::next_permutation(events.begin(), events.end()));
}

TEST(PositionClock, DatesAReplicaByTheNewestSampleItContains) {
  PositionClock clock;
  clock.note(1, {0x500}, at(100));
  clock.note(1, {0x900}, at(200));
  clock.note(1, {0x900}, at(300));
  EXPECT_EQ(clock.moment_of(1, {0x4ff}), std::nullopt);
  EXPECT_EQ(clock.moment_of(1, {0x500}), at(100));
  EXPECT_EQ(clock.moment_of(1, {0x8ff}), at(100));
  EXPECT_EQ(clock.moment_of(1, {0x900}), at(300)) << "an idle primary's replica is as fresh as the last sample";
  EXPECT_EQ(clock.moment_of(1, {0xfff}), at(300));
}

TEST(PositionClock, NamesTheLowestPositionThatIsYoungEnough) {
  PositionClock clock;
  EXPECT_EQ(clock.position_at_most(milliseconds(1000), at(0)), std::nullopt);
  clock.note(1, {0x500}, at(100));
  clock.note(1, {0x900}, at(200));
  EXPECT_EQ(clock.position_at_most(milliseconds(200), at(300)), Lsn{0x500});
  EXPECT_EQ(clock.position_at_most(milliseconds(199), at(300)), Lsn{0x900});
  EXPECT_EQ(clock.position_at_most(milliseconds(99), at(300)), std::nullopt);
}

TEST(PositionClock, AnotherEpochIsAnotherHistory) {
  PositionClock clock;
  clock.note(1, {0x900}, at(100));
  clock.note(2, {0x600}, at(200));
  EXPECT_EQ(clock.moment_of(1, {0x900}), std::nullopt);
  EXPECT_EQ(clock.moment_of(2, {0x900}), at(200));
  clock.note(1, {0xa00}, at(300));
  EXPECT_EQ(clock.moment_of(2, {0xfff}), at(200)) << "an old server that answers late changes nothing";
}

TEST(PositionClock, APositionThatWentBackDropsWhatWasKnown) {
  PositionClock clock;
  clock.note(1, {0x900}, at(100));
  clock.note(1, {0x600}, at(200));
  EXPECT_EQ(clock.moment_of(1, {0x5ff}), std::nullopt);
  EXPECT_EQ(clock.moment_of(1, {0x900}), at(200));
}

TEST(PositionClock, CrossedPollsKeepTheOrder) {
  PositionClock clock;
  clock.note(1, {0x900}, at(200));
  clock.note(1, {0x500}, at(100));
  EXPECT_EQ(clock.moment_of(1, {0x8ff}), std::nullopt);
  EXPECT_EQ(clock.moment_of(1, {0x900}), at(200));
}

TEST(PositionClock, ForgetsTheOldestBeyondItsLimit) {
  PositionClock clock;
  for (uint64_t i = 0; i <= PositionClock::kSamplesMax; ++i) clock.note(1, {100 + i}, at(static_cast<int64_t>(i)));
  EXPECT_EQ(clock.moment_of(1, {100}), std::nullopt);
  EXPECT_EQ(clock.moment_of(1, {101}), at(1));
}

TEST(KeyBackoff, DoublesPerRefusalAndEndsWithAnAcceptedFill) {
  KeyBackoff backoff(milliseconds(10), milliseconds(30));
  EXPECT_FALSE(backoff.is_backed_off("a", at(0)));
  backoff.on_refused("a", at(0));
  EXPECT_TRUE(backoff.is_backed_off("a", at(9)));
  EXPECT_FALSE(backoff.is_backed_off("a", at(10)));
  EXPECT_FALSE(backoff.is_backed_off("b", at(9)));
  backoff.on_refused("a", at(10));
  EXPECT_TRUE(backoff.is_backed_off("a", at(29)));
  backoff.on_refused("a", at(30));
  EXPECT_TRUE(backoff.is_backed_off("a", at(59)));
  EXPECT_FALSE(backoff.is_backed_off("a", at(60))) << "30 ms is the longest";
  backoff.on_accepted("a");
  backoff.on_refused("a", at(100));
  EXPECT_FALSE(backoff.is_backed_off("a", at(110)));
}

TEST(KeyBackoff, RemembersOnlySoManyKeys) {
  KeyBackoff backoff(milliseconds(10), milliseconds(30));
  for (size_t i = 0; i < KeyBackoff::kKeysMax + 10; ++i) backoff.on_refused(std::to_string(i), at(0));
  EXPECT_EQ(backoff.size(), KeyBackoff::kKeysMax);
  backoff.on_refused("late", at(100));
  EXPECT_TRUE(backoff.is_backed_off("late", at(101))) << "those whose time is over made room";
}

}  // namespace
}  // namespace tidemark::client
