// Requests parsed ahead of their execution, of one session or of several that are ready together, and their keys.
//
//   parse all  ->  load(): hash all keys, prefetch the places of all, then the entries of all  ->  run one by one
//
// So the misses of many lookups overlap, and a lookup finds hash and slot of its key already there.
// Invariants: requests stand in the order they were parsed; refs() of a request are its first keys in their order.
// Lifetime: arguments and keys are views of the sessions' inputs, which stay where they are until clear().
// Limits: kRequestsMax (callers stop there), kKeysOfRequestMax, kKeysMax; further keys are hashed when looked up.
// Threads: a worker's own. I/O: none. Allocation: vectors that are kept.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/wire/request_parser.h"
#include "cacheserver/command/command_table.h"
#include "cacheserver/keyspace/keyspace.h"

namespace tidemark::cacheserver {

class RequestRound {
 public:
  static constexpr size_t kRequestsMax = 64;
  static constexpr size_t kKeysOfRequestMax = 16;
  static constexpr size_t kKeysMax = 256;

  explicit RequestRound(const CommandTable& table) : table_(table) {}

  // Parses one request off the front of `input`.
  RequestParser::Outcome parse(RequestParser& parser, std::string_view& input);
  // Hashes and prefetches the keys of all requests.
  void load(Keyspace& keyspace);
  void clear();

  size_t size() const { return requests_.size(); }
  bool is_full() const { return size() >= kRequestsMax; }
  Arguments arguments(size_t i) const { return batch_[i]; }
  CommandTable::Found found(size_t i) const { return requests_[i].found; }
  std::string_view input(size_t i) const { return requests_[i].input; }  // the session's, from this request on
  std::span<const KeyRef> refs(size_t i) const {
    return {refs_.data() + requests_[i].first_ref, requests_[i].ref_count};
  }

 private:
  struct Request {
    std::string_view input;
    CommandTable::Found found;
    uint32_t first_ref = 0, ref_count = 0;
  };
  CommandTable::Found find(Arguments arguments);
  CommandTable::Found find_anew(Arguments arguments);
  void refer_to_keys(Request& request, Arguments arguments, const Keyspace& keyspace);

  const CommandTable& table_;
  RequestBatch batch_;
  std::vector<Request> requests_;
  std::vector<KeyRef> refs_;
  // The name found last, as it was written: one client after the other sends the same.
  std::string last_name_;
  CommandTable::Found last_found_;
};

}  // namespace tidemark::cacheserver
