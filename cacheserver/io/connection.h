// One client's socket: reads what is there, lets the session run it, sends all replies of a read in one send.
//
// The buffers for input and fresh replies belong to the worker and are shared by its connections; a connection keeps
// bytes of its own only while a request is incomplete or the kernel takes no more replies. Connections that are ready
// together are served in steps, each for all of them, so that the memory their requests touch is loaded side by side:
//
//   receive (recv, parse)  ->  Worker::load_round  ->  run  ->  reply (send, non-blocking)
//                                                                 \_ the kernel took less: the rest waits for
//                                                                    "writable"; above output_pause_bytes the client
//                                                                    is not read from until it took half
//
// A large value of a command that keeps it is received where it will stay (Keyspace::begin_receive), not in the input:
//
//   input_  "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n"    value_  100000 bytes    then input_ goes on with "\r\n"
//
// Limits: WorkerConfig::query_buffer_bytes_max, output_buffer_bytes_max (closed and counted), output_pause_bytes.
// Threads: the worker's. I/O: its socket; it never blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cacheserver/io/output_queue.h"
#include "cacheserver/serving/session_machine.h"

namespace tidemark::cacheserver::io {

// What the connections of one worker share.
struct SharedBuffers {
  static constexpr size_t kReadBytes = 64 * 1024;          // at most, by one recv
  static constexpr size_t kInputBytes = 4 * kReadBytes;    // of all connections of a round
  static constexpr size_t kRoundReplyBytes = 256 * 1024;   // beyond, what has run is sent before more runs
  static constexpr size_t kReplyBytesKept = 1024 * 1024;   // a larger buffer is given back after use
  static constexpr size_t kOwnReadBytesMax = 1024 * 1024;  // by one recv, of a large request
  static constexpr size_t kProbeBytes = 4096;              // by one recv, while a large request is expected
  static constexpr size_t kBehindValueBytes = 4096;        // by the recv that takes the end of a large value, too
  static constexpr size_t kSpareBytesMax = 2 * 1024 * 1024;
  SharedBuffers() : input(kInputBytes, '\0') {}
  static void clear(ReplyBuffer& buffer) {
    buffer.clear();
    if (buffer.bytes().capacity() > kReplyBytesKept) std::string().swap(buffer.bytes());
  }

  std::string input;
  size_t input_used = 0;
  ReplyBuffer replies;      // of the round, one connection after the other
  ReplyBuffer own_replies;  // of one connection that is served alone
  std::string spare;        // memory of the large request that was put together last, for the next one
};

class Connection {
 public:
  // Takes the socket, which is non-blocking, and closes it at the end.
  Connection(int socket, int epoll, Worker& worker, SharedBuffers& buffers, std::string peer_address,
             std::string local_address, Instant now);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // kReady: requests have joined the worker's shared round; run() and reply() follow, before the next receive().
  enum class Receipt : uint8_t { kReady, kServed, kOver };
  Receipt receive(Instant now, UnixMillis unix_now);  // requires SharedBuffers::kReadBytes of room for input
  void run(Instant now, UnixMillis unix_now);
  // False here and below, kOver above: the connection is over; destroy it (not before the events of this turn are
  // done).
  bool reply(Instant now, UnixMillis unix_now);
  bool on_writable(Instant now, UnixMillis unix_now);
  // A sibling's reply. True: the last one missing; on_answered() follows.
  bool take_answer(uint32_t index, std::string_view reply) { return machine_.take_answer(index, reply); }
  bool on_answered(Instant now, UnixMillis unix_now);
  bool is_waiting() const { return machine_.is_waiting(); }  // for siblings

  uint64_t id() const { return machine_.session().id; }
  const Session& session() const { return machine_.session(); }
  bool has_output() const { return !output_.empty(); }
  bool has_input() const { return !input_.empty(); }
  void stop_reading();     // while the node drains
  bool register_events();  // with the epoll descriptor; false: the kernel refused

 private:
  bool run_input(std::string_view input, Instant now, UnixMillis unix_now);
  bool settle(SessionMachine::Outcome outcome, std::string_view rest, Instant now);
  ssize_t receive_into_shared();
  ssize_t receive_into_own();
  bool receive_value(Instant now, UnixMillis unix_now);
  void begin_value(size_t bytes, Instant now);
  void end_value();
  bool is_inside_value() const { return value_ != nullptr && value_received_ < value_bytes_; }
  void begin_input(std::string_view rest, bool goes_elsewhere);
  void end_input();
  bool send_replies(ReplyBuffer& replies, size_t begin, size_t end);
  bool is_output_allowed();
  void check_pause();
  bool keep_input(std::string_view rest, Instant now);
  bool flush_output();
  void update_interest();

  int socket_;
  int epoll_;
  uint32_t interest_ = 0;
  bool is_paused_ = false;  // it has more output waiting than it should: not read from
  bool is_draining_ = false;
  bool holds_reads_ = false;  // it has sent more while it waits for siblings: not read from until they have answered
  Worker& worker_;
  SharedBuffers& buffers_;
  SessionMachine machine_;
  bool expects_large_ = false;  // its last requests were larger than one recv takes
  std::string input_;           // an incomplete request, or requests that wait for room in the output
  // The value that the incomplete request in input_ goes on with, if it is received where it will stay.
  FarValue* value_ = nullptr;
  size_t value_bytes_ = 0, value_received_ = 0;
  OutputQueue output_;  // not yet taken by the kernel
  // Between receive() and reply(): the input, then what is left of it, and the replies' place in the shared buffer.
  std::string_view round_input_;
  SessionMachine::Outcome round_outcome_ = SessionMachine::Outcome::kNeedsInput;
  size_t replies_begin_ = 0, replies_end_ = 0;
};

}  // namespace tidemark::cacheserver::io
