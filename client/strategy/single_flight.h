// One piece of work per key at a time: who comes first does it, who comes meanwhile waits for its result.
//
//   join("a", w1) == {kLeader, 7}   join("a", w2) == {kFollower, 7}   finish(7) == {w1, w2}   join("a", w3) ==
//   {kLeader, 8}
//
// detach("a") closes a flight to newcomers: after a write of "a" nobody may join a load that began before it.
// finish() removes the flight before its waiters are told, so a waiter that asks again starts a new one.
// Threads: owned by one. Limits: flights and waiters per flight; kFull beyond.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tidemark::client {

template <typename Waiter>
class SingleFlight {
 public:
  struct Limits {
    size_t flights_max = 16384;
    size_t waiters_per_flight_max = 4096;
  };
  enum class Role : uint8_t { kLeader, kFollower, kFull };
  struct Joined {
    Role role = Role::kFull;
    uint64_t flight = 0;
  };

  explicit SingleFlight(Limits limits) : limits_(limits) {}

  Joined join(const std::string& key, Waiter waiter) {
    auto open = open_.find(key);
    if (open == open_.end()) {
      if (flights_.size() >= limits_.flights_max) return {};
      const uint64_t id = ++last_id_;
      open_.emplace(key, id);
      Flight& flight = flights_[id];
      flight.key = key;
      flight.waiters.push_back(std::move(waiter));
      return {Role::kLeader, id};
    }
    Flight& flight = flights_[open->second];
    if (flight.waiters.size() >= limits_.waiters_per_flight_max) return {};
    flight.waiters.push_back(std::move(waiter));
    return {Role::kFollower, open->second};
  }

  void detach(const std::string& key) { open_.erase(key); }

  // Empty if there is no such flight (any more).
  std::vector<Waiter> finish(uint64_t id) {
    auto found = flights_.find(id);
    if (found == flights_.end()) return {};
    std::vector<Waiter> waiters = std::move(found->second.waiters);
    auto open = open_.find(found->second.key);
    if (open != open_.end() && open->second == id) open_.erase(open);
    flights_.erase(found);
    return waiters;
  }

  size_t flights() const { return flights_.size(); }

 private:
  struct Flight {
    std::string key;
    std::vector<Waiter> waiters;
  };
  Limits limits_;
  uint64_t last_id_ = 0;
  std::unordered_map<std::string, uint64_t> open_;
  std::unordered_map<uint64_t, Flight> flights_;
};

}  // namespace tidemark::client
