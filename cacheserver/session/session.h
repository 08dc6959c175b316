// What one connection has said about itself, and what the server knows about it: a plain record.
//
// The connection's shell makes it, the commands of `connection_commands` change it, CLIENT LIST prints it.
// Threads: its worker's own. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace tidemark::cacheserver {

enum class User : uint8_t { kNone, kDefault, kInvalidator };  // kNone: has to authenticate first
enum class ReplyMode : uint8_t { kOn, kOff, kSkipNext, kSkipThis };

// Leaves only letters that CLIENT LIST can print in one word; what Redis demands of names.
bool is_valid_client_name(std::string_view name);

class Session {
 public:
  uint64_t id = 0;   // never reused within a process
  int protocol = 2;  // RESP2 or RESP3
  User user = User::kNone;
  ReplyMode reply_mode = ReplyMode::kOn;
  bool no_evict = false;
  bool no_touch = false;
  bool is_readonly = false;  // READONLY was sent
  bool is_asking = false;    // ASKING was sent; holds for the next command only
  bool is_closing = false;   // close once the replies so far are written
  std::string name;
  std::string lib_name;
  std::string lib_version;
  std::string peer_address;  // "127.0.0.1:50312"
  std::string local_address;
  Instant connected_at{};
  Instant last_active_at{};
  std::string_view last_command = "NULL";  // a row's name: it outlives every session
  uint64_t commands_total = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  size_t query_buffer_bytes = 0;   // of an incomplete request
  size_t output_buffer_bytes = 0;  // not yet taken by the kernel

  bool is_authenticated() const { return user != User::kNone; }
};

}  // namespace tidemark::cacheserver
