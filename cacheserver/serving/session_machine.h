// One connection without its socket: bytes in, replies out, in request order, one for each request.
//
//   std::string_view input = bytes_read;
//   switch (machine.advance(input, out, now, unix_now)) { … }   // input: what was not consumed
//
// Requests are parsed up to RequestRound::kRequestsMax ahead; their keys are prefetched together, then they run one
// after the other. Sessions that are ready together share that round:
//
//   for each: machine.prepare(bytes)      // while it is not full
//   worker.load_round();
//   for each: machine.run_prepared(input, out, now, unix_now)
//   worker.end_round();
//
// Invariants: a request is consumed when it has run; nothing runs after the session is closing.
// Limits: it stops (kOutputFull) as soon as it has put WorkerConfig::output_pause_bytes into `out`; call again with the
// rest once the replies are gone. So one client's pipeline never makes more output than that bound and one reply.
// Threads: the worker's. I/O: none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/wire/request_parser.h"
#include "cacheserver/serving/worker.h"
#include "cacheserver/session/session.h"

namespace tidemark::cacheserver {

class SessionMachine {
 public:
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

  // Parses what begins `input` into the worker's shared round. Requires that no incomplete request waits for its rest.
  void prepare(std::string_view input);
  // What prepare() parsed, and what follows it. `input`: what was not consumed.
  Outcome run_prepared(std::string_view& input, std::string& out, Instant now, UnixMillis unix_now);

  Session& session() { return session_; }
  const Session& session() const { return session_; }

 private:
  // Parses and runs rest_, until there is an outcome.
  Outcome go_on(std::string& out, size_t begin, Instant now, UnixMillis unix_now);
  void parse_ahead(RequestRound& round, std::string_view input);
  // Runs the requests parsed last. Nothing: all have run, more may be in the input.
  std::optional<Outcome> run_parsed(RequestRound& round, std::string& out, size_t begin, Instant now,
                                    UnixMillis unix_now);
  size_t run_requests(RequestRound& round, std::string& out, size_t begin, Instant now, UnixMillis unix_now);
  void run(CommandContext& context, Arguments arguments, CommandTable::Found found);
  void apply_reply_mode(std::string& out, size_t begin);

  Worker& worker_;
  Session session_;
  RequestParser parser_;
  // What was parsed last: requests [first_, first_ + count_) of a round, why parsing ended, and the input behind them.
  size_t first_ = 0, count_ = 0;
  RequestParser::Outcome parsed_ = RequestParser::Outcome::kIncomplete;
  std::string_view rest_;
};

}  // namespace tidemark::cacheserver
