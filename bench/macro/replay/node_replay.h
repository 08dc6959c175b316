// A trace replayed through a real server: GET, and on a miss SET with a value of the record's size.
//
// One request at a time, for each must see the effect of all before it; a miss's SET travels in one packet with the
// next request's GET, so every request costs one round trip.
// Threads: one, blocking. Limits: a reply within kReplyTimeout.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "bench/macro/replay/trace.h"

namespace tidemark::bench {

enum class NodeProtocol { kResp, kMemcached };

struct NodeAddress {
  std::string host;
  uint16_t port = 0;
  NodeProtocol protocol = NodeProtocol::kResp;
};

struct ReplayCounts {
  uint64_t requests = 0;
  uint64_t hits = 0;
  uint64_t refused = 0;  // SETs the server answered with an error: too large, out of memory
  std::string first_refusal;
};

// What a server says of itself: "used_memory", "evicted_keys" and the like that are there.
using NodeFigures = std::vector<std::pair<std::string, std::string>>;

class NodeReplay {
 public:
  static constexpr Duration kReplyTimeout = std::chrono::seconds(30);
  static constexpr size_t kValueBytesMax = size_t{64} << 20;

  static Result<NodeReplay> connect(const NodeAddress& address);
  NodeReplay(NodeReplay&& other) noexcept;
  NodeReplay& operator=(NodeReplay&&) = delete;
  ~NodeReplay();

  // `keep_on` is asked after every request. `value_bytes` 0: the record's size.
  Status run(const Trace& trace, uint32_t value_bytes, const std::function<bool(const ReplayCounts&)>& keep_on,
             ReplayCounts& counts);
  Result<NodeFigures> figures();

 private:
  explicit NodeReplay(NodeProtocol protocol) : protocol_(protocol) {}
  void append_get(const std::string& key);
  void append_set(const std::string& key, uint32_t bytes);
  Result<bool> read_get();  // true: a value came
  Status read_set(ReplayCounts& counts);
  Status send();
  Status fill();  // some more bytes into in_
  Result<std::string> read_line();
  Status skip(size_t bytes);

  NodeProtocol protocol_;
  int socket_ = -1;
  std::string out_, in_;
  size_t read_ = 0;  // of in_
  std::string value_;
};

}  // namespace tidemark::bench
