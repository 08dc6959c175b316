// Which worker of the node runs a request that came to another one, and how the commands that concern several workers
// are taken apart and put together. docs/WORKERS.md is the table for users.
//
//   GET a            -> the worker of a's slot
//   MGET a b, DEL a b-> one part per key or per worker, merged; one worker for all keys: as it is
//   DBSIZE, FLUSHALL -> every worker
//   RENAME a b       -> refused unless one worker has both
//   PING, INFO       -> here
//
// Threads: pure functions. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cacheserver/command/command_table.h"
#include "cacheserver/serving/request_round.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {

// How the replies to the parts become one.
enum class Merge : uint8_t {
  kNone,         // there is one part
  kSum,          // integers
  kAllOk,        // +OK if every part says so
  kConcatenate,  // arrays, one behind the other
  kScan,         // the cursor gets the worker's number
  kAnyValue,     // the first that is not null
};

struct Route {
  enum class Kind : uint8_t { kHere, kOwner, kParts, kRefused };
  Kind kind = Kind::kHere;
  uint32_t owner = 0;  // kOwner
  bool has_keys = false;
};

Route route_of(const CommandTable& table, const RequestRound& round, size_t i, const WorkerView& view);

// The parts of a request of Route::Kind::kParts.
struct RequestParts {
  struct Part {
    uint32_t owner = 0;
    std::vector<std::string_view> arguments;
  };
  std::vector<Part> parts;
  Merge merge = Merge::kNone;
  std::string storage;  // of arguments that did not stand in the request
};
RequestParts parts_of(const CommandTable& table, CommandTable::Found found, Arguments arguments,
                      const WorkerView& view);

// Appends the reply to the whole request. `owners` and `replies` are the parts', in their order.
void merge_replies(std::string& out, Merge merge, const std::vector<uint32_t>& owners, uint32_t workers,
                   const std::vector<std::string_view>& replies);

}  // namespace tidemark::cacheserver
