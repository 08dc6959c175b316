// Keys whose fills were refused lately: for a moment nobody of this process tries to fill them.
//
// A primary whose commits hang (synchronous replication, a long ProcArray window) makes every fill of the touched keys
// REJECT for a while; each try would cost a lease and a round trip. The delay doubles per refusal and ends with the
// first accepted fill. Threads: owned by one. Time is told. Limits: kKeysMax keys, beyond which nothing new is
// remembered.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace tidemark::client {

class KeyBackoff {
 public:
  static constexpr size_t kKeysMax = 4096;

  KeyBackoff(Duration first, Duration longest) : first_(first), longest_(longest) {}

  void on_refused(const std::string& key, Instant now) {
    auto found = keys_.find(key);
    if (found == keys_.end()) {
      if (keys_.size() >= kKeysMax) std::erase_if(keys_, [&](const auto& entry) { return entry.second.until < now; });
      if (keys_.size() >= kKeysMax) return;
      keys_.emplace(key, Entry{first_, now + first_});
      return;
    }
    found->second.delay = std::min(found->second.delay * 2, longest_);
    found->second.until = now + found->second.delay;
  }
  void on_accepted(const std::string& key) { keys_.erase(key); }

  bool is_backed_off(const std::string& key, Instant now) const {
    if (keys_.empty()) return false;
    auto found = keys_.find(key);
    return found != keys_.end() && now < found->second.until;
  }
  size_t size() const { return keys_.size(); }

 private:
  struct Entry {
    Duration delay;
    Instant until;
  };
  Duration first_;
  Duration longest_;
  std::unordered_map<std::string, Entry> keys_;
};

}  // namespace tidemark::client
