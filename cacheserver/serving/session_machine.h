// One connection without its socket: bytes in, replies out, in request order, one for each request.
//
//   std::string_view input = bytes_read;
//   switch (machine.advance(input, out, now, unix_now)) { … }   // input: what was not consumed
//
// Requests are parsed up to kBatchMax ahead; their keys are prefetched together, then they run one after the other.
// Invariants: a request is consumed when it has run; nothing runs after the session is closing.
// Limits: it stops (kOutputFull) as soon as `out` holds WorkerConfig::output_pause_bytes; call again with the rest once
// the replies are gone. So one client's pipeline never makes more output than that bound and one reply.
// Threads: the worker's. I/O: none.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/wire/request_parser.h"
#include "cacheserver/serving/worker.h"
#include "cacheserver/session/session.h"

namespace tidemark::cacheserver {

class SessionMachine {
 public:
  static constexpr size_t kBatchMax = 32;
  static constexpr size_t kKeysPrefetchedMax = 16;  // of one request

  enum class Outcome : uint8_t {
    kNeedsInput,  // every whole request has run
    kOutputFull,  // more may be ready to run; flush `out` first
    kClosing,     // write `out`, then close; the rest of the input is void
  };

  // `worker` outlives the machine.
  SessionMachine(Worker& worker, std::string peer_address, std::string local_address, Instant now);
  ~SessionMachine();
  SessionMachine(const SessionMachine&) = delete;
  SessionMachine& operator=(const SessionMachine&) = delete;

  Outcome advance(std::string_view& input, std::string& out, Instant now, UnixMillis unix_now);

  Session& session() { return session_; }
  const Session& session() const { return session_; }

 private:
  class RunTimer;
  RequestParser::Outcome parse_ahead(std::string_view& input);
  void prefetch_keys();
  // Runs the parsed requests; returns how many of them have run.
  size_t run_batch(std::string& out, Instant now, UnixMillis unix_now);
  void run(CommandContext& context, Arguments arguments, CommandTable::Found found, RunTimer& timer);
  void apply_reply_mode(std::string& out, size_t begin);

  Worker& worker_;
  Session session_;
  RequestParser parser_;
};

}  // namespace tidemark::cacheserver
