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
#include "cacheserver/serving/pending_replies.h"
#include "cacheserver/serving/worker.h"
#include "cacheserver/session/reply_buffer.h"
#include "cacheserver/session/session.h"

namespace tidemark::cacheserver {

class SessionMachine {
 public:
  enum class Outcome : uint8_t {
    kNeedsInput,  // every whole request has run
    kOutputFull,  // more may be ready to run; flush `out` first
    kClosing,     // write `out`, then close; the rest of the input is void
    kWaiting,     // for replies of sibling workers (take_answer); the rest of the input waits, too
  };

  // `worker` outlives the machine.
  SessionMachine(Worker& worker, std::string peer_address, std::string local_address, Instant now);
  ~SessionMachine();
  SessionMachine(const SessionMachine&) = delete;
  SessionMachine& operator=(const SessionMachine&) = delete;

  Outcome advance(std::string_view& input, ReplyBuffer& out, Instant now, UnixMillis unix_now);

  // Parses what begins `input` into the worker's shared round. Requires that no incomplete request waits for its rest.
  void prepare(std::string_view input);
  // What prepare() parsed, and what follows it. `input`: what was not consumed.
  Outcome run_prepared(std::string_view& input, ReplyBuffer& out, Instant now, UnixMillis unix_now);

  // A sibling's reply to a request of this session. True: it was the last one missing; call advance().
  bool take_answer(uint32_t index, std::string_view reply);
  bool is_waiting() const { return pending_.is_waiting(); }
  bool has_pending() const { return !pending_.empty(); }  // replies that wait for others, or for advance()

  // How many bytes the incomplete request at the beginning of the input has at least; 0: unknown.
  size_t bytes_wanted() const { return parser_.bytes_wanted(); }

  // --- a large value received in place -------------------------------------------------------------------------------
  // How long the value is that the incomplete request is inside of, if its command may keep it as it is; else 0. Ask it
  // right after run_prepared() or advance(), while their input is there.
  size_t value_bytes() const;
  size_t bytes_before_value() const { return parser_.bytes_read(); }  // in the input, which has only them from now on
  // All of it, in bytes that stay until has_supplied() ends: with the "\r\n" behind it the request runs.
  void supply(std::string_view value) { parser_.supply(value); }
  bool has_supplied() const { return parser_.has_supplied(); }

  Session& session() { return session_; }
  const Session& session() const { return session_; }

 private:
  // Parses and runs rest_, until there is an outcome.
  Outcome go_on(ReplyBuffer& out, size_t begin, Instant now, UnixMillis unix_now);
  void parse_ahead(RequestRound& round, std::string_view input);
  // Runs the requests parsed last. Nothing: all have run, more may be in the input.
  std::optional<Outcome> run_parsed(RequestRound& round, ReplyBuffer& out, size_t begin, Instant now,
                                    UnixMillis unix_now);
  size_t run_requests(RequestRound& round, ReplyBuffer& out, size_t begin, Instant now, UnixMillis unix_now);
  // In a node that forwards. False: the request waits until the pending replies are there.
  bool run_or_forward(CommandContext& context, const RequestRound& round, size_t i);
  void run_beside_pending(CommandContext& context, CommandTable::Found found, Arguments arguments);
  void run_parts(CommandContext& context, CommandTable::Found found, Arguments arguments);
  std::string_view bytes_of(const RequestRound& round, size_t i) const;
  void deliver_pending(ReplyBuffer& out);
  void run(CommandContext& context, Arguments arguments, CommandTable::Found found);
  void apply_reply_mode(ReplyBuffer& out, size_t begin);

  Worker& worker_;
  Session session_;
  RequestParser parser_;
  // What was parsed last: requests [first_, first_ + count_) of a round, why parsing ended, and the input behind them.
  size_t first_ = 0, count_ = 0;
  RequestParser::Outcome parsed_ = RequestParser::Outcome::kIncomplete;
  std::string_view rest_;
  PendingReplies pending_;
};

}  // namespace tidemark::cacheserver
