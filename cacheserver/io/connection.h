// One client's socket: reads what is there, lets the session run it, sends all replies of a read in one send.
//
// The read buffer and the buffer for fresh replies belong to the worker and are shared by its connections; a connection
// keeps bytes of its own only while a request is incomplete or the kernel takes no more replies.
//
//   readable -> recv -> SessionMachine::advance -> send (non-blocking)
//                                                   \_ the kernel took less: the rest waits for "writable"; above
//                                                      output_pause_bytes the client is not read from until it took
//                                                      half
//
// Limits: WorkerConfig::query_buffer_bytes_max, output_buffer_bytes_max (closed and counted), output_pause_bytes.
// Threads: the worker's. I/O: its socket; it never blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cacheserver/serving/session_machine.h"

namespace tidemark::cacheserver::io {

// What the connections of one worker share.
struct SharedBuffers {
  static constexpr size_t kReadBytes = 64 * 1024;
  static constexpr size_t kReplyBytesKept = 1024 * 1024;  // a larger buffer is given back after use
  SharedBuffers() : read(kReadBytes, '\0') {}
  std::string read;
  std::string replies;
};

class Connection {
 public:
  // Takes the socket, which is non-blocking, and closes it at the end.
  Connection(int socket, int epoll, Worker& worker, SharedBuffers& buffers, std::string peer_address,
             std::string local_address, Instant now);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // False: the connection is over; destroy it (not before the events of this turn are done).
  bool on_readable(Instant now, UnixMillis unix_now);
  bool on_writable(Instant now, UnixMillis unix_now);

  uint64_t id() const { return machine_.session().id; }
  const Session& session() const { return machine_.session(); }
  bool has_output() const { return output_offset_ < output_.size(); }
  bool has_input() const { return !input_.empty(); }
  void stop_reading();     // while the node drains
  bool register_events();  // with the epoll descriptor; false: the kernel refused

 private:
  bool run_input(std::string_view input, Instant now, UnixMillis unix_now);
  bool send_replies(std::string& replies);
  bool keep_output(std::string_view rest);
  bool keep_input(std::string_view rest);
  bool flush_output();
  void update_interest();

  int socket_;
  int epoll_;
  uint32_t interest_ = 0;
  bool is_paused_ = false;  // it has more output waiting than it should: not read from
  bool is_draining_ = false;
  Worker& worker_;
  SharedBuffers& buffers_;
  SessionMachine machine_;
  std::string input_;   // an incomplete request, or requests that wait for room in the output
  std::string output_;  // not yet taken by the kernel
  size_t output_offset_ = 0;
};

}  // namespace tidemark::cacheserver::io
